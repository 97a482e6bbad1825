// The command line: what options there are, and what was given. One table of options and verbs serves parsing, help,
// completions and "did you mean". Plain values; used before any thread is started.
//
// A parser of our own instead of a library's: `exec` must stop at the first word, `--` must stay visible, unknown words
// name their neighbour, completions come from the same table, and fut must start in milliseconds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace futured::cli {

struct Option {
  std::string_view name;   ///< without dashes: "priority"
  char letter = 0;         ///< 'p', or 0
  std::string_view value;  ///< what its value is called: "N"; empty: a flag
  std::string_view help;
  bool repeats = false;
  std::string_view choices = {};  ///< "keep cancel": the values it may have, for completions and checking
};

/// An option of other verbs that this one does not have, and why.
struct Refusal {
  std::string_view name;
  char letter = 0;
  std::string_view why;
};

enum class Words : unsigned char {
  mixed,  ///< options may stand between words
  stop,   ///< the first word ends the options: it and what follows belong to a command
};

class Context;

struct Verb {
  std::string_view name;   ///< "map", "worker list"
  std::string_view words;  ///< what follows it: "TASK [INPUT...]"
  std::string_view summary;
  std::string_view details = {};   ///< paragraphs for --help; may be empty
  std::string_view examples = {};  ///< lines
  std::vector<std::span<const Option>> options = {};
  std::span<const Refusal> refuses = {};
  Words style = Words::mixed;
  bool patient = false;  ///< it lasts as long as tasks do: it waits for a daemon that is started again
  int (*run)(Context&) = nullptr;
  /// What its words are: "task", "pool", "worker", "limit", "group", "schedule", "shell", "command", "selector",
  /// nothing.
  std::string_view completes = {};
};

/// What was given to a verb.
class Arguments {
 public:
  bool has(std::string_view option) const;
  /// The last one given.
  std::optional<std::string_view> value(std::string_view option) const;
  std::vector<std::string_view> values(std::string_view option) const;

  std::vector<std::string> words;  ///< before `--`
  std::vector<std::string> after;  ///< after `--`
  bool dashes = false;             ///< there was a `--`

 private:
  friend struct CommandLine;
  std::vector<std::pair<std::string_view, std::string>> given_;  ///< names point into the option tables
};

struct CommandLine {
  const Verb* verb = nullptr;  ///< null: only --help or --version of fut itself
  Arguments arguments;         ///< global options too
  bool help = false;
  bool version = false;

  /// Throws Failure(usage) that says what is wrong and what would be right.
  static CommandLine parse(std::span<const Verb> verbs, std::span<const Option> globals,
                           const std::vector<std::string>& words);

 private:
  struct Parser;
};

std::string help_of_fut(std::span<const Verb> verbs, std::span<const Option> globals);
std::string help_of(const Verb& verb, std::span<const Option> globals);

}  // namespace futured::cli

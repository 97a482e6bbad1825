#include "client/cli/arguments.hpp"

#include <algorithm>

#include "client/cli/failure.hpp"
#include "proto/nearest.hpp"

namespace futured::cli {
namespace {

[[noreturn]] void usage(const std::string& message) { throw Failure(Exit::usage, message); }

std::string meant(std::string_view word, const std::vector<std::string>& names) {
  const std::string near = nearest(word, names);
  return near.empty() ? std::string() : "; did you mean '" + near + "'?";
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto space = std::min(text.find(' '), text.size());
    if (space > 0) out.push_back(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return out;
}

}  // namespace

bool Arguments::has(std::string_view option) const { return value(option).has_value(); }

std::optional<std::string_view> Arguments::value(std::string_view option) const {
  std::optional<std::string_view> out;
  for (const auto& [name, given] : given_) {
    if (name == option) out = given;
  }
  return out;
}

std::vector<std::string_view> Arguments::values(std::string_view option) const {
  std::vector<std::string_view> out;
  for (const auto& [name, given] : given_) {
    if (name == option) out.push_back(given);
  }
  return out;
}

struct CommandLine::Parser {
  std::span<const Verb> verbs;
  std::span<const Option> globals;
  const std::vector<std::string>& words;
  CommandLine out{};
  std::size_t at = 0;

  /// Options that count at this place: the global ones, and those of the verb once there is one.
  template <class F>
  const Option* find(F wanted) const {
    for (const Option& option : globals) {
      if (wanted(option)) return &option;
    }
    if (out.verb == nullptr) return nullptr;
    for (const auto& table : out.verb->options) {
      for (const Option& option : table) {
        if (wanted(option)) return &option;
      }
    }
    return nullptr;
  }

  std::string in_verb() const { return out.verb == nullptr ? "fut" : "fut " + std::string(out.verb->name); }

  [[noreturn]] void unknown_option(std::string_view shown, std::string_view name) const {
    for (const Refusal& r : out.verb == nullptr ? std::span<const Refusal>() : out.verb->refuses) {
      const bool long_name = shown == "--" + std::string(r.name);
      if (long_name || (r.letter != 0 && shown == "-" + std::string(1, r.letter))) {
        usage(in_verb() + " has no option '" + std::string(shown) + "': " + std::string(r.why));
      }
    }
    std::vector<std::string> names{"help"};
    find([&](const Option& option) {
      names.emplace_back(option.name);
      return false;
    });
    std::string near = nearest(name, names);
    std::string hint = near.empty() ? "; see '" + in_verb() + " --help'" : "; did you mean '--" + near + "'?";
    usage(in_verb() + " has no option '" + std::string(shown) + "'" + hint);
  }

  void give(const Option& option, std::string value) {
    const std::string shown = "'--" + std::string(option.name) + "'";
    if (!option.choices.empty()) {
      const auto choices = split(option.choices);
      if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
        std::string list;
        for (const auto& choice : choices) list += (list.empty() ? "" : ", ") + std::string(choice);
        usage("option " + shown + " is one of " + list + ", not '" + value + "'" +
              meant(value, {choices.begin(), choices.end()}));
      }
    }
    if (!option.repeats && !option.value.empty() && out.arguments.has(option.name)) {
      usage("option " + shown + " is given twice");
    }
    out.arguments.given_.emplace_back(option.name, std::move(value));
  }

  std::string next_value(const Option& option) {
    if (at >= words.size()) {
      usage("option '--" + std::string(option.name) + "' wants a value: --" + std::string(option.name) + " " +
            std::string(option.value));
    }
    return words[at++];
  }

  void long_option(std::string_view word) {
    const auto equals = word.find('=');
    const std::string_view name = word.substr(2, equals == std::string_view::npos ? equals : equals - 2);
    if (name == "help") {
      out.help = true;
      return;
    }
    if (name == "version" && out.verb == nullptr) {
      out.version = true;
      return;
    }
    const Option* option = find([&](const Option& o) { return o.name == name; });
    if (option == nullptr) unknown_option(word.substr(0, equals), name);
    if (option->value.empty()) {
      if (equals != std::string_view::npos) usage("option '--" + std::string(name) + "' takes no value");
      give(*option, {});
    } else {
      give(*option, equals == std::string_view::npos ? next_value(*option) : std::string(word.substr(equals + 1)));
    }
  }

  /// "-p5", "-p 5", "-jq".
  void short_options(std::string_view word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      const char letter = word[i];
      const Option* option = find([&](const Option& o) { return o.letter == letter; });
      if (option == nullptr && letter == 'h') {
        out.help = true;
        continue;
      }
      if (option == nullptr) unknown_option("-" + std::string(1, letter), word.substr(1));
      if (option->value.empty()) {
        give(*option, {});
        continue;
      }
      std::string_view attached = word.substr(i + 1);
      if (attached.starts_with('=')) attached.remove_prefix(1);
      give(*option, i + 1 < word.size() ? std::string(attached) : next_value(*option));
      return;
    }
  }

  void verb(const std::string& word) {
    std::vector<std::string> names;
    std::vector<std::string> seconds;
    for (const Verb& v : verbs) {
      const auto space = v.name.find(' ');
      names.emplace_back(v.name.substr(0, space));
      if (v.name == word) {
        out.verb = &v;
        return;
      }
      if (space == std::string_view::npos || v.name.substr(0, space) != word) continue;
      seconds.emplace_back(v.name.substr(space + 1));
      if (at < words.size() && words[at] == seconds.back()) {
        ++at;
        out.verb = &v;
        return;
      }
    }
    if (seconds.empty()) {
      const std::string near = meant(word, names);
      usage("fut has no command '" + word + "'" + (near.empty() ? "; see 'fut --help'" : near));
    }
    std::string list;
    for (const auto& second : seconds) list += (list.empty() ? "" : ", ") + ("'fut " + word + " " + second + "'");
    if (at < words.size() && words[at] != "--help" && words[at] != "-h") {
      usage("'fut " + word + "' has no command '" + words[at] + "'" + meant(words[at], seconds) + " There is " + list);
    }
    usage("'fut " + word + "' wants a further word: " + list);
  }

  CommandLine run() {
    bool options = true;
    while (at < words.size()) {
      const std::string& word = words[at++];
      if (options && word == "--") {
        if (out.verb == nullptr) usage("a command comes first; see 'fut --help'");
        out.arguments.dashes = true;
        out.arguments.after.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
        break;
      }
      if (options && word.size() > 2 && word.starts_with("--")) {
        long_option(word);
      } else if (options && word.size() > 1 && word[0] == '-') {
        short_options(word);
      } else if (out.verb == nullptr && word == "help" && !out.help) {
        out.help = true;
      } else if (out.verb == nullptr) {
        verb(word);
      } else {
        out.arguments.words.push_back(word);
        if (out.verb->style == Words::stop) options = false;
      }
    }
    return std::move(out);
  }
};

CommandLine CommandLine::parse(std::span<const Verb> verbs, std::span<const Option> globals,
                               const std::vector<std::string>& words) {
  return Parser{verbs, globals, words}.run();
}

namespace {

constexpr std::size_t kHelpColumn = 28;

void describe(const Option& option, std::string& out) {
  std::string left = "  ";
  left += option.letter != 0 ? std::string("-") + option.letter + ", " : "    ";
  left += "--" + std::string(option.name);
  if (!option.value.empty()) left += " " + std::string(option.value);
  left += left.size() < kHelpColumn ? std::string(kHelpColumn - left.size(), ' ') : "  ";
  out += left + std::string(option.help) + (option.repeats ? " (may be repeated)" : "") + "\n";
}

}  // namespace

std::string help_of_fut(std::span<const Verb> verbs, std::span<const Option> globals) {
  std::string out = "fut: work with futured, the daemon of futures\n\nusage: fut [OPTIONS] COMMAND ...\n\ncommands:\n";
  for (const Verb& verb : verbs) {
    std::string left = "  " + std::string(verb.name);
    left.resize(std::max<std::size_t>(left.size() + 2, 19), ' ');
    out += left + std::string(verb.summary) + "\n";
  }
  out += "\noptions of all commands:\n";
  for (const Option& option : globals) describe(option, out);
  describe({"help", 'h', "", "what a command does, its options, an example; 'fut help COMMAND' is the same"}, out);
  describe({"version", 0, "", "the version of fut"}, out);
  out += "\nexit codes:\n" + std::string(kExitCodes);
  out +=
      "\nexamples:\n  futured &\n  fut run echo hello\n  seq 1000 | fut map primes below={}\n  fut exec -- make -j4\n";
  return out;
}

std::string help_of(const Verb& verb, std::span<const Option> globals) {
  std::string out = "usage: fut " + std::string(verb.name) + (verb.words.empty() ? "" : " ") + std::string(verb.words) +
                    "\n\n" + std::string(verb.summary) + "\n";
  if (!verb.details.empty()) out += "\n" + std::string(verb.details) + "\n";
  bool any = false;
  for (const auto& table : verb.options) any = any || !table.empty();
  if (any) out += "\noptions:\n";
  for (const auto& table : verb.options) {
    for (const Option& option : table) describe(option, out);
  }
  out += "\noptions of all commands:\n";
  for (const Option& option : globals) describe(option, out);
  out += "\nexample:\n";
  std::string_view lines = verb.examples;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    out += "  " + std::string(lines.substr(0, end)) + "\n";
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

}  // namespace futured::cli

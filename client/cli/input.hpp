// The input of a task as it stands on the command line, and its bytes for one task or for each line of a map.
//   field=text  field:=JSON  field@FILE   word (of a task without schema)   words after `--` fill argv
// `{}` is replaced in each value after it was parsed; `{{}}` is a literal `{}`. Immutable after parse(): any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/daemon.hpp"
#include "proto/schema/json.hpp"
#include "proto/status.hpp"

namespace futured::cli {

/// Text with places for a line.
class Template {
 public:
  /// `places` false: the text as it stands.
  explicit Template(std::string_view text, bool places = true);
  bool has_place() const { return literals_.size() > 1; }
  std::string fill(std::string_view line) const;

 private:
  std::vector<std::string> literals_;  ///< between which the line goes; never empty
};

/// The same JSON with `{}` replaced in all its strings.
schema::Json fill_json(const schema::Json& value, std::string_view line);
bool has_place(const schema::Json& value);

class Input {
 public:
  struct Words {
    std::vector<std::string> words;  ///< after the task
    std::vector<std::string> after;  ///< after `--`
    bool dashes = false;
    std::optional<schema::Json> base;  ///< under all of it, as it stands: `{}` means nothing there
    std::optional<std::string> json;   ///< --input-json
    std::optional<std::string> file;   ///< --input-file, "-" for standard input
  };
  enum class Lines : unsigned char {
    none,   ///< one task; `{}` means nothing
    text,   ///< map: a line fills `{}`, or is the input
    jsonl,  ///< map --jsonl: a line is the input as JSON
  };

  /// Reads the files that are the same for all tasks. Invalid: what is wrong, and how it is written.
  static Result<Input> parse(const TaskInfo& task, const Words& words, Lines lines);

  /// The input of one task. Invalid: the field and why; internal: a file that cannot be read.
  Result<std::string> bytes(std::string_view line = {}) const;

 private:
  struct Token {
    enum class Kind : unsigned char { text, json, file } kind = Kind::text;
    std::string path;
    Template value{""};
    schema::Json json;
  };
  Input() = default;
  static Result<Token> token(const std::string& word, bool places);
  Result<std::string> plain(std::string_view line) const;
  Result<std::string> message(std::string_view line) const;
  Status add(const Token& token, std::string_view line, schema::MessageBuilder& to) const;

  std::shared_ptr<const schema::Schema> schema_;
  std::string type_;  ///< message name; empty: plain bytes
  std::string task_;
  std::vector<Token> tokens_;
  std::optional<Template> bare_;  ///< plain bytes
  std::optional<schema::Json> base_;
  std::optional<schema::Json> whole_;  ///< --input-json and its like
  Lines lines_ = Lines::none;
  bool uses_line_ = false;  ///< through a `{}`
};

/// All of a file, or of standard input for "-"; at most `limit` bytes.
Result<std::string> read_file(const std::string& path, std::size_t limit);

}  // namespace futured::cli

#include "client/cli/input.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proto/envelope.hpp"

namespace futured::cli {
namespace {

using schema::Json;

Status invalid(std::string message) { return {Code::invalid, std::move(message)}; }

bool is_name(std::string_view text) {
  return !text.empty() && text.find_first_of(" \t\n/:{}\"'") == std::string_view::npos;
}

std::string fields_of(const schema::Schema& schema, const std::string& type) {
  std::string out;
  if (const auto fields = schema.fields(type)) {
    for (const auto& field : *fields) out += (out.empty() ? "" : ", ") + field.name;
  }
  return out.empty() ? "none" : out;
}

/// The input of a task without schema, as JSON: what json_of_bytes makes is undone, anything else stands for its text.
std::string plain_of_json(const Json& value) {
  auto bytes = schema::bytes_of_json(value);
  return bytes ? std::move(*bytes) : value.dump();
}

}  // namespace

Template::Template(std::string_view text, bool places) : literals_(1) {
  while (!text.empty()) {
    const auto brace = places ? text.find('{') : std::string_view::npos;
    literals_.back() += text.substr(0, brace);
    if (brace == std::string_view::npos) break;
    text.remove_prefix(brace);
    if (text.starts_with("{{}}")) {
      literals_.back() += "{}";
      text.remove_prefix(4);
    } else if (text.starts_with("{}")) {
      literals_.emplace_back();
      text.remove_prefix(2);
    } else {
      literals_.back() += '{';
      text.remove_prefix(1);
    }
  }
}

std::string Template::fill(std::string_view line) const {
  std::string out = literals_.front();
  for (std::size_t i = 1; i < literals_.size(); ++i) {
    out += line;
    out += literals_[i];
  }
  return out;
}

Json fill_json(const Json& value, std::string_view line) {
  if (const auto* text = value.text()) return Template(*text).fill(line);
  if (const auto* items = value.items()) {
    Json out = Json::array();
    for (const Json& item : *items) out.push(fill_json(item, line));
    return out;
  }
  if (const auto* members = value.members()) {
    Json out = Json::object();
    for (const auto& [name, member] : *members) out.add(name, fill_json(member, line));
    return out;
  }
  return value;
}

bool has_place(const Json& value) {
  if (const auto* text = value.text()) return Template(*text).has_place();
  if (const auto* items = value.items()) return std::any_of(items->begin(), items->end(), has_place);
  if (const auto* members = value.members()) {
    return std::any_of(members->begin(), members->end(), [](const auto& member) { return has_place(member.second); });
  }
  return false;
}

Result<Input::Token> Input::token(const std::string& word, bool places) {
  const auto mark = word.find_first_of("=@");
  const bool json = mark != std::string::npos && mark > 0 && word[mark] == '=' && word[mark - 1] == ':';
  const std::string path = word.substr(0, mark == std::string::npos ? 0 : json ? mark - 1 : mark);
  if (!is_name(path)) {
    return invalid("'" + word + "' is no field: write field=text, field:=JSON or field@FILE");
  }
  Token out;
  out.path = path;
  const std::string rest = word.substr(mark + 1);
  if (json) {
    auto value = Json::parse(rest);
    if (!value) return invalid("field '" + path + "' is " + value.status().message());
    out.kind = Token::Kind::json;
    out.json = std::move(*value);
  } else {
    out.kind = word[mark] == '@' ? Token::Kind::file : Token::Kind::text;
    out.value = Template(rest, places);
  }
  return out;
}

Result<Input> Input::parse(const TaskInfo& task, const Words& given, Lines lines) {
  Input out;
  out.schema_ = task.schema;
  out.type_ = task.schema != nullptr ? task.input_type : std::string();
  out.task_ = task.name;
  out.lines_ = lines;
  out.base_ = given.base;
  const bool places = lines == Lines::text;
  const bool plain = out.type_.empty();

  std::vector<std::string> words = given.words;
  std::optional<std::string> file = given.file;
  if (const auto dash = std::find(words.begin(), words.end(), "-"); dash != words.end()) {
    if (file) return invalid("'-' and --input-file are the same thing: give one of them");
    file = "-";
    words.erase(dash);
  }
  if (file && given.json) return invalid("--input-json and --input-file exclude each other");
  if (lines != Lines::none && file == "-")
    return invalid("standard input has the lines of map; it cannot be an input, too");
  if (lines == Lines::jsonl && (file || given.json || given.dashes || !words.empty())) {
    return invalid("with --jsonl each line is the whole input of a task: give no other input");
  }

  std::optional<std::string> contents;
  if (file) {
    auto read = read_file(*file, wire::kDefaultPayloadLimit);
    if (!read) return read.status();
    contents = std::move(*read);
  }
  if (plain) {
    words.insert(words.end(), given.after.begin(), given.after.end());
    if (words.size() + (contents ? 1 : 0) + (given.json ? 1 : 0) > 1) {
      return invalid("task '" + task.name +
                     "' takes one input: one word, --input-json, --input-file, or - for standard input");
    }
    if (!words.empty()) out.bare_ = Template(words.front(), places);
    if (contents) out.bare_ = Template(*contents, false);
  } else {
    for (const std::string& word : words) {
      auto parsed = token(word, places);
      if (!parsed) {
        if (word.find_first_of("=@") != std::string::npos) return parsed.status();
        return invalid("task '" + task.name + "' takes fields, not '" + word +
                       "': write field=text, field:=JSON or field@FILE; it has: " + fields_of(*out.schema_, out.type_));
      }
      out.tokens_.push_back(std::move(*parsed));
    }
    if (given.dashes) {
      auto builder = schema::MessageBuilder::start(out.schema_, out.type_);
      if (!builder) return builder.status();
      const bool argv = builder->has("argv");
      for (const std::string& word : given.after) {
        if (!argv) {
          auto parsed = token(word, places);
          if (!parsed) return parsed.status();
          out.tokens_.push_back(std::move(*parsed));
          continue;
        }
        Token argument;
        argument.path = "argv";
        argument.value = Template(word, places);
        out.tokens_.push_back(std::move(argument));
      }
    }
    auto trial = schema::MessageBuilder::start(out.schema_, out.type_);
    if (!trial) return trial.status();
    for (const Token& named : out.tokens_) {
      if (Status found = trial->check(named.path); !found.ok()) return found;
    }
  }
  if (given.json || (contents && !plain)) {
    auto value = Json::parse(given.json ? *given.json : *contents);
    if (!value)
      return invalid((given.json ? "--input-json is " : "file '" + *file + "' is ") + value.status().message());
    out.whole_ = std::move(*value);
  }

  if (lines == Lines::text) {
    out.uses_line_ = (out.bare_ && out.bare_->has_place()) || (given.json && has_place(*out.whole_));
    bool empty_object = false;
    for (const Token& t : out.tokens_) {
      out.uses_line_ = out.uses_line_ || t.value.has_place() || has_place(t.json);
      empty_object = empty_object || (t.json.members() != nullptr && t.json.members()->empty());
    }
    const bool nothing = out.tokens_.empty() && !out.bare_ && !out.whole_;
    if (!out.uses_line_ && !nothing) {
      return invalid(empty_object
                         ? "in field:={} the {} is an empty JSON object: write field={} to put the line there"
                         : "the input has no {}, so that no line would be used: put {} where the line belongs");
    }
  }
  return out;
}

Result<std::string> Input::bytes(std::string_view line) const { return type_.empty() ? plain(line) : message(line); }

Result<std::string> Input::plain(std::string_view line) const {
  if (lines_ == Lines::jsonl) {
    auto value = Json::parse(line);
    if (!value) return value.status();
    return plain_of_json(*value);
  }
  if (bare_) return bare_->fill(line);
  if (whole_) return plain_of_json(uses_line_ ? fill_json(*whole_, line) : *whole_);
  return std::string(line);
}

Status Input::add(const Token& token, std::string_view line, schema::MessageBuilder& to) const {
  switch (token.kind) {
    case Token::Kind::text:
      return to.text(token.path, token.value.fill(line));
    case Token::Kind::json:
      return to.json(token.path, uses_line_ ? fill_json(token.json, line) : token.json);
    case Token::Kind::file:
      break;
  }
  auto contents = read_file(token.value.fill(line), wire::kDefaultPayloadLimit);
  return contents ? to.file(token.path, *contents) : contents.status();
}

Result<std::string> Input::message(std::string_view line) const {
  auto builder = schema::MessageBuilder::start(schema_, type_);
  if (!builder) return builder.status();
  const bool whole_line = lines_ == Lines::jsonl || (lines_ == Lines::text && !uses_line_);
  if (whole_line) {
    const auto first = line.find_first_not_of(" \t");
    if (lines_ == Lines::text && (first == std::string_view::npos || line[first] != '{')) {
      return invalid("task '" + task_ +
                     "' takes fields: write the input with {} where the line belongs, or lines of JSON; it has: " +
                     fields_of(*schema_, type_));
    }
    auto value = Json::parse(line);
    if (!value) return value.status();
    if (Status merged = builder->merge(*value); !merged.ok()) return merged;
  }
  if (base_) {
    if (Status merged = builder->merge(*base_); !merged.ok()) return merged;
  }
  if (whole_) {
    if (Status merged = builder->merge(uses_line_ ? fill_json(*whole_, line) : *whole_); !merged.ok()) return merged;
  }
  for (const Token& token : tokens_) {
    if (Status added = add(token, line, *builder); !added.ok()) return added;
  }
  return builder->finish();
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const bool standard = path == "-";
  const std::string shown = standard ? "standard input" : "file '" + path + "'";
  const int fd = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return invalid(shown + " cannot be read: " + std::strerror(errno));
  std::string out;
  std::string chunk(64 * 1024, '\0');
  Status problem;
  while (out.size() <= limit) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) problem = invalid(shown + " cannot be read: " + std::strerror(errno));
    if (n <= 0) break;
    out.append(chunk, 0, static_cast<std::size_t>(n));
  }
  if (!standard) ::close(fd);
  if (!problem.ok()) return problem;
  if (out.size() > limit) {
    return invalid(shown + " has more than " + std::to_string(limit) + " bytes, the most a task's input can have");
  }
  return out;
}

}  // namespace futured::cli

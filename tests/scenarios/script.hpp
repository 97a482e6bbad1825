// The text of a story: paragraphs of commands and what is expected of them, and the words of one command.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/scheduler/spec.hpp"
#include "tests/scenarios/task_names.hpp"

namespace futured::scheduler::scenario {

/// What is between two blank lines. Without a command it is a comment.
struct Paragraph {
  int line = 0;                       ///< of the first of `head`, from 1
  std::vector<std::string> head;      ///< commands and comments as they stand
  int expected_line = 0;              ///< of the first expected one; 0: there is no `----`
  std::vector<std::string> expected;  ///< what stands below `----`
  bool has_commands() const;
};
/// A comment or empty: nothing to carry out.
bool is_comment(std::string_view line);

std::vector<Paragraph> parse(std::string_view text);
/// The inverse of parse(), with one blank line between paragraphs.
std::string print(const std::vector<Paragraph>& story);

/// What stands after `name=`.
class Value {
 public:
  Value(std::string name, std::string text, const TaskNames& tasks)
      : name_(std::move(name)), text_(std::move(text)), tasks_(&tasks) {}
  const std::string& text() const { return text_; }
  /// A whole number; K, M and G at its end are powers of 1024.
  std::int64_t number() const;
  /// In nanoseconds: `250ms`, `5s`, `1h30m`.
  std::int64_t duration() const;
  bool yes() const;
  /// a,b,c
  std::vector<std::string> list() const;
  /// k=v,k=v
  std::vector<std::pair<std::string, std::string>> pairs() const;
  /// t1,3-7,t2@1
  std::vector<TaskWord> tasks() const { return tasks_->words(text_); }
  /// `t1,3-7:failure`, `group:g:any`; several with + between them.
  std::vector<Dependency> dependencies() const;
  /// What is on the left and on the right of the separator, each with the name of this value.
  std::pair<Value, std::optional<Value>> split(std::string_view separator) const;
  [[noreturn]] void wrong(const std::string& what) const;

 private:
  std::string name_, text_;
  const TaskNames* tasks_;
};

/// The words of one command, which takes them one by one; a word that nobody took is an error.
class Args {
 public:
  Args(std::string_view line, const TaskNames& tasks);

  /// The next plain word; it is an error if there is none.
  std::string word(const std::string& what);
  bool has_word() const;
  /// The next quoted text.
  std::optional<std::string> text();
  /// `name=value`, or the plain word `name`, which means `name=yes`.
  std::optional<Value> option(const std::string& name);
  bool flag(const std::string& name);
  /// All plain words that are left, each one or more tasks; at least one.
  std::vector<TaskWord> tasks();
  std::vector<std::string> words();
  void done() const;

 private:
  struct Word {
    std::string name;  ///< of an option
    std::string text;
    bool quoted = false;
  };
  std::vector<Word> words_;
  std::vector<std::string> known_;  ///< options that were asked for
  const TaskNames& tasks_;
};

/// Sets fields of a T by the name of an option.
template <class T>
struct Option {
  const char* name;
  void (*set)(T&, const Value&);
};
template <class T, std::size_t N>
void apply(Args& args, const Option<T> (&table)[N], T& to) {
  for (const Option<T>& option : table) {
    if (const auto value = args.option(option.name)) option.set(to, *value);
  }
}

/// ` ; did you mean 'x'?` if one of the names is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& names);

}  // namespace futured::scheduler::scenario

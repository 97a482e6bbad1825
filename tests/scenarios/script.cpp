#include "tests/scenarios/script.hpp"

#include <algorithm>
#include <charconv>

#include "client/cli/duration.hpp"
#include "proto/nearest.hpp"

namespace futured::scheduler::scenario {

namespace {
constexpr std::string_view kRule = "----";
}

bool is_comment(std::string_view line) {
  const std::size_t at = line.find_first_not_of(" \t");
  return at == std::string_view::npos || line[at] == '#';
}

bool Paragraph::has_commands() const {
  return std::any_of(head.begin(), head.end(), [](const std::string& text) { return !is_comment(text); });
}

std::vector<Paragraph> parse(std::string_view text) {
  std::vector<Paragraph> story;
  Paragraph now;
  const auto finish = [&] {
    if (!now.head.empty() || now.expected_line != 0) story.push_back(std::move(now));
    now = {};
  };
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t") == std::string::npos) {
      finish();
    } else if (now.expected_line != 0) {
      now.expected.push_back(line);
    } else if (line == kRule) {
      now.expected_line = number + 1;
    } else {
      if (now.head.empty()) now.line = number;
      now.head.push_back(line);
    }
  }
  finish();
  return story;
}

std::string print(const std::vector<Paragraph>& story) {
  std::string text;
  for (const Paragraph& p : story) {
    if (!text.empty()) text += "\n";
    for (const std::string& line : p.head) text += line + "\n";
    if (p.expected_line == 0) continue;
    text += std::string(kRule) + "\n";
    for (const std::string& line : p.expected) text += line + "\n";
  }
  return text;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  const std::string near = nearest(word, names);
  return near.empty() ? std::string{} : "; did you mean '" + near + "'?";
}

void Value::wrong(const std::string& what) const { throw Error(name_ + "=" + text_ + ": " + what); }

std::int64_t Value::number() const {
  std::int64_t n = 0;
  const char* const last = text_.data() + text_.size();
  auto [end, error] = std::from_chars(text_.data(), last, n);
  if (error != std::errc{}) wrong("a whole number is wanted");
  if (end != last) {
    const std::size_t power = std::string_view("KMG").find(*end);
    if (power == std::string_view::npos || end + 1 != last) wrong("a whole number is wanted");
    n <<= 10 * (power + 1);
  }
  return n;
}

std::int64_t Value::duration() const {
  const auto d = cli::parse_duration(text_);
  if (!d.ok()) wrong(d.status().message());
  return d->count();
}

bool Value::yes() const {
  if (text_ != "yes" && text_ != "no") wrong("yes or no is wanted");
  return text_ == "yes";
}

std::vector<std::string> Value::list() const {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text_.size();) {
    const std::size_t comma = std::min(text_.find(',', at), text_.size());
    out.push_back(text_.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> Value::pairs() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& item : list()) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) wrong("k=v,k=v is wanted");
    out.emplace_back(item.substr(0, equals), item.substr(equals + 1));
  }
  return out;
}

std::pair<Value, std::optional<Value>> Value::split(std::string_view separator) const {
  const std::size_t at = text_.find(separator);
  if (at == std::string::npos) return {*this, std::nullopt};
  return {Value(name_, text_.substr(0, at), *tasks_), Value(name_, text_.substr(at + separator.size()), *tasks_)};
}

std::vector<Dependency> Value::dependencies() const {
  const std::pair<std::string_view, Condition> conditions[] = {
      {":success", Condition::success}, {":failure", Condition::failure}, {":any", Condition::any}};
  std::vector<Dependency> out;
  for (std::optional<Value> rest = *this; rest;) {
    const auto [part, others] = rest->split("+");
    std::string what = part.text_;
    Dependency d;
    for (const auto& [end, condition] : conditions) {
      if (!what.ends_with(end)) continue;
      what.resize(what.size() - end.size());
      d.on = condition;
    }
    if (what.starts_with("group:")) {
      d.group = what.substr(6);
      out.push_back(d);
    } else {
      for (const std::string& item : Value(name_, what, *tasks_).list()) {  // a range is one dependency
        const std::vector<TaskWord> range = tasks_->words(item);
        d.number = range.front().number;
        d.count = range.size();
        out.push_back(d);
      }
    }
    rest = others;
  }
  return out;
}

Args::Args(std::string_view line, const TaskNames& tasks) : tasks_(tasks) {
  for (std::size_t at = line.find_first_not_of(' '); at < line.size(); at = line.find_first_not_of(' ', at)) {
    Word word;
    bool named = false;
    for (; at < line.size() && line[at] != ' '; ++at) {
      if (line[at] == '=' && !named && !word.quoted) {
        named = true;
        word.name = std::exchange(word.text, {});
      } else if (line[at] != '"') {
        word.text += line[at];
      } else {
        word.quoted = true;
        for (++at; at < line.size() && line[at] != '"'; ++at) {
          if (line[at] == '\\' && at + 1 < line.size()) ++at;
          word.text += line[at];
        }
        if (at >= line.size()) throw Error("a quotation mark is missing");
      }
    }
    words_.push_back(std::move(word));
  }
}

bool Args::has_word() const {
  return std::any_of(words_.begin(), words_.end(), [](const Word& w) { return w.name.empty() && !w.quoted; });
}

std::string Args::word(const std::string& what) {
  const auto at = std::find_if(words_.begin(), words_.end(), [](const Word& w) { return w.name.empty() && !w.quoted; });
  if (at == words_.end()) throw Error(what + " is missing");
  std::string text = at->text;
  words_.erase(at);
  return text;
}

std::optional<std::string> Args::text() {
  const auto at = std::find_if(words_.begin(), words_.end(), [](const Word& w) { return w.name.empty() && w.quoted; });
  if (at == words_.end()) return std::nullopt;
  std::string text = at->text;
  words_.erase(at);
  return text;
}

std::optional<Value> Args::option(const std::string& name) {
  known_.push_back(name);
  const auto at = std::find_if(words_.begin(), words_.end(), [&](const Word& w) {
    return w.name == name || (w.name.empty() && !w.quoted && w.text == name);
  });
  if (at == words_.end()) return std::nullopt;
  Value value(name, at->name.empty() ? "yes" : at->text, tasks_);
  words_.erase(at);
  return value;
}

bool Args::flag(const std::string& name) {
  const auto value = option(name);
  return value && value->yes();
}

std::vector<TaskWord> Args::tasks() {
  std::vector<TaskWord> out;
  do {
    for (const TaskWord& t : tasks_.words(word("a task"))) out.push_back(t);
  } while (has_word());
  return out;
}

std::vector<std::string> Args::words() {
  std::vector<std::string> out;
  while (has_word()) out.push_back(word({}));
  return out;
}

void Args::done() const {
  if (words_.empty()) return;
  const Word& w = words_.front();
  if (w.quoted && w.name.empty()) throw Error("\"" + w.text + "\" is one text too many");
  const std::string& word = w.name.empty() ? w.text : w.name;
  const bool twice = std::find(known_.begin(), known_.end(), word) != known_.end();
  throw Error(twice ? "'" + word + "' is given twice" : "unknown option '" + word + "'" + did_you_mean(word, known_));
}

}  // namespace futured::scheduler::scenario

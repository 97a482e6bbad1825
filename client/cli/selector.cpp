#include "client/cli/selector.hpp"

#include <array>
#include <charconv>

#include "proto/nearest.hpp"
#include "proto/task_state.hpp"

namespace futured::cli {
namespace {

Status wrong(std::string message) { return {Code::invalid, std::move(message)}; }

std::optional<TaskNumber> number(std::string_view text) {
  TaskNumber out = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || end.ec != std::errc{} || end.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

void add_range(v1::Selector& to, TaskNumber first, TaskNumber last) {
  auto* range = to.add_numbers();
  range->set_first(first);
  range->set_last(last);
}

std::string raw(const TaskId& id) {
  std::string out(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
  for (int shift = 32; shift >= 0; shift -= 8) out.push_back(static_cast<char>((id.seq >> shift) & 0xff));
  return out;
}

Status add_state(v1::Selector& to, std::string_view text) {
  std::vector<std::string> names;
  for (int s = v1::STATE_WAITING; s <= v1::STATE_EXPIRED; ++s) {
    names.emplace_back(name(static_cast<TaskState>(s)));
    if (names.back() != text) continue;
    to.add_states(static_cast<v1::State>(s));
    return {};
  }
  const std::string near = nearest(text, names);
  return wrong("there is no state '" + std::string(text) + "'" +
               (near.empty() ? ": waiting, queued, running, succeeded, failed, cancelled, expired"
                             : "; did you mean '" + near + "'?"));
}

/// "key=value".
Status add_pair(v1::Selector& to, std::string_view kind, std::string_view value) {
  static const std::array<std::string, 6> kinds{"state", "label", "group", "task", "pool", "key"};
  const std::string text(value);
  if (kind == "state") return add_state(to, value);
  if (kind == "group") {
    to.add_groups(text);
  } else if (kind == "task") {
    to.add_types(text);
  } else if (kind == "pool") {
    to.add_pools(text);
  } else if (kind == "key") {
    to.add_keys(text);
  } else if (kind == "label") {
    const auto equals = value.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return wrong("'label=" + text + "' wants a name and a value: label=name=value");
    }
    auto* label = to.add_labels();
    label->set_name(text.substr(0, equals));
    label->set_value(text.substr(equals + 1));
  } else {
    const std::string near = nearest(kind, kinds);
    return wrong("tasks are not selected by '" + std::string(kind) + "='" +
                 (near.empty() ? ": state, label, group, task, pool, key" : "; did you mean '" + near + "='?"));
  }
  return {};
}

}  // namespace

bool Selection::exact() const {
  const v1::Selector& s = selector;
  return !s.all() && !s.live() &&
         s.states_size() + s.types_size() + s.pools_size() + s.groups_size() + s.labels_size() + s.keys_size() == 0;
}

Result<Selection> parse_selection(const std::vector<std::string>& words,
                                  const std::function<Result<TaskNumber>()>& last) {
  Selection out;
  for (const std::string& word : words) {
    const auto equals = word.find('=');
    if (equals != std::string::npos) {
      const std::string_view whole = word;
      if (Status added = add_pair(out.selector, whole.substr(0, equals), whole.substr(equals + 1)); !added.ok()) {
        return added;
      }
    } else if (word == "all") {
      out.selector.set_live(true);
    } else if (word == "last") {
      auto n = last();
      if (!n) return n.status();
      out.numbers.push_back(*n);
      add_range(out.selector, *n, *n);
    } else if (const auto id = parse_task_id(word)) {
      out.ids.push_back(*id);
      out.selector.add_ids(raw(*id));
    } else if (const auto single = number(word)) {
      if (*single == 0) return wrong("task numbers begin with 1");
      out.numbers.push_back(*single);
      add_range(out.selector, *single, *single);
    } else {
      const auto dash = word.find('-');
      const auto first = number(std::string_view(word).substr(0, dash));
      const auto final = dash == std::string::npos ? std::nullopt : number(std::string_view(word).substr(dash + 1));
      if (!first || !final) {
        static const std::array<std::string, 2> names{"last", "all"};
        const std::string near = nearest(word, names);
        return wrong("'" + word + "' selects nothing" +
                     (near.empty()
                          ? ": write a number, 3-7, last, all, state=failed, label=k=v, group=G, task=T, pool=P"
                          : "; did you mean '" + near + "'?"));
      }
      if (*first == 0 || *first > *final)
        return wrong("'" + word + "' is no range: write 3-7, the smaller number first");
      add_range(out.selector, *first, *final);
    }
  }
  return out;
}

}  // namespace futured::cli

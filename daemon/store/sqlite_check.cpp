#include "daemon/store/sqlite_check.hpp"

#include "daemon/store/sqlite_file.hpp"

namespace futured::store {

namespace {

/// Each gives one row for each breach: a number, and a second one if the sentence has a second place.
struct Rule {
  const char* sql;
  const char* sentence;  ///< % stands for the numbers
};
constexpr Rule kRules[] = {
    {"SELECT count(*) FROM meta HAVING count(*) <> 1", "`meta` has % rows instead of one"},
    {"SELECT task.number FROM task JOIN outcome USING(number)", "task % has ended and has not ended"},
    {"SELECT number FROM task WHERE NOT EXISTS(SELECT 1 FROM batch WHERE first = (SELECT max(first) FROM batch WHERE "
     "first <= task.number) AND task.number < first + count)",
     "task % belongs to no batch"},
    {"SELECT number FROM outcome WHERE NOT EXISTS(SELECT 1 FROM batch WHERE first = (SELECT max(first) FROM batch "
     "WHERE "
     "first <= outcome.number) AND outcome.number < first + count)",
     "the outcome of task % belongs to no batch"},
    {"SELECT number FROM progress WHERE NOT EXISTS(SELECT 1 FROM task WHERE task.number = progress.number)",
     "there is progress of task %, which is not there"},
    {"SELECT number, state FROM outcome WHERE state NOT BETWEEN 4 AND 7", "the outcome of task % has the state %"},
    {"SELECT a.first, b.first FROM batch a JOIN batch b ON b.first = (SELECT min(first) FROM batch WHERE first > "
     "a.first) WHERE a.first + a.count > b.first",
     "the batches of tasks % and % overlap"},
    {"SELECT batch.first FROM batch JOIN stream USING(stream) WHERE first_seq + count > accepted",
     "the batch of task % is beyond what its stream has accepted"},
    {"SELECT first + count - 1, next_number FROM batch, meta WHERE first + count > next_number",
     "task % was given out, and the next number is %"},
};

}  // namespace

Result<std::vector<std::string>> check_store(const std::string& path, std::size_t limit) {
  if (Status s = inspect_store(path); !s.ok()) return s;
  auto opened = Connection::open(path, Connection::Mode::read_only);
  if (!opened) return opened.status();
  Connection& c = **opened;
  std::vector<std::string> wrong;
  {
    const std::string pragma = "PRAGMA integrity_check(" + std::to_string(limit) + ")";
    auto integrity = c.prepare(pragma.c_str());
    if (!integrity) return integrity.status();
    while (integrity->step()) {
      const std::string said(integrity->bytes(0));
      if (said != "ok") wrong.push_back("SQLite: " + said);
    }
  }
  if (c.fault() != Fault::none) return c.fault_status();
  if (!wrong.empty()) return wrong;  // what the tables say means nothing then
  for (const Rule& rule : kRules) {
    auto breaches = c.prepare(rule.sql);
    if (!breaches) return breaches.status();
    while (breaches->step()) {
      if (wrong.size() == limit) return wrong;
      std::string text;
      int column = 0;
      for (const char* at = rule.sentence; *at != '\0'; ++at) {
        if (*at == '%') {
          text += std::to_string(breaches->integer(column++));
        } else {
          text += *at;
        }
      }
      wrong.push_back(std::move(text));
    }
    if (c.fault() != Fault::none) return c.fault_status();
  }
  return wrong;
}

}  // namespace futured::store

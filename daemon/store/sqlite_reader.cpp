#include "daemon/store/sqlite_reader.hpp"

#include <algorithm>
#include <climits>
#include <cstring>
#include <functional>
#include <utility>

namespace futured::store {

namespace {
StreamId stream_of(std::string_view bytes) {
  StreamId id;
  std::memcpy(id.bytes.data(), bytes.data(), std::min(bytes.size(), id.bytes.size()));
  return id;
}

#define FUTURED_OUTCOME_COLUMNS "number, spec, state, ended, until, taken, data, result, input"
}  // namespace

Result<std::unique_ptr<SqliteReader>> SqliteReader::open(const std::string& path) {
  auto connection = Connection::open(path, Connection::Mode::read_only);
  if (!connection) return connection.status();
  std::unique_ptr<SqliteReader> reader(new SqliteReader);
  reader->connection_ = std::move(*connection);
  Connection& c = *reader->connection_;
  const std::pair<Statement*, const char*> statements[] = {
      {&reader->begin_, "BEGIN"},
      {&reader->end_, "COMMIT"},
      {&reader->tasks_,
       "SELECT task.number, spec, input, progress.data FROM task LEFT JOIN progress ON progress.number = task.number "
       "WHERE task.number >= ? AND task.number < ? ORDER BY task.number LIMIT ?"},
      {&reader->owed_, "SELECT " FUTURED_OUTCOME_COLUMNS
                       " FROM outcome WHERE number >= ? AND number < ? AND taken = 0 ORDER BY number LIMIT ?"},
      {&reader->streams_, "SELECT stream, accepted FROM stream"},
      {&reader->batch_of_,
       "SELECT first, count, stream, first_seq, submitted, specs FROM batch WHERE first <= ? ORDER BY first DESC LIMIT "
       "1"},
      {&reader->batch_by_seq_,
       "SELECT first, count, first_seq FROM batch WHERE stream = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1"},
      {&reader->outcome_, "SELECT " FUTURED_OUTCOME_COLUMNS " FROM outcome WHERE number = ?"},
      {&reader->history_, "SELECT " FUTURED_OUTCOME_COLUMNS
                          " FROM outcome WHERE number <= ?1 AND number >= ?2 AND (?3 IS NULL OR state = ?3) "
                          "ORDER BY number DESC LIMIT ?4"},
      {&reader->settings_, "SELECT name, data FROM setting"},
      {&reader->workers_, "SELECT instance, data FROM worker"},
      {&reader->meta_, "SELECT id, epoch, next_number FROM meta"},
      {&reader->live_, "SELECT count(*) FROM task"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = c.prepare(sql);
    if (!prepared) return prepared.status();
    *statement = std::move(*prepared);
  }
  return reader;
}

void SqliteReader::read_batch(TaskNumber number, std::vector<BatchRow>& batches) {
  const auto holds = [&](const BatchRow& b) { return number >= b.first && number - b.first < b.count; };
  if (!batches.empty() && holds(batches.back())) return;
  batch_of_.bind(1, number);
  if (!batch_of_.step()) return;
  BatchRow b;
  b.first = batch_of_.unsigned_integer(0);
  b.count = static_cast<std::uint32_t>(batch_of_.integer(1));
  b.stream = stream_of(batch_of_.bytes(2));
  b.first_seq = batch_of_.unsigned_integer(3);
  b.submitted = batch_of_.integer(4);
  b.specs = batch_of_.bytes(5);
  batch_of_.reset();
  if (holds(b)) batches.push_back(std::move(b));
}

OutcomeRow SqliteReader::outcome(const Statement& row, bool with_results) const {
  OutcomeRow o;
  o.number = row.unsigned_integer(0);
  o.spec = static_cast<std::uint32_t>(row.integer(1));
  o.state = static_cast<TaskState>(row.integer(2));
  o.ended = row.integer(3);
  o.until = row.integer(4);
  o.taken = row.integer(5) != 0;
  o.data = row.bytes(6);
  if (with_results) {
    o.result = Slice::copy(row.bytes(7));
    o.input = Slice::copy(row.bytes(8));
  }
  return o;
}

Result<Claimed> SqliteReader::claim(TaskNumber& from, TaskNumber end, std::uint32_t limit, bool with_streams) {
  Claimed page;
  (void)begin_.run();
  if (with_streams) {
    while (streams_.step()) page.streams.push_back({stream_of(streams_.bytes(0)), streams_.unsigned_integer(1), false});
  }
  tasks_.bind(1, from).bind(2, end).bind(3, limit);
  while (tasks_.step()) {
    Claimed::Task t;
    t.row.number = tasks_.unsigned_integer(0);
    t.row.spec = static_cast<std::uint32_t>(tasks_.integer(1));
    t.row.input = Slice::copy(tasks_.bytes(2));
    t.progress = tasks_.bytes(3);
    page.tasks.push_back(std::move(t));
  }
  // The owed outcomes between these tasks; after the last task, as many again.
  const bool more_tasks = page.tasks.size() == limit;
  const TaskNumber up_to = more_tasks ? page.tasks.back().row.number + 1 : end;
  owed_.bind(1, from).bind(2, up_to).bind(3, limit);
  while (owed_.step()) page.outcomes.push_back(outcome(owed_, true));
  TaskNumber next = up_to;
  if (page.outcomes.size() == limit) {
    next = page.outcomes.back().number + 1;
    while (!page.tasks.empty() && page.tasks.back().row.number >= next) page.tasks.pop_back();
  }
  std::vector<TaskNumber> numbers;
  for (const Claimed::Task& t : page.tasks) numbers.push_back(t.row.number);
  for (const OutcomeRow& o : page.outcomes) numbers.push_back(o.number);
  std::sort(numbers.begin(), numbers.end());
  for (const TaskNumber n : numbers) read_batch(n, page.batches);
  (void)end_.run();
  from = next;
  page.last = next >= end;
  if (connection_->fault() != Fault::none) return connection_->fault_status();
  return page;
}

HistoryPage SqliteReader::history(std::uint64_t request, const HistoryQuery& query) {
  HistoryPage page;
  page.request = request;
  (void)begin_.run();
  std::vector<TaskNumber> named = query.numbers;
  for (const TaskId& id : query.ids) {
    const std::string_view stream(reinterpret_cast<const char*>(id.stream.bytes.data()), id.stream.bytes.size());
    batch_by_seq_.bind_blob(1, stream).bind(2, id.seq);
    if (!batch_by_seq_.step()) continue;
    const Seq offset = id.seq - batch_by_seq_.unsigned_integer(2);
    if (offset < batch_by_seq_.unsigned_integer(1)) named.push_back(batch_by_seq_.unsigned_integer(0) + offset);
    batch_by_seq_.reset();
  }
  if (!query.numbers.empty() || !query.ids.empty()) {
    std::sort(named.begin(), named.end(), std::greater<>());
    named.erase(std::unique(named.begin(), named.end()), named.end());
    for (const TaskNumber n : named) {
      outcome_.bind(1, n);
      if (!outcome_.step()) continue;
      page.outcomes.push_back(outcome(outcome_, query.with_results));
      outcome_.reset();
    }
  } else {
    history_.bind(1, query.from == 0 ? std::int64_t{INT64_MAX} : static_cast<std::int64_t>(query.from));
    history_.bind(2, query.down_to);
    if (query.state) {
      history_.bind(3, static_cast<std::int64_t>(*query.state));
    } else {
      history_.bind_null(3);
    }
    history_.bind(4, std::int64_t{query.limit} + 1);
    while (history_.step()) {
      if (page.outcomes.size() == query.limit) {
        page.next = history_.unsigned_integer(0);
        continue;
      }
      page.outcomes.push_back(outcome(history_, query.with_results));
    }
  }
  for (const OutcomeRow& o : page.outcomes) read_batch(o.number, page.batches);
  (void)end_.run();
  page.failure = connection_->fault_status();
  connection_->clear_fault();
  return page;
}

Result<Opened> SqliteReader::describe() {
  Opened o;
  o.durable = true;
  if (!meta_.step()) {
    if (connection_->fault() != Fault::none) return connection_->fault_status();
    return Status(Code::internal, "the store has no row in `meta`; it is damaged");
  }
  o.id = meta_.bytes(0);
  o.epoch = static_cast<std::uint32_t>(meta_.integer(1));
  o.next_number = meta_.unsigned_integer(2);
  meta_.reset();
  while (settings_.step())
    o.settings.push_back({std::string(settings_.bytes(0)), std::string(settings_.bytes(1)), false});
  while (workers_.step()) o.workers.push_back({std::string(workers_.bytes(0)), std::string(workers_.bytes(1)), false});
  if (live_.step()) o.live = live_.unsigned_integer(0);
  live_.reset();
  if (connection_->fault() != Fault::none) return connection_->fault_status();
  return o;
}

}  // namespace futured::store

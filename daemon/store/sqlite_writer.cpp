#include "daemon/store/sqlite_writer.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace futured::store {

namespace {

bool contains(const std::vector<TaskNumber>& sorted, TaskNumber n) {
  return std::binary_search(sorted.begin(), sorted.end(), n);
}

bool contains(const std::vector<NumberRange>& sorted, TaskNumber n) {
  const auto after = std::upper_bound(sorted.begin(), sorted.end(), n,
                                      [](TaskNumber number, const NumberRange& r) { return number < r.first; });
  return after != sorted.begin() && std::prev(after)->contains(n);
}

std::string_view bytes_of(const StreamId& stream) {
  return {reinterpret_cast<const char*>(stream.bytes.data()), stream.bytes.size()};
}

}  // namespace

Result<std::unique_ptr<SqliteWriter>> SqliteWriter::make(Connection& c) {
  std::unique_ptr<SqliteWriter> writer(new SqliteWriter(c));
  const std::pair<Statement*, const char*> statements[] = {
      {&writer->begin_, "BEGIN IMMEDIATE"},
      {&writer->commit_, "COMMIT"},
      {&writer->rollback_, "ROLLBACK"},
      {&writer->add_batch_, "INSERT INTO batch VALUES(?, ?, ?, ?, ?, ?)"},
      {&writer->add_task_, "INSERT INTO task VALUES(?, ?, ?)"},
      {&writer->add_progress_, "REPLACE INTO progress VALUES(?, ?)"},
      {&writer->add_outcome_, "INSERT OR IGNORE INTO outcome VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {&writer->add_stream_, "REPLACE INTO stream VALUES(?, ?)"},
      {&writer->add_setting_, "REPLACE INTO setting VALUES(?, ?)"},
      {&writer->add_worker_, "REPLACE INTO worker VALUES(?, ?)"},
      {&writer->drop_task_, "DELETE FROM task WHERE number = ?"},
      {&writer->drop_progress_, "DELETE FROM progress WHERE number = ?"},
      {&writer->drop_outcome_, "DELETE FROM outcome WHERE number = ?"},
      {&writer->drop_stream_, "DELETE FROM stream WHERE stream = ?"},
      {&writer->drop_setting_, "DELETE FROM setting WHERE name = ?"},
      {&writer->drop_worker_, "DELETE FROM worker WHERE instance = ?"},
      {&writer->mark_taken_, "UPDATE outcome SET taken = 1 WHERE number = ?"},
      {&writer->set_next_, "UPDATE meta SET next_number = max(next_number, ?)"},
      {&writer->batch_of_, "SELECT first, count FROM batch WHERE first <= ? ORDER BY first DESC LIMIT 1"},
      {&writer->batch_used_,
       "SELECT EXISTS(SELECT 1 FROM task WHERE number BETWEEN ?1 AND ?2) OR "
       "EXISTS(SELECT 1 FROM outcome WHERE number BETWEEN ?1 AND ?2)"},
      {&writer->drop_batch_, "DELETE FROM batch WHERE first = ?"},
      {&writer->due_, "SELECT number FROM outcome WHERE until > 0 AND until <= ? ORDER BY until LIMIT ?"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = c.prepare(sql);
    if (!prepared) return prepared.status();
    *statement = std::move(*prepared);
  }
  return writer;
}

bool SqliteWriter::commit(const std::vector<Records>& group, const std::vector<NumberRange>& refused) {
  refused_ = refused;
  if (begin_.run() && write(group) && commit_.run()) return true;
  // A failed statement may have ended the transaction already; what this says then is not the reason.
  (void)rollback_.run();
  return false;
}

bool SqliteWriter::write(const std::vector<Records>& group) {
  accepted_.clear();
  ended_.clear();
  forgotten_.clear();
  dropped_.clear();
  for (const Records& r : group) {
    for (const BatchRow& b : r.batches) {
      if (!contains(refused_, b.first)) accepted_.push_back({b.first, b.count});
    }
    for (const OutcomeRow& o : r.outcomes) ended_.push_back(o.number);
    forgotten_.insert(forgotten_.end(), r.forgotten.begin(), r.forgotten.end());
  }
  std::sort(ended_.begin(), ended_.end());
  std::sort(forgotten_.begin(), forgotten_.end());
  write_batches(group);
  for (const Records& r : group) {
    for (const ProgressRow& p : r.progress) {
      if (!contains(ended_, p.number) && !contains(refused_, p.number)) {
        add_progress_.bind(1, p.number).bind_blob(2, p.data).run();
      }
    }
  }
  write_outcomes(group);
  for (const Records& r : group) write_names(r);
  drop_batches();
  return connection_.fault() == Fault::none;
}

void SqliteWriter::write_batches(const std::vector<Records>& group) {
  for (const Records& r : group) {
    for (const BatchRow& b : r.batches) {
      if (contains(refused_, b.first)) continue;
      const auto from = std::lower_bound(forgotten_.begin(), forgotten_.end(), b.first);
      const auto to = std::lower_bound(from, forgotten_.end(), b.first + b.count);
      if (to - from == b.count) continue;  // nothing of it is left
      add_batch_.bind(1, b.first)
          .bind(2, b.count)
          .bind_blob(3, bytes_of(b.stream))
          .bind(4, b.first_seq)
          .bind(5, b.submitted)
          .bind_blob(6, b.specs)
          .run();
    }
    for (const TaskRow& t : r.tasks) {
      if (contains(ended_, t.number) || contains(refused_, t.number)) continue;
      add_task_.bind(1, t.number).bind(2, t.spec).bind_blob(3, t.input.view()).run();
    }
  }
}

void SqliteWriter::write_outcomes(const std::vector<Records>& group) {
  for (const Records& r : group) {
    for (const OutcomeRow& o : r.outcomes) {
      if (contains(refused_, o.number)) continue;
      if (!contains(accepted_, o.number)) {
        drop_task_.bind(1, o.number).run();
        drop_progress_.bind(1, o.number).run();
      }
      if (contains(forgotten_, o.number)) continue;
      add_outcome_.bind(1, o.number)
          .bind(2, o.spec)
          .bind(3, static_cast<std::int64_t>(o.state))
          .bind(4, o.ended)
          .bind(5, o.until)
          .bind(6, o.taken)
          .bind_blob(7, o.data)
          .bind_blob(8, o.result.view())
          .bind_blob(9, o.input.view())
          .run();
    }
    for (const TaskNumber n : r.taken) {
      if (!contains(forgotten_, n)) mark_taken_.bind(1, n).run();
    }
    for (const TaskNumber n : r.forgotten) {
      if (!contains(ended_, n)) drop_outcome_.bind(1, n).run();
      if (!contains(accepted_, n)) dropped_.push_back(n);
    }
  }
}

void SqliteWriter::write_names(const Records& r) {
  for (const StreamRow& s : r.streams) {
    if (s.gone) {
      drop_stream_.bind_blob(1, bytes_of(s.stream)).run();
    } else {
      add_stream_.bind_blob(1, bytes_of(s.stream)).bind(2, s.accepted).run();
    }
  }
  for (const SettingRow& s : r.settings) {
    if (s.removed) {
      drop_setting_.bind_text(1, s.name).run();
    } else {
      add_setting_.bind_text(1, s.name).bind_blob(2, s.data).run();
    }
  }
  for (const WorkerRow& w : r.workers) {
    if (w.gone) {
      drop_worker_.bind_blob(1, w.instance).run();
    } else {
      add_worker_.bind_blob(1, w.instance).bind_blob(2, w.data).run();
    }
  }
  if (r.numbers_until != 0) set_next_.bind(1, r.numbers_until).run();
}

/// The batches whose last task has gone go too.
void SqliteWriter::drop_batches() {
  std::sort(dropped_.begin(), dropped_.end());
  NumberRange batch;
  for (const TaskNumber n : dropped_) {
    if (batch.contains(n)) continue;
    batch_of_.bind(1, n);
    if (!batch_of_.step()) continue;
    batch = {batch_of_.unsigned_integer(0), batch_of_.unsigned_integer(1)};
    batch_of_.reset();
    if (!batch.contains(n)) continue;
    batch_used_.bind(1, batch.first).bind(2, batch.first + batch.count - 1);
    const bool used = !batch_used_.step() || batch_used_.integer(0) != 0;
    batch_used_.reset();
    if (!used) drop_batch_.bind(1, batch.first).run();
  }
}

bool SqliteWriter::forget_until(WallTime now, std::uint32_t limit) {
  Records records;
  due_.bind(1, now).bind(2, limit);
  while (due_.step()) records.forgotten.push_back(due_.unsigned_integer(0));
  if (records.forgotten.empty()) return false;
  const bool more = records.forgotten.size() == limit;
  std::vector<Records> group;
  group.push_back(std::move(records));
  return commit(group, {}) && more;
}

}  // namespace futured::store

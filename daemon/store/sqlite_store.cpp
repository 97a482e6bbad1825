#include "daemon/store/sqlite_store.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace futured::store {

namespace {
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kForgetPortion = 1000;
constexpr auto kPatience = std::chrono::milliseconds(100);  // between two attempts on a full disk

WallTime wall_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}
}  // namespace

SqliteStore::SqliteStore(SqliteConfig config, std::function<void()> wake, StoreLock lock)
    : config_(std::move(config)),
      wake_(std::move(wake)),
      lock_(std::move(lock)),
      reserve_(config_.path, config_.reserve_bytes) {}

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteConfig config, std::function<void()> wake) {
  const std::string path = config.path;
  Status known = inspect_store(path);
  if (known.code() == Code::not_found && config.must_exist) {
    return Status(Code::not_found, "store " + path +
                                       ": there is no such file, and store_must_exist says that it must be there; is "
                                       "its disk mounted? To make a new one, start once with store_must_exist = false");
  }
  if (!known.ok() && known.code() != Code::not_found) return known;
  auto lock = StoreLock::take(path);
  if (!lock) return lock.status();
  if (known.code() == Code::not_found) {
    if (Status s = create_store(path); !s.ok()) return s;
  }
  std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(config), std::move(wake), std::move(*lock)));
  auto connection = open_store(path);
  if (!connection) return connection.status();
  store->connection_ = std::move(*connection);
  // A task number that was given out is never given to another task, an epoch to no other start.
  if (Status s = store->connection_->exec("UPDATE meta SET epoch = epoch + 1"); !s.ok()) return s;
  auto writer = SqliteWriter::make(*store->connection_);
  if (!writer) return writer.status();
  store->writer_ = std::move(*writer);
  auto reader = SqliteReader::open(path);
  if (!reader) return reader.status();
  store->reader_ = std::move(*reader);
  auto opened = store->reader_->describe();
  if (!opened) return opened.status();
  store->opened_ = std::move(*opened);
  store->disk_full_ = !store->reserve_.fill();
  store->write_thread_ = std::thread([s = store.get()] { s->write_loop(); });
  store->read_thread_ = std::thread([s = store.get()] { s->read_loop(); });
  return store;
}

SqliteStore::~SqliteStore() { stop_threads(); }

void SqliteStore::stop_threads() {
  {
    const std::lock_guard hold(mutex_);
    stopping_ = true;
  }
  to_write_.notify_all();
  to_read_.notify_all();
  if (write_thread_.joinable()) write_thread_.join();
  if (read_thread_.joinable()) read_thread_.join();
}

void SqliteStore::append(Records records) {
  {
    const std::lock_guard hold(mutex_);
    appended_ = records.lsn;
    lag_ += records.size();
    waiting_.push_back(std::move(records));
  }
  to_write_.notify_one();
}

Committed SqliteStore::take_committed() {
  const std::lock_guard hold(mutex_);
  for (Refused& r : refused_) {
    if (r.until == 0) r.until = appended_;
  }
  Committed taken = committed_;
  committed_.refused.clear();
  return taken;
}

std::uint64_t SqliteStore::lag() const {
  const std::lock_guard hold(mutex_);
  return lag_;
}

void SqliteStore::claim(std::uint32_t tasks) {
  {
    const std::lock_guard hold(mutex_);
    questions_.emplace_back(Claim{tasks});
  }
  to_read_.notify_one();
}

bool SqliteStore::next_claimed(Claimed& page) {
  const std::lock_guard hold(mutex_);
  if (claimed_.empty()) return false;
  page = std::move(claimed_.front());
  claimed_.pop_front();
  return true;
}

void SqliteStore::ask(std::uint64_t request, const HistoryQuery& query) {
  {
    const std::lock_guard hold(mutex_);
    questions_.emplace_back(Question{request, query});
  }
  to_read_.notify_one();
}

bool SqliteStore::next_page(HistoryPage& page) {
  const std::lock_guard hold(mutex_);
  if (pages_.empty()) return false;
  page = std::move(pages_.front());
  pages_.pop_front();
  return true;
}

Status SqliteStore::close(TaskNumber next_number) {
  stop_threads();
  if (!committed_.failure.ok()) return committed_.failure;
  reader_.reset();
  auto exact = connection_->prepare("UPDATE meta SET next_number = ?");
  if (!exact) return exact.status();
  if (exact->bind(1, next_number).run()) connection_->checkpoint(true);
  return connection_->fault_status();
}

void SqliteStore::write_loop() {
  std::vector<Records> group;
  for (;;) {
    {
      std::unique_lock hold(mutex_);
      const auto something = [this] { return stopping_ || !waiting_.empty(); };
      if (!something()) to_write_.wait_for(hold, std::chrono::seconds(1), something);
      if (!committed_.failure.ok()) return;
      if (stopping_ && waiting_.empty()) return;
      std::uint64_t bytes = 0;
      while (!waiting_.empty() && bytes < config_.group_bytes) {
        bytes += waiting_.front().size();
        group.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    if (!group.empty()) write_group(group);
    group.clear();
    if (connection_->log_pages() >= config_.checkpoint_pages) connection_->checkpoint(false);
    const WallTime now = wall_now();
    if (now >= next_look_ && connection_->fault() == Fault::none) {
      if (disk_full_ && reserve_.fill()) disk_full_ = false;
      if (!writer_->forget_until(now, kForgetPortion)) next_look_ = now + kSecond;
      if (connection_->fault() == Fault::full) connection_->clear_fault();
    }
    if (connection_->fault() != Fault::none) {
      const std::lock_guard hold(mutex_);
      committed_.failure = connection_->fault_status();
      wake_();
      return;
    }
  }
}

/// Commits the group. A failure that is no lack of space is left in the connection.
void SqliteStore::write_group(std::vector<Records>& group) {
  const Lsn last = group.back().lsn;
  std::uint64_t bytes = 0;
  for (const Records& r : group) bytes += r.size();
  while (!write_or_shed(group)) {
    if (connection_->fault() != Fault::full) return;
    // Nothing can be acknowledged; what was said of accepted tasks is kept and tried again.
    connection_->clear_fault();
    std::unique_lock hold(mutex_);
    if (stopping_) {
      committed_.failure = {Code::internal, "store " + config_.path + ": the disk is full"};
      return;
    }
    hold.unlock();
    std::this_thread::sleep_for(kPatience);
  }
  {
    const std::lock_guard hold(mutex_);
    committed_.lsn = last;
    lag_ -= bytes;
    std::erase_if(refused_, [&](const Refused& r) { return r.until != 0 && r.until <= last; });
  }
  wake_();
}

/// On a full disk new tasks are refused, and the space held back takes what is said of those that were accepted.
bool SqliteStore::write_or_shed(std::vector<Records>& group) {
  if (disk_full_) refuse_batches(group);
  if (writer_->commit(group, refused_ranges())) return true;
  if (connection_->fault() != Fault::full) return false;
  connection_->clear_fault();
  disk_full_ = true;
  next_look_ = wall_now() + kSecond;
  reserve_.release();
  refuse_batches(group);
  return writer_->commit(group, refused_ranges());
}

void SqliteStore::refuse_batches(const std::vector<Records>& group) {
  const std::lock_guard hold(mutex_);
  for (const Records& r : group) {
    for (const BatchRow& b : r.batches) {
      const bool known =
          std::any_of(refused_.begin(), refused_.end(), [&](const Refused& x) { return x.range.first == b.first; });
      if (known) continue;
      refused_.push_back({{b.first, b.count}, 0});
      committed_.refused.push_back(
          {b.first, b.count, "the disk of the store is full; submit again when there is space"});
    }
  }
}

std::vector<NumberRange> SqliteStore::refused_ranges() {
  const std::lock_guard hold(mutex_);
  std::vector<NumberRange> ranges;
  for (const Refused& r : refused_) ranges.push_back(r.range);
  std::sort(ranges.begin(), ranges.end(), [](const NumberRange& a, const NumberRange& b) { return a.first < b.first; });
  return ranges;
}

void SqliteStore::read_loop() {
  bool first = true;
  for (;;) {
    std::variant<Claim, Question> question;
    {
      std::unique_lock hold(mutex_);
      to_read_.wait(hold, [this] { return stopping_ || !questions_.empty(); });
      if (stopping_) return;
      question = std::move(questions_.front());
      questions_.pop_front();
    }
    if (const Claim* claim = std::get_if<Claim>(&question)) {
      auto page = reader_->claim(claim_next_, opened_.next_number, claim->tasks, std::exchange(first, false));
      const std::lock_guard hold(mutex_);
      if (page) {
        claimed_.push_back(std::move(*page));
      } else if (committed_.failure.ok()) {
        committed_.failure = page.status();
      }
    } else {
      const Question& q = std::get<Question>(question);
      HistoryPage page = reader_->history(q.request, q.query);
      const std::lock_guard hold(mutex_);
      pages_.push_back(std::move(page));
    }
    wake_();
  }
}

}  // namespace futured::store

#include "daemon/store/memory_store.hpp"

#include <algorithm>
#include <utility>

namespace futured::store {

namespace {
/// The batch of a number; there is one for each that has a task or an outcome.
template <class Batches>
auto batch_of(Batches& batches, TaskNumber number) {
  auto it = batches.upper_bound(number);
  if (it == batches.begin()) return batches.end();
  --it;
  return number < it->first + it->second.count ? it : batches.end();
}
}  // namespace

void MemoryStore::Image::drop_batch_of(TaskNumber number) {
  const auto it = batch_of(batches, number);
  if (it == batches.end()) return;
  const TaskNumber end = it->first + it->second.count;
  const auto task = tasks.lower_bound(it->first);
  const auto outcome = outcomes.lower_bound(it->first);
  const bool used = (task != tasks.end() && task->first < end) || (outcome != outcomes.end() && outcome->first < end);
  if (!used) batches.erase(it);
}

void MemoryStore::Image::apply(const Records& r) {
  for (const BatchRow& b : r.batches) batches.emplace(b.first, b);
  for (const TaskRow& t : r.tasks) tasks[t.number] = {t, {}};
  for (const ProgressRow& p : r.progress) {
    if (const auto it = tasks.find(p.number); it != tasks.end()) it->second.progress = p.data;
  }
  for (const OutcomeRow& o : r.outcomes) {
    tasks.erase(o.number);
    outcomes[o.number] = o;
  }
  for (const TaskNumber n : r.taken) {
    if (const auto it = outcomes.find(n); it != outcomes.end()) it->second.taken = true;
  }
  for (const TaskNumber n : r.forgotten) {
    outcomes.erase(n);
    drop_batch_of(n);
  }
  for (const StreamRow& s : r.streams) {
    if (s.gone) {
      streams.erase(s.stream);
    } else {
      streams[s.stream] = s.accepted;
    }
  }
  for (const SettingRow& s : r.settings) {
    if (s.removed) {
      settings.erase(s.name);
    } else {
      settings[s.name] = s.data;
    }
  }
  for (const WorkerRow& w : r.workers) {
    if (w.gone) {
      workers.erase(w.instance);
    } else {
      workers[w.instance] = w.data;
    }
  }
  next_number = std::max(next_number, r.numbers_until);
}

MemoryStore::MemoryStore(std::shared_ptr<Image> image, std::string id, std::uint32_t epoch) : image_(std::move(image)) {
  if (image_->id.empty()) image_->id = std::move(id);
  image_->epoch = std::max(image_->epoch + 1, epoch);
  opened_.id = image_->id;
  opened_.epoch = image_->epoch;
  opened_.next_number = claim_end_ = image_->next_number;
  for (const auto& [name, data] : image_->settings) opened_.settings.push_back({name, data, false});
  for (const auto& [instance, data] : image_->workers) opened_.workers.push_back({instance, data, false});
  opened_.live = image_->tasks.size();
}

void MemoryStore::append(Records records) {
  appended_ = records.lsn;
  lag_ += records.size();
  waiting_.push_back(std::move(records));
  if (!held_) commit(appended_);
}

void MemoryStore::commit(Lsn lsn) {
  while (!waiting_.empty() && waiting_.front().lsn <= lsn) {
    image_->apply(waiting_.front());
    committed_.lsn = waiting_.front().lsn;
    lag_ -= waiting_.front().size();
    waiting_.pop_front();
  }
}

Committed MemoryStore::take_committed() { return std::exchange(committed_, {committed_.lsn, {}, {}}); }

void MemoryStore::claim(std::uint32_t tasks) {
  Claimed page;
  if (claim_next_ == 1) {
    for (const auto& [stream, accepted] : image_->streams) page.streams.push_back({stream, accepted, false});
  }
  auto task = image_->tasks.lower_bound(claim_next_);
  auto outcome = image_->outcomes.lower_bound(claim_next_);
  const auto number_of = [&](const auto& it, const auto& map) {
    return it == map.end() ? claim_end_ : std::min(it->first, claim_end_);
  };
  TaskNumber last_batch = 0;
  for (std::uint32_t n = 0; n < tasks;) {
    const TaskNumber next = std::min(number_of(task, image_->tasks), number_of(outcome, image_->outcomes));
    claim_next_ = next;
    if (next >= claim_end_) break;
    ++claim_next_;
    const bool is_task = task != image_->tasks.end() && task->first == next;
    const bool wanted = is_task || !outcome->second.taken;
    if (wanted) {
      const auto batch = batch_of(image_->batches, next);
      if (batch->first != last_batch) page.batches.push_back(batch->second);
      last_batch = batch->first;
      if (is_task) {
        page.tasks.push_back(task->second);
      } else {
        page.outcomes.push_back(outcome->second);
      }
      ++n;
    }
    if (is_task) {
      ++task;
    } else {
      ++outcome;
    }
  }
  page.last = claim_next_ >= claim_end_;
  claimed_.push_back(std::move(page));
}

bool MemoryStore::next_claimed(Claimed& page) {
  if (claimed_.empty()) return false;
  page = std::move(claimed_.front());
  claimed_.pop_front();
  return true;
}

void MemoryStore::ask(std::uint64_t request, const HistoryQuery& query) {
  HistoryPage page;
  page.request = request;
  const auto take = [&](const OutcomeRow& row) {
    const auto batch = batch_of(image_->batches, row.number);
    if (page.batches.empty() || page.batches.back().first != batch->first) page.batches.push_back(batch->second);
    page.outcomes.push_back(row);
    if (!query.with_results) page.outcomes.back().result = page.outcomes.back().input = {};
  };
  std::vector<TaskNumber> named = query.numbers;
  for (const TaskId& id : query.ids) {
    for (const auto& [first, batch] : image_->batches) {
      if (batch.stream == id.stream && id.seq >= batch.first_seq && id.seq < batch.first_seq + batch.count) {
        named.push_back(first + (id.seq - batch.first_seq));
      }
    }
  }
  if (!query.numbers.empty() || !query.ids.empty()) {
    std::sort(named.begin(), named.end(), std::greater<>());
    named.erase(std::unique(named.begin(), named.end()), named.end());
    for (const TaskNumber n : named) {
      if (const auto it = image_->outcomes.find(n); it != image_->outcomes.end()) take(it->second);
    }
  } else {
    auto it = query.from == 0 ? image_->outcomes.end() : image_->outcomes.upper_bound(query.from);
    while (it != image_->outcomes.begin()) {
      --it;
      if (it->first < query.down_to) break;
      if (query.state && it->second.state != *query.state) continue;
      if (page.outcomes.size() == query.limit) {
        page.next = it->first;
        break;
      }
      take(it->second);
    }
  }
  pages_.push_back(std::move(page));
}

bool MemoryStore::next_page(HistoryPage& page) {
  if (pages_.empty()) return false;
  page = std::move(pages_.front());
  pages_.pop_front();
  return true;
}

Status MemoryStore::close(TaskNumber next_number) {
  commit(appended_);
  image_->next_number = next_number;
  return {};
}

}  // namespace futured::store

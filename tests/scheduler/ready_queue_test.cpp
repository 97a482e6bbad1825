// The ready queue against a simple model that looks at everything.
#include <deque>
#include <random>

#include "tests/scheduler/fixture.hpp"

using namespace futured;
using namespace futured::scheduler;

namespace {

constexpr Time kNow = 1;

struct ModelFlow {
  FlowId id = kNoFlow;
  ClassId cls = 0;
  std::int32_t priority = 0;
  std::uint32_t client = 0;
  int limit = -1;
  std::deque<TaskSlot> waiting;
  std::vector<TaskSlot> away;  // popped, not ended
};

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {
    for (int n = 0; n < 2; ++n) queue_.add_class();
    for (int n = 0; n < 400; ++n) {
      const ExtentId extent = tasks_.open_extent(0, static_cast<Seq>(n), 1, 0);
      idle_.push_back(tasks_.add(extent));
    }
    for (int n = 0; n < 24; ++n) {
      ModelFlow f;
      f.cls = pick(2);
      f.priority = static_cast<std::int32_t>(pick(3));
      f.client = pick(4);
      f.limit = static_cast<int>(pick(4)) - 1;
      const std::string share = "share " + std::to_string(pick(2));
      const LimitId limit = f.limit < 0 ? kNoLimit : queue_.limit_named("limit " + std::to_string(f.limit));
      f.id = queue_.use_flow({f.cls, f.priority, share, f.client, limit});
      // Two that agree in everything are one.
      if (std::none_of(flows_.begin(), flows_.end(), [&](const ModelFlow& o) { return o.id == f.id; })) {
        flows_.push_back(f);
      }
    }
  }

  void step() {
    ModelFlow& f = flows_[pick(flows_.size())];
    switch (pick(8)) {
      case 0:
      case 1:
        if (!idle_.empty()) push(f);
        break;
      case 2:
        if (!f.waiting.empty()) remove(f);
        break;
      case 3:
        if (!f.away.empty()) end(f);
        break;
      case 4: {
        const std::uint32_t client = pick(4);
        held_[client] = !held_[client];
        queue_.hold(client, held_[client]);
        break;
      }
      case 5: {
        const std::uint32_t limit = pick(3);
        bound_[limit] = pick(4);
        queue_.set_limit("limit " + std::to_string(limit), bound_[limit], 0, 0, bound_[limit] != 0, kNow);
        break;
      }
      default:
        for (std::uint32_t n = pick(4); n > 0; --n) pop(pick(2));
    }
    queue_.advance(kNow, [](ClassId) {});
    check();
  }

 private:
  std::uint32_t pick(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool may_start(const ModelFlow& f) const {
    if (f.waiting.empty() || held_[f.client]) return false;
    return f.limit < 0 || bound_[f.limit] == 0 || in_use_[f.limit] < bound_[f.limit];
  }
  void push(ModelFlow& f) {
    const TaskSlot slot = idle_.back();
    idle_.pop_back();
    const bool front = pick(4) == 0;
    tasks_[slot].eligible = moment(kNow);
    queue_.push(f.id, slot, front);
    if (front) {
      f.waiting.push_front(slot);
    } else {
      f.waiting.push_back(slot);
    }
  }
  void remove(ModelFlow& f) {
    const auto at = f.waiting.begin() + pick(f.waiting.size());
    queue_.remove(f.id, *at);
    idle_.push_back(*at);
    f.waiting.erase(at);
  }
  void end(ModelFlow& f) {
    if (f.limit >= 0) --in_use_[f.limit];
    queue_.ended(f.id, kNow);
    idle_.push_back(f.away.back());
    f.away.pop_back();
  }
  void pop(ClassId cls) {
    const ModelFlow* best = nullptr;
    for (const ModelFlow& f : flows_) {
      if (f.cls == cls && may_start(f) && (best == nullptr || f.priority > best->priority)) best = &f;
    }
    queue_.advance(kNow, [](ClassId) {});
    REQUIRE(queue_.prepare(cls, kNow) == (best != nullptr));
    if (best == nullptr) return;
    CHECK(queue_.priority(cls) == best->priority);
    const TaskSlot head = queue_.head(cls);
    const TaskSlot slot = queue_.pop(cls, kNow);
    CHECK(slot == head);
    const auto of = std::find_if(flows_.begin(), flows_.end(),
                                 [&](const ModelFlow& f) { return !f.waiting.empty() && f.waiting.front() == slot; });
    REQUIRE(of != flows_.end());
    CHECK(of->cls == cls);
    CHECK(of->priority == best->priority);
    CHECK(may_start(*of));
    of->waiting.pop_front();
    of->away.push_back(slot);
    if (of->limit >= 0) ++in_use_[of->limit];
  }
  void check() const {
    std::uint64_t all = 0;
    std::uint64_t of_class[2] = {0, 0};
    for (const ModelFlow& f : flows_) {
      all += f.waiting.size();
      of_class[f.cls] += f.waiting.size();
      CHECK(queue_.is_held(f.id) == held_[f.client]);
      if (queue_.is_parked(f.id)) CHECK(f.limit >= 0);
    }
    REQUIRE(queue_.size() == all);
    for (ClassId cls = 0; cls < 2; ++cls) REQUIRE(queue_.size(cls) + queue_.held(cls) == of_class[cls]);
    for (int l = 0; l < 3; ++l) {
      const LimitId id = queue_.limits().find("limit " + std::to_string(l));
      if (id != kNoLimit) CHECK(queue_.limits()[id].in_use == in_use_[l]);
    }
  }

  std::mt19937 random_;
  TaskTable tasks_;
  ReadyQueue queue_{tasks_};
  std::vector<ModelFlow> flows_;
  std::vector<TaskSlot> idle_;
  bool held_[4] = {};
  std::uint32_t bound_[3] = {}, in_use_[3] = {};
};

}  // namespace

TEST_CASE(
    "the ready queue hands out what the model would: the highest priority that may start, first come first served") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Model model(seed);
    for (int n = 0; n < 2'000; ++n) model.step();
  }
}

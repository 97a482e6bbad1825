#include "client/session/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace futured;
using namespace futured::client;

namespace {

constexpr Time kSecond = 1000 * kMillisecond;
const SpecRef kSpec = std::make_shared<int>(1);
const SpecRef kOther = std::make_shared<int>(2);

StreamId stream(std::uint8_t n) {
  StreamId s;
  s.bytes.fill(n);
  return s;
}

/// A session and what a test says to it.
struct Client {
  explicit Client(SessionOptions options = {}) : session(stream(1), options, 0) {}

  template <class T>
  std::optional<T> next(Time now = 0) {
    auto o = session.next(now);
    if (!o) return std::nullopt;
    REQUIRE(std::holds_alternative<T>(*o));
    return std::get<T>(std::move(*o));
  }
  bool idle(Time now = 0) { return !session.has_orders(now) && !session.next(now); }
  order::Hello hello(Time now = 0) {
    REQUIRE(next<order::Connect>(now));
    session.connected(now);
    auto h = next<order::Hello>(now);
    REQUIRE(h);
    return *h;
  }
  std::vector<Handle> welcome(std::uint64_t window = 1000, Time now = 0, bool resumed = false, Seq accepted = 0,
                              std::string instance = "one", std::uint64_t bytes = 1 << 20) {
    std::vector<Handle> lost;
    const Status s =
        session.on_welcome({std::move(instance), accepted, accepted + window, bytes, resumed, 5 * kSecond}, now, lost);
    CHECK(s.ok());
    return lost;
  }
  void up(std::uint64_t window = 1000) {
    hello();
    welcome(window);
  }
  void submit(std::size_t n, std::string_view payload = "xx") {
    for (std::size_t i = 0; i < n; ++i) session.submit(kSpec, payload);
  }
  std::vector<std::uint32_t> outcomes(std::uint64_t first, std::vector<Handle> handles, Time now = 0) {
    std::vector<std::uint32_t> fresh;
    const std::vector<std::uint64_t> sizes(handles.size(), 10);
    CHECK(session.on_outcomes(first, handles, sizes, now, fresh).ok());
    return fresh;
  }
  void accept(Seq first, std::uint64_t n, std::uint64_t window = 1000) {
    CHECK(session.on_accepted(first, n, first + n + window, 1 << 20, 0).ok());
  }
  Session session;
};

}  // namespace

TEST_CASE("the first order is to connect, then to say hello; nothing else leaves before the welcome") {
  Client c;
  c.submit(3);
  const auto h = c.hello();
  CHECK(h.first_unacked == 0);
  CHECK(h.processed_delivery == 0);
  CHECK(h.credit_tasks == SessionOptions().result_window_tasks);
  CHECK(c.idle());
  c.welcome();
  const auto s = c.next<order::Submit>();
  REQUIRE(s);
  CHECK(s->range.first_seq() == 0);
  CHECK(s->range.count == 3);
  CHECK(c.idle());
}

TEST_CASE("batches are clocked by acknowledgements") {
  Client c;
  c.up();
  c.submit(1);
  CHECK(c.next<order::Submit>()->range.count == 1);
  c.submit(1);  // one may be on its way
  CHECK(c.next<order::Submit>()->range.count == 1);
  c.submit(100);
  CHECK(c.idle());
  c.submit(156);
  CHECK(c.next<order::Submit>()->range.count == 256);
  c.submit(5);
  CHECK(c.idle());
  c.accept(0, 1);
  CHECK(c.idle());
  c.accept(1, 1);
  CHECK(c.next<order::Submit>()->range.count == 5);
}

TEST_CASE("16 KiB of input leave without waiting") {
  Client c;
  c.up();
  for (int i = 0; i < 2; ++i) {
    c.submit(1);
    REQUIRE(c.next<order::Submit>());
  }
  c.session.submit(kSpec, std::string_view(std::string(5000, 'x')));
  CHECK(c.idle());
  c.session.submit(kSpec, Slice::of(std::string(12000, 'y')));
  const auto s = c.next<order::Submit>();
  REQUIRE(s);
  CHECK(s->range.batch->framed.size() == 1);
  CHECK(s->range.batch->framed[0].index == 1);
  CHECK(s->range.batch->blob.size() == 5000);
}

TEST_CASE("never more is sent than both submit credits allow") {
  Client c;
  c.hello();
  c.welcome(4, 0, false, 0, "one", 10);
  CHECK(c.session.has_room(10));
  CHECK_FALSE(c.session.has_room(11));
  c.submit(6);
  CHECK_FALSE(c.session.has_room(0));
  CHECK(c.next<order::Submit>()->range.count == 4);
  CHECK(c.idle());
  CHECK(c.session.on_accepted(0, 4, 100, 10, 0).ok());
  CHECK(c.next<order::Submit>()->range.count == 1);
  CHECK(c.idle());
  CHECK(c.session.on_accepted(4, 1, 100, 12, 0).ok());
  CHECK(c.next<order::Submit>()->range.count == 1);
}

TEST_CASE("full is what the daemon says, or a window that no answer will widen") {
  Client c;
  CHECK(c.session.stays_full());  // no connection
  c.hello();
  c.welcome(2);
  c.submit(2);
  CHECK_FALSE(c.session.has_room(0));
  CHECK_FALSE(c.session.stays_full());  // an answer is due
  REQUIRE(c.next<order::Submit>());
  CHECK(c.session.on_accepted(0, 1, 2, 1 << 20, 0, true).ok());
  CHECK(c.session.stays_full());
  CHECK(c.session.on_accepted(1, 0, 2, 1 << 20, 0, false).ok());
  CHECK_FALSE(c.session.stays_full());
  CHECK(c.session.on_accepted(1, 1, 2, 1 << 20, 0, false).ok());
  CHECK(c.session.stays_full());  // nothing is under way
  CHECK(c.session.on_accepted(2, 0, 3, 1 << 20, 0, true).ok());
  c.session.on_lost(0);
  c.hello(2 * kSecond);
  c.welcome(0, 2 * kSecond, true, 2);
  c.submit(1);
  CHECK_FALSE(c.session.stays_full());  // another connection, another word
}

TEST_CASE("after a reconnect what was not accepted is sent again with the same seqs") {
  Client c;
  c.up();
  c.submit(10);
  REQUIRE(c.next<order::Submit>());
  c.submit(5);
  c.session.on_lost(kSecond);
  const auto h = c.hello(3 * kSecond);
  CHECK(h.first_unacked == 0);
  CHECK(h.daemon_instance == "one");
  CHECK(c.session.generation() == 2);
  CHECK(c.welcome(1000, 3 * kSecond, true, 4).empty());
  const auto first = c.next<order::Submit>(3 * kSecond);
  CHECK(first->range.first_seq() == 4);
  CHECK(first->range.count == 6);
  c.accept(4, 6);
  const auto second = c.next<order::Submit>(3 * kSecond);
  CHECK(second->range.first_seq() == 10);
  CHECK(second->range.count == 5);
}

TEST_CASE("a daemon that does not know the stream any more has lost what was acknowledged, and only that") {
  Client c;
  c.up();
  c.submit(10);
  REQUIRE(c.next<order::Submit>());
  c.accept(0, 6);
  CHECK(c.outcomes(0, {2, 3}).size() == 2);
  c.session.on_lost(0);
  CHECK(c.hello(kSecond).first_unacked == 6);
  const auto lost = c.welcome(1000, kSecond, false, 6, "two");
  CHECK(lost == std::vector<Handle>{0, 1, 4, 5});
  CHECK(c.session.awaited() == 4);
  const auto again = c.next<order::Submit>(kSecond);
  CHECK(again->range.first_seq() == 6);
  CHECK(again->range.count == 4);
  // Deliveries of the new daemon begin where they like, once.
  CHECK(c.outcomes(0, {6}, kSecond).size() == 1);
  std::vector<std::uint32_t> fresh;
  const std::vector<Handle> gap{7};
  const std::vector<std::uint64_t> sizes{1};
  CHECK_FALSE(c.session.on_outcomes(5, gap, sizes, kSecond, fresh).ok());
}

TEST_CASE("bytes of a daemon that begins anew are counted anew") {
  Client c;
  c.hello();
  c.welcome(1000, 0, false, 0, "one", 100);
  c.submit(1, std::string(90, 'x'));
  REQUIRE(c.next<order::Submit>());
  CHECK(c.session.on_accepted(0, 1, 1000, 190, 0).ok());
  c.submit(1, std::string(80, 'x'));
  c.session.on_lost(0);
  c.hello(kSecond);
  c.welcome(1000, kSecond, false, 1, "two", 100);
  CHECK(c.next<order::Submit>(kSecond)->range.count == 1);
  CHECK(c.session.has_room(20));
  CHECK_FALSE(c.session.has_room(21));
}

TEST_CASE("an outcome resolves its handle once, however often it is delivered") {
  Client c;
  c.up();
  c.submit(3);
  REQUIRE(c.next<order::Submit>());
  c.accept(0, 3);
  CHECK(c.outcomes(0, {1, 0}) == std::vector<std::uint32_t>{0, 1});
  CHECK(c.outcomes(0, {1, 0, 2}) == std::vector<std::uint32_t>{2});
  CHECK(c.outcomes(0, {1, 0, 2}).empty());
  CHECK(c.outcomes(3, {2}).empty());
  CHECK(c.outcomes(4, {77}).empty());
  CHECK(c.session.awaited() == 0);
}

TEST_CASE("missing deliveries break the connection, which resumes where it was") {
  Client c;
  c.up();
  c.submit(3);
  REQUIRE(c.next<order::Submit>());
  c.accept(0, 3);
  CHECK(c.outcomes(0, {0}).size() == 1);
  std::vector<std::uint32_t> fresh;
  const std::vector<Handle> handles{1};
  const std::vector<std::uint64_t> sizes{1};
  CHECK_FALSE(c.session.on_outcomes(2, handles, sizes, 0, fresh).ok());
  CHECK(fresh.empty());
  CHECK(c.session.phase() == Session::Phase::down);
  CHECK(c.hello(kSecond).processed_delivery == 1);
}

TEST_CASE("what was taken is told after 100 ms, or when half a window is used") {
  SessionOptions o;
  o.result_window_tasks = 10;
  Client c(o);
  c.up();
  c.submit(10);
  REQUIRE(c.next<order::Submit>());
  c.accept(0, 10);
  c.outcomes(0, {0}, kSecond);
  CHECK(c.idle(kSecond));
  CHECK(c.session.next_deadline() == kSecond + 100 * kMillisecond);
  auto d = c.next<order::Delivered>(kSecond + 100 * kMillisecond);
  REQUIRE(d);
  CHECK(d->processed == 1);
  CHECK(d->credit_tasks == 11);
  CHECK(d->credit_bytes == 10 + o.result_window_bytes);
  CHECK(c.idle(kSecond + 100 * kMillisecond));
  c.outcomes(1, {1, 2, 3, 4}, 2 * kSecond);
  CHECK(c.idle(2 * kSecond));
  c.outcomes(5, {5}, 2 * kSecond);
  CHECK(c.next<order::Delivered>(2 * kSecond)->processed == 6);
}

TEST_CASE("a hello without an answer is tried again after a growing pause") {
  Client c;
  Time now = 0;
  Time pause = 0;
  for (int i = 0; i < 12; ++i) {
    c.hello(now);
    CHECK(c.session.next_deadline() == now + kSecond);
    now += kSecond;
    c.session.on_time(now);
    CHECK(c.session.phase() == Session::Phase::down);
    const Time next = c.session.next_deadline();
    pause = next - now;
    CHECK(pause >= 25 * kMillisecond);
    CHECK(pause <= kSecond);
    CHECK(c.idle(next - 1));
    now = next;
  }
  CHECK(pause >= kSecond / 2);
}

TEST_CASE("a silent daemon is left after three heartbeats; any message counts") {
  Client c;
  c.up();
  CHECK(c.session.next_deadline() == 15 * kSecond);
  c.session.heard(10 * kSecond);
  c.session.on_time(15 * kSecond);
  CHECK(c.session.phase() == Session::Phase::up);
  c.session.on_time(25 * kSecond);
  CHECK(c.session.phase() == Session::Phase::down);
}

TEST_CASE("refused for good ends the session; not now is tried again") {
  std::vector<Handle> lost;
  Client now_not;
  now_not.hello();
  now_not.session.on_refused({Code::refused, "draining"}, stream(9), 0, lost);
  CHECK(now_not.session.phase() == Session::Phase::down);
  Client never;
  never.hello();
  never.session.on_refused({Code::not_allowed, "who are you"}, stream(9), 0, lost);
  CHECK(never.session.phase() == Session::Phase::ended);
  CHECK(never.session.end_reason().code() == Code::not_allowed);
  CHECK(never.idle(1000 * kSecond));
}

TEST_CASE("a stream that the daemon has given up is replaced; what was acknowledged is lost") {
  Client c;
  c.up();
  c.submit(4);
  REQUIRE(c.next<order::Submit>());
  c.accept(0, 3);
  c.session.on_lost(0);
  c.hello(kSecond);
  std::vector<Handle> lost;
  c.session.on_refused({Code::forgotten, "given up"}, stream(9), kSecond, lost);
  CHECK(lost == std::vector<Handle>{0, 1, 2});
  const auto h = c.hello(3 * kSecond);
  CHECK(h.stream == stream(9));
  CHECK(h.first_unacked == 3);
}

TEST_CASE("a session without a connection for too long gives up") {
  SessionOptions o;
  o.give_up_after = 10 * kSecond;
  Client c(o);
  c.up();
  c.session.on_lost(20 * kSecond);
  c.hello(20 * kSecond + 2 * kSecond);
  c.session.on_time(30 * kSecond);
  CHECK(c.session.phase() == Session::Phase::ended);
}

TEST_CASE("a cancel leaves after its tasks, once per connection, until it is answered") {
  Client c;
  c.up();
  for (int i = 0; i < 2; ++i) {
    c.submit(1);
    REQUIRE(c.next<order::Submit>());
  }
  c.submit(1);
  order::Cancel cancel;
  cancel.handles = {2};
  const auto request = c.session.cancel(cancel);
  CHECK(c.idle());
  c.accept(0, 1);
  REQUIRE(c.next<order::Submit>());
  CHECK(c.next<order::Cancel>()->request == request);
  CHECK(c.idle());
  c.session.on_lost(0);
  c.hello(kSecond);
  c.welcome(1000, kSecond, true, 3);
  CHECK(c.next<order::Cancel>(kSecond)->request == request);
  CHECK(c.session.on_cancelled(request));
  CHECK_FALSE(c.session.on_cancelled(request));
  CHECK(c.idle(kSecond));
}

TEST_CASE("attached tasks have handles of their own and are asked for again from a daemon that does not know us") {
  Client c;
  c.up();
  order::Attach a;
  a.tasks = {{7, ""}, {8, ""}, {9, ""}};
  const auto asked = c.session.attach(a);
  CHECK(asked.first_handle == kAttachBit);
  CHECK(c.next<order::Attach>()->request == asked.request);
  std::vector<Handle> resolved;
  const std::vector<std::uint32_t> unknown{1};
  CHECK(c.session.on_attached(asked.request, unknown, resolved));
  CHECK(resolved == std::vector<Handle>{kAttachBit + 1});
  c.session.attached_is(kAttachBit + 2, "sixteen bytes id");
  CHECK(c.outcomes(0, {kAttachBit}) == std::vector<std::uint32_t>{0});
  c.session.on_lost(0);
  c.hello(kSecond);
  c.welcome(1000, kSecond, false, 0, "two");
  const auto again = c.next<order::Attach>(kSecond);
  REQUIRE(again);
  CHECK(again->first_handle == kAttachBit + 2);
  CHECK(again->tasks.size() == 1);
  // By its id: number 9 may be another task there.
  CHECK(again->tasks[0].number == 0);
  CHECK(again->tasks[0].id == "sixteen bytes id");
  CHECK(c.idle(kSecond));
}

TEST_CASE("output that is repeated is told apart, and what was consumed is told") {
  Client c;
  c.up();
  c.submit(1);
  REQUIRE(c.next<order::Submit>());
  CHECK(c.session.on_output(0, 1, 0, 100) == 0);
  CHECK(c.session.on_output(0, 1, 50, 100) == 50);
  CHECK(c.session.on_output(0, 1, 0, 150) == 150);
  CHECK(c.session.on_output(0, 2, 0, 10) == 0);
  CHECK(c.session.on_output(0, 1, 150, 10) == 10);
  CHECK(c.session.on_output(5, 1, 0, 10) == 10);
  c.session.output_taken(0, 2, 10, 0);
  const auto d = c.next<order::Delivered>(100 * kMillisecond);
  REQUIRE(d);
  REQUIRE(d->output.size() == 1);
  CHECK(d->output[0].attempt == 2);
  CHECK(d->output[0].bytes == 10);
  CHECK(c.session.on_output(0, 2, 10, 128 << 10) == 0);
  c.session.output_taken(0, 2, 10 + (128 << 10), kSecond);
  CHECK(c.session.has_orders(kSecond));
}

TEST_CASE("specs of neighbours share a batch; the column names them") {
  SubmitQueue q;
  q.credit(1000, 1000);
  q.add(kSpec, std::string_view("a"));
  q.add(kSpec, std::string_view("b"));
  q.add(kOther, std::string_view("c"));
  q.add(kSpec, std::string_view("d"));
  const auto r = q.next();
  REQUIRE(r);
  CHECK(r->count == 4);
  CHECK(r->batch->specs.size() == 2);
  CHECK(r->batch->spec_of == std::vector<std::uint32_t>{0, 0, 1, 0});
}

TEST_CASE("large specs do not share a batch") {
  SubmitQueue q;
  q.credit(1000, 1000);
  std::vector<SpecRef> specs;
  for (int i = 0; i < 3; ++i) {
    specs.emplace_back(std::make_shared<int>(i), SubmitQueue::kBatchSpecBytes / 2);
    q.add(specs.back(), std::string_view("a"));
  }
  q.add(specs[2], std::string_view("b"));
  CHECK(q.next()->batch->specs.size() == 2);
  const auto second = q.next();
  REQUIRE(second);
  CHECK(second->count == 2);
  CHECK(second->batch->specs.size() == 1);
}

TEST_CASE("nonsense from the daemon is refused and changes nothing") {
  Client c;
  c.up();
  c.submit(2);
  REQUIRE(c.next<order::Submit>());
  CHECK_FALSE(c.session.on_accepted(0, 3, 100, 100, 0).ok());
  CHECK(c.session.unaccepted() == 2);
  Client d;
  d.up();
  CHECK_FALSE(d.session.on_accepted(UINT64_MAX, 2, 100, 100, 0).ok());
  Client e;
  e.submit(1);
  e.hello();
  std::vector<Handle> lost;
  CHECK_FALSE(e.session.on_welcome({"x", 5, 10, 10, true, 0}, 0, lost).ok());
  CHECK(e.session.phase() == Session::Phase::down);
}

TEST_CASE("histories of losses, restarts and repetitions: each task resolves exactly once") {
  // A small daemon model: it knows accepted seqs and delivers their outcomes; connections and daemons die at random.
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto chance = [&random](std::uint32_t percent) { return random() % 100 < percent; };
    SessionOptions o;
    o.seed = seed;
    o.result_window_tasks = 1 + random() % 50;
    Client c(o);
    Time now = 0;
    std::vector<int> resolved;  // by seq
    std::uint64_t instance = 1;
    bool knows = false;
    bool connected = false;
    Seq accepted = 0;
    std::vector<Handle> undelivered;  // accepted, in order of their end
    std::vector<Handle> delivered;    // all deliveries of this daemon's session
    std::uint64_t base = 0, sent = 0, credit = 0;
    const auto connection_gone = [&] {
      connected = false;
      c.session.on_lost(now);
    };
    const auto mark = [&](Handle h) { ++resolved[h]; };
    bool quiet = false;
    for (int step = 0; step < 2000; ++step) {
      now += static_cast<Time>(random() % 20) * kMillisecond;
      quiet = step > 1000;
      if (quiet && c.session.awaited() == 0) break;
      if (!quiet && chance(30) && c.session.has_room(3)) {
        for (std::uint32_t i = random() % 20; i > 0 && c.session.has_room(3); --i) {
          c.session.submit(kSpec, std::string_view("abc"));
          resolved.push_back(0);
        }
      }
      if (!quiet && chance(2)) connection_gone();
      if (!quiet && chance(1)) {  // the daemon forgets everything
        ++instance;
        knows = false;
        connection_gone();
      }
      if (now >= c.session.next_deadline()) c.session.on_time(now);
      while (auto order = c.session.next(now)) {
        if (std::holds_alternative<order::Connect>(*order)) {
          if (chance(20)) {
            c.session.on_lost(now);
            break;
          }
          c.session.connected(now);
        } else if (const auto* h = std::get_if<order::Hello>(&*order)) {
          const bool resumed = knows;
          if (!knows) {
            knows = true;
            accepted = h->first_unacked;
            base = h->processed_delivery;
            delivered.clear();
            undelivered.clear();
          }
          sent = h->processed_delivery - base;
          REQUIRE(sent <= delivered.size());
          credit = h->credit_tasks;
          connected = true;
          std::vector<Handle> lost;
          REQUIRE(
              c.session
                  .on_welcome({std::to_string(instance), accepted, accepted + 40, accepted * 3 + 200, resumed, kSecond},
                              now, lost)
                  .ok());
          for (const Handle l : lost) mark(l);
        } else if (const auto* s = std::get_if<order::Submit>(&*order)) {
          if (!connected) continue;
          REQUIRE(s->range.first_seq() <= accepted);
          const Seq end = s->range.first_seq() + s->range.count;
          for (; accepted < end; ++accepted) undelivered.push_back(accepted);
          if (chance(80)) {
            REQUIRE(c.session.on_accepted(s->range.first_seq(), s->range.count, accepted + 40, 1 << 30, now).ok());
          }
        } else if (const auto* d = std::get_if<order::Delivered>(&*order)) {
          REQUIRE(d->processed <= base + sent);
          credit = std::max(credit, d->credit_tasks);
        }
      }
      if (connected && knows) {
        // An acknowledgement may have been lost with its connection only; here it comes late.
        REQUIRE(c.session.on_accepted(accepted, 0, accepted + 40, 1 << 30, now).ok());
        std::shuffle(undelivered.begin(), undelivered.end(), random);
        while (!undelivered.empty() && (quiet || chance(60))) {
          delivered.push_back(undelivered.back());
          undelivered.pop_back();
        }
        const std::uint64_t begin = chance(10) && sent > 0 ? sent - 1 : sent;  // sometimes one again
        std::vector<Handle> handles;
        for (std::uint64_t i = begin; i < delivered.size() && base + i < credit; ++i) handles.push_back(delivered[i]);
        if (!handles.empty()) {
          std::vector<std::uint32_t> fresh;
          const std::vector<std::uint64_t> sizes(handles.size(), 1);
          REQUIRE(c.session.on_outcomes(base + begin, handles, sizes, now, fresh).ok());
          for (const std::uint32_t i : fresh) mark(handles[i]);
          sent = std::max<std::uint64_t>(sent, begin + handles.size());
        }
      }
    }
    CHECK(c.session.awaited() == 0);
    CHECK(std::all_of(resolved.begin(), resolved.end(), [](int n) { return n == 1; }));
  }
}

#include "worker/translate.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <type_traits>

#include "proto/ack_clock.hpp"

namespace futured::worker {
namespace {

static_assert(AckClock::kElements == wire::kBatchTasks && AckClock::kBytes == wire::kBatchBytes);
static_assert(Reports::kMostElements == wire::kMaxBatchTasks && Reports::kMostFrames == wire::kMaxFrames &&
              Reports::kFramedFrom == wire::kFramedFrom);

std::string tokens_of(const std::vector<AttemptToken>& tokens) {
  std::string raw;
  raw.reserve(tokens.size() * kTokenBytes);
  for (const AttemptToken& t : tokens) put_token(raw, t);
  return raw;
}

template <class M>
void set_credits(M& message, const Credits& credits) {
  message.set_thread_credit(credits.lane[static_cast<std::size_t>(Lane::thread)]);
  message.set_async_credit(credits.lane[static_cast<std::size_t>(Lane::async)]);
}

std::string first_line(const char* path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string amount_text(std::int64_t ten_thousandths) {
  std::string text = std::to_string(ten_thousandths / 10000);
  if (std::int64_t rest = ten_thousandths % 10000; rest > 0) {
    std::string digits = std::to_string(10000 + rest).substr(1);
    digits.erase(digits.find_last_not_of('0') + 1);
    text += "." + digits;
  }
  return text;
}

}  // namespace

void describe_this_process(Identity& identity) {
  identity.software = "futured-worker " FUTURED_VERSION;
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) == 0) identity.host = host;
  identity.pid = static_cast<std::uint32_t>(::getpid());
  identity.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  char random[16] = {};
  if (::getrandom(random, sizeof random, 0) == sizeof random) identity.instance.assign(random, sizeof random);
  // Field 22 counts from 1; the second one, the name in parentheses, may itself hold blanks and parentheses.
  const std::string stat = first_line("/proc/self/stat");
  if (const std::size_t end = stat.rfind(')'); end != std::string::npos) {
    std::istringstream fields(stat.substr(end + 1));
    std::string skipped;
    for (int i = 3; i < 22; ++i) fields >> skipped;
    fields >> identity.start_time;
  }
}

v1::TaskType to_wire(const TaskType& type, bool with_schema) {
  v1::TaskType t;
  t.set_name(type.name);
  t.set_lane(type.lane == Lane::async ? v1::LANE_ASYNC : v1::LANE_THREAD);
  t.set_summary(type.summary);
  t.set_input_type(type.input_type);
  t.set_reply_type(type.reply_type);
  t.set_max_concurrency(type.max_concurrency);
  t.set_flags(type.flags);
  if (type.plugin != nullptr) {
    t.set_plugin(type.plugin->name);
    t.set_plugin_version(type.plugin->version);
    t.set_schema_kind(type.plugin->schema_kind);
    if (with_schema) t.set_schema(std::string(type.plugin->schema));
  }
  return t;
}

void Translator::set_types(std::vector<const TaskType*> types) {
  types_ = std::move(types);
  number_of_.clear();
  for (std::uint32_t i = 0; i < types_.size(); ++i) number_of_.emplace(types_[i]->name, i);
}

wire::Frames Translator::encode(const Message& message, const Session& session) {
  const std::uint16_t generation = session.generation();
  return std::visit(
      [&](const auto& m) -> wire::Frames {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, SayHello>) {
          v1::Hello hello;
          hello.set_role(v1::Hello::WORKER);
          hello.set_version_min(wire::kVersion);
          hello.set_version_max(wire::kVersion);
          hello.set_software(identity_.software);
          hello.set_host(identity_.host);
          hello.set_pid(identity_.pid);
          hello.set_instance(identity_.instance);
          hello.set_pool(identity_.pool);
          hello.set_threads(identity_.threads);
          hello.set_async_slots(identity_.async_slots);
          hello.set_spawn(identity_.spawn);
          hello.set_start_time(identity_.start_time);
          hello.set_boot_id(identity_.boot_id);
          for (const TaskType* t : types_) *hello.add_types() = to_wire(*t, false);
          for (const auto& [name, value] : identity_.labels) {
            v1::Header* h = hello.add_labels();
            h->set_name(name);
            h->set_value(value);
          }
          v1::Limits* limits = hello.mutable_limits();
          limits->set_payload_bytes(session.payload_limit());
          limits->set_frame_bytes(wire::kFrameLimit);
          limits->set_frames(wire::kMaxFrames);
          limits->set_batch_tasks(wire::kMaxBatchTasks);
          set_credits(hello, m.credits);
          return wire::encode(v1::KIND_HELLO, generation, hello);
        } else if constexpr (std::is_same_v<M, SayAnnounce>) {
          v1::Announce announce;
          announce.set_running(tokens_of(m.running));
          announce.set_waiting(tokens_of(m.waiting));
          announce.set_ended(tokens_of(m.ended));
          announce.set_end(m.end);
          return wire::encode(v1::KIND_ANNOUNCE, generation, announce);
        } else if constexpr (std::is_same_v<M, SayRan>) {
          ran_.Clear();
          ran_.set_first_report(m.first);
          std::string* tokens = ran_.mutable_tokens();
          tokens->reserve(m.count * kTokenBytes);
          wire::PayloadWriter replies;
          for (std::uint32_t i = 0; i < m.count; ++i) {
            const Report& r = session.report(m.first + i);
            put_token(*tokens, r.token);
            replies.add(r.reply);
            if (r.failure == nullptr) continue;
            v1::Ran::Failure* f = ran_.add_failures();
            f->set_index(i);
            f->set_cancelled(r.cancelled);
            v1::Error* e = f->mutable_error();
            e->set_kind(static_cast<v1::ErrorKind>(r.failure->kind));
            e->set_message(r.failure->message);
            e->set_status(r.failure->status);
            e->set_signal(r.failure->signal);
            e->set_permanent(r.failure->permanent);
            e->set_retry_after_ns(r.failure->retry_after);
          }
          wire::Frames frames = replies.finish(*ran_.mutable_payloads());
          set_credits(ran_, m.credits);
          ran_.set_busy_ns(static_cast<std::uint64_t>(m.busy));
          return wire::encode(v1::KIND_RAN, generation, ran_, std::move(frames));
        } else if constexpr (std::is_same_v<M, SayRunning>) {
          v1::Running running;
          running.set_tokens(tokens_of(m.tokens));
          return wire::encode(v1::KIND_RUNNING, generation, running);
        } else if constexpr (std::is_same_v<M, SayCredit>) {
          v1::Credit credit;
          set_credits(credit, m.credits);
          return wire::encode(v1::KIND_CREDIT, generation, credit);
        } else if constexpr (std::is_same_v<M, SayRecalled>) {
          v1::Recalled recalled;
          recalled.set_tokens(tokens_of(m.tokens));
          for (const bool returned : m.returned) recalled.add_returned(returned);
          set_credits(recalled, m.credits);
          return wire::encode(v1::KIND_RECALLED, generation, recalled);
        } else if constexpr (std::is_same_v<M, SayGoodbye>) {
          v1::Goodbye goodbye;
          goodbye.set_reason(m.reason);
          return wire::encode(v1::KIND_GOODBYE, generation, goodbye);
        } else {
          static_assert(std::is_same_v<M, SayPing> || std::is_same_v<M, SayPong>);
          v1::Ping ping;
          ping.set_id(m.id);
          return wire::encode(std::is_same_v<M, SayPing> ? v1::KIND_PING : v1::KIND_PONG, generation, ping);
        }
      },
      message);
}

wire::Frames Translator::encode(Emission&& e, std::uint16_t generation) {
  v1::Emitted emitted;
  put_token(*emitted.mutable_token(), e.token);
  emitted.set_stream(e.stream);
  emitted.set_offset(e.offset);
  emitted.set_data(std::move(e.data));
  if (e.has_progress) {
    emitted.set_has_progress(true);
    emitted.set_fraction(e.fraction);
    emitted.set_text(std::move(e.text));
  }
  return wire::encode(v1::KIND_EMITTED, generation, emitted);
}

Result<std::vector<AttemptToken>> Translator::read_tokens(std::string_view raw) {
  if (raw.size() % kTokenBytes != 0 || raw.size() / kTokenBytes > wire::kMaxBatchTasks) {
    return Status(Code::invalid, "a column of tokens has " + std::to_string(raw.size()) + " bytes");
  }
  std::vector<AttemptToken> tokens;
  tokens.reserve(raw.size() / kTokenBytes);
  for (std::size_t i = 0; i < raw.size(); i += kTokenBytes) tokens.push_back(get_token(raw.data() + i));
  return tokens;
}

Status Translator::read_run(const wire::Envelope& envelope, RunBatch& batch) {
  if (Status s = wire::parse(envelope, run_); !s.ok()) return s;
  if (Status s = wire::read_payloads(*run_.mutable_payloads(), envelope.payloads, batch.inputs); !s.ok()) return s;
  const std::size_t n = batch.inputs.size();
  if (run_.tokens().size() != n * kTokenBytes) return {Code::invalid, "RUN: tokens and payloads do not fit each other"};
  if (n > 0 && run_.specs().empty()) return {Code::invalid, "RUN: calls without a spec"};
  if (!run_.spec_of().empty() && static_cast<std::size_t>(run_.spec_of_size()) != n) {
    return {Code::invalid, "RUN: spec_of and payloads do not fit each other"};
  }
  for (const std::uint32_t s : run_.spec_of()) {
    if (s >= static_cast<std::size_t>(run_.specs_size()))
      return {Code::invalid, "RUN: a call names a spec that is not there"};
  }
  batch.specs.reserve(static_cast<std::size_t>(run_.specs_size()));
  for (const v1::RunSpec& s : run_.specs()) {
    CallSpec& spec = batch.specs.emplace_back();
    const auto it = number_of_.find(std::string_view(s.type()));
    batch.type_of_spec.push_back(it == number_of_.end() ? kNoType : it->second);
    if (it != number_of_.end()) spec.type = types_[it->second];
    spec.timeout = std::max<Time>(s.timeout_ns(), 0);
    spec.live_output = s.live_output();
    spec.keep_output = s.keep_output();
    for (const v1::Header& h : s.headers()) spec.headers.emplace_back(h.name(), h.value());
    for (const v1::Amount& a : s.assigned()) spec.assigned.emplace_back(a.resource(), amount_text(a.ten_thousandths()));
  }
  batch.reports = run_.reports();
  batch.spec_of.assign(run_.spec_of().begin(), run_.spec_of().end());
  batch.spec_of.resize(n, 0);
  batch.calls.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    batch.calls[i].token = get_token(run_.tokens().data() + i * kTokenBytes);
    batch.calls[i].type = batch.type_of_spec[batch.spec_of[i]];
  }
  return {};
}

}  // namespace futured::worker

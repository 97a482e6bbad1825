#include "daemon/store_tool.hpp"

#include <cstdio>
#include <ctime>

#include "daemon/spec_wire.hpp"
#include "daemon/store/sqlite_check.hpp"
#include "daemon/store/sqlite_file.hpp"
#include "daemon/store/sqlite_reader.hpp"
#include "daemon/stored.hpp"
#include "proto/schema/json.hpp"

namespace futured::daemon {

namespace {

using schema::Json;

constexpr int kUsage = 2;
constexpr int kWrong = 1;
constexpr int kNoInput = 66;
constexpr std::uint32_t kPage = 1000;

constexpr const char* kHelp = R"(futured store check FILE          is it whole? exit 0: yes; 1: says what is wrong
futured store dump --json FILE    all that it holds, a JSON object a line

Neither changes anything; a daemon may be using the file meanwhile.

Examples:
  futured store check /var/lib/futured/queue.db
  futured store dump --json /var/lib/futured/queue.db | jq 'select(.kind == "task") | .number'
)";

int fail(int code, const std::string& message) {
  std::fprintf(stderr, "futured store: %s\n", message.c_str());
  return code;
}

int fail(const Status& status) {
  const int code = status.code() == Code::not_found ? kNoInput : status.code() == Code::invalid ? kUsage : kWrong;
  return fail(code, status.message());
}

Json time_text(std::int64_t unix_ns) {
  if (unix_ns == 0) return {};
  const std::time_t seconds = unix_ns / 1'000'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  std::strftime(text, sizeof text, "%FT%T", &utc);
  char all[64];
  std::snprintf(all, sizeof all, "%s.%06dZ", text, static_cast<int>(unix_ns % 1'000'000'000 / 1000));
  return all;
}

/// Writes lines until the reader of the pipe has enough.
class Lines {
 public:
  void put(Json::Object members) {
    const std::string text = Json(std::move(members)).dump() + "\n";
    good_ = good_ && std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  }
  bool finish() { return std::fflush(stdout) == 0 && good_; }
  bool good() const { return good_; }

 private:
  bool good_ = true;
};

Json attempts_json(const std::vector<scheduler::Attempt>& attempts) {
  Json::Array list;
  for (const scheduler::Attempt& a : attempts) {
    list.push_back(Json::Object{{"attempt", a.number},
                                {"worker", a.worker},
                                {"pid", a.pid},
                                {"started", time_text(a.started)},
                                {"ended", time_text(a.ended)},
                                {"outcome", std::string(scheduler::name(a.ending))},
                                {"message", a.message}});
  }
  return list;
}

/// The batch that a number belongs to, decoded once for all its tasks.
class Batches {
 public:
  void add(const std::vector<store::BatchRow>& rows) {
    rows_ = rows;
    decoded_ = SIZE_MAX;
  }
  Status describe(TaskNumber number, std::uint32_t spec, Json::Object& to) {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const store::BatchRow& row = rows_[i];
      if (number < row.first || number - row.first >= row.count) continue;
      if (decoded_ != i) {
        batch_ = {};
        if (Status s = from_bytes(row.specs, batch_); !s.ok()) return s;
        decoded_ = i;
      }
      to.emplace_back("id", to_string(TaskId{row.stream, row.first_seq + (number - row.first)}));
      if (spec >= batch_.specs.size()) {
        return {Code::internal, "task " + std::to_string(number) + " has a spec that its batch does not have"};
      }
      const scheduler::Spec& s = batch_.specs[spec];
      to.emplace_back("task", s.type);
      if (!s.group.empty()) to.emplace_back("group", s.group);
      if (!s.key.empty()) to.emplace_back("key", s.key);
      to.emplace_back("submitted", time_text(row.submitted));
      return {};
    }
    return {Code::internal, "task " + std::to_string(number) + " belongs to no batch"};
  }

 private:
  std::vector<store::BatchRow> rows_;
  StoredBatch batch_;
  std::size_t decoded_ = SIZE_MAX;
};

Status dump_live(store::SqliteReader& reader, TaskNumber end, Lines& out) {
  const Clocks wall{0};
  TaskNumber from = 1;
  bool first = true;
  for (bool last = false; !last && out.good();) {
    auto page = reader.claim(from, end, kPage, first);
    if (!page) return page.status();
    first = false;
    last = page->last;
    for (const store::StreamRow& s : page->streams) {
      out.put({{"kind", "stream"}, {"stream", to_string(TaskId{s.stream, 0}).substr(0, 22)}, {"accepted", s.accepted}});
    }
    Batches batches;
    batches.add(page->batches);
    for (const store::Claimed::Task& t : page->tasks) {
      Json::Object line{{"kind", "task"}, {"number", t.row.number}};
      if (Status s = batches.describe(t.row.number, t.row.spec, line); !s.ok()) return s;
      line.emplace_back("input_bytes", t.row.input.size());
      if (!t.progress.empty()) {
        StoredProgress progress;
        if (Status s = from_bytes(t.progress, wall, progress); !s.ok()) return s;
        line.emplace_back("due", time_text(progress.due));
        line.emplace_back("attempts", attempts_json(progress.attempts));
      }
      out.put(std::move(line));
    }
  }
  return {};
}

Status dump_ended(store::SqliteReader& reader, Lines& out) {
  const Clocks wall{0};
  store::HistoryQuery query;
  query.limit = kPage;
  query.with_results = true;
  do {
    const store::HistoryPage page = reader.history(0, query);
    if (!page.failure.ok()) return page.failure;
    Batches batches;
    batches.add(page.batches);
    for (const store::OutcomeRow& o : page.outcomes) {
      Json::Object line{{"kind", "outcome"}, {"number", o.number}};
      if (Status s = batches.describe(o.number, o.spec, line); !s.ok()) return s;
      StoredEnd end;
      if (Status s = from_bytes(o.data, wall, end); !s.ok()) return s;
      line.emplace_back("state", name(o.state));
      line.emplace_back("ended", time_text(o.ended));
      line.emplace_back("kept_until", time_text(o.until));
      line.emplace_back("taken", o.taken);
      line.emplace_back("attempts", attempts_json(end.attempts));
      if (end.failed) {
        line.emplace_back("error", Json::Object{{"kind", name(end.failure.kind)}, {"message", end.failure.message}});
      }
      line.emplace_back("result", schema::json_of_bytes(o.result.view()));
      out.put(std::move(line));
    }
    query.from = page.next;
  } while (query.from != 0 && out.good());
  return {};
}

int dump(const std::string& path) {
  if (Status s = store::inspect_store(path); !s.ok()) return fail(s);
  auto reader = store::SqliteReader::open(path);
  if (!reader) return fail(reader.status());
  auto opened = (*reader)->describe();
  if (!opened) return fail(opened.status());
  Lines out;
  out.put({{"kind", "store"},
           {"id", to_hex(opened->id)},
           {"epoch", opened->epoch},
           {"next_number", opened->next_number},
           {"live", opened->live}});
  for (const store::SettingRow& s : opened->settings) {
    out.put({{"kind", "setting"}, {"name", schema::json_of_bytes(s.name)}, {"data", schema::json_of_bytes(s.data)}});
  }
  for (const store::WorkerRow& w : opened->workers) {
    out.put({{"kind", "worker"}, {"instance", to_hex(w.instance)}});
  }
  if (Status s = dump_live(**reader, UINT64_MAX >> 1, out); !s.ok()) return fail(s);
  if (Status s = dump_ended(**reader, out); !s.ok()) return fail(s);
  return out.finish() ? 0 : fail(kWrong, "cannot write to standard output");
}

int check(const std::string& path) {
  const auto wrong = store::check_store(path);
  if (!wrong) return fail(wrong.status());
  for (const std::string& what : *wrong) std::printf("%s\n", what.c_str());
  if (!wrong->empty()) {
    return fail(kWrong, path + " is not whole; keep it as it is and start from a copy that is (a backup)");
  }
  return std::printf("%s is whole\n", path.c_str()) >= 0 && std::fflush(stdout) == 0 ? 0 : kWrong;
}

}  // namespace

int store_tool(const std::vector<std::string>& words) {
  std::vector<std::string> names;
  bool json = false;
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") return std::fputs(kHelp, stdout) >= 0 ? 0 : kWrong;
    if (word == "--json") {
      json = true;
    } else if (word.size() > 1 && word[0] == '-') {
      return fail(kUsage, "there is no flag " + word + "; see futured store --help");
    } else {
      names.push_back(word);
    }
  }
  if (names.size() == 2 && names[0] == "check" && !json) return check(names[1]);
  if (names.size() == 2 && names[0] == "dump" && json) return dump(names[1]);
  if (names.size() == 2 && names[0] == "dump") return fail(kUsage, "say dump --json: there is no other form");
  std::fputs(kHelp, stderr);
  return kUsage;
}

}  // namespace futured::daemon

#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "client/cli/context.hpp"
#include "client/cli/interrupts.hpp"
#include "client/cli/records.hpp"
#include "client/cli/tables.hpp"
#include "client/cli/terminal.hpp"
#include "client/cli/top_frame.hpp"

namespace futured::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kRedraw = 500ms;
constexpr std::size_t kTasksWithoutTerminal = 1000;

/// Nothing: the connection is lost, and is tried again.
std::optional<TopData> look(Context& context, std::size_t most) {
  const auto ask = [&](const v1::Request& request) -> std::optional<v1::Reply> {
    auto reply = context.daemon.control().request(request, kAnswerTime);
    if (!reply.ok() && reply.status().code() == Code::unavailable && !context.daemon.control().ended()) {
      return std::nullopt;
    }
    return expect(std::move(reply));
  };
  TopData out;
  v1::Request request;
  request.mutable_status();
  auto reply = ask(request);
  if (!reply) return std::nullopt;
  out.status = std::move(*reply->mutable_status());
  request.mutable_workers();
  if (reply = ask(request); !reply) return std::nullopt;
  out.workers.assign(reply->workers().begin(), reply->workers().end());
  auto& query = *request.mutable_list();
  query.mutable_selector()->add_states(v1::STATE_RUNNING);
  for (bool more = true; more;) {
    query.set_limit(static_cast<std::uint32_t>(most - out.running.size()));
    if (reply = ask(request); !reply) return std::nullopt;
    out.running.insert(out.running.end(), reply->tasks().begin(), reply->tasks().end());
    query.set_cursor(reply->cursor());
    more = reply->more() && !reply->cursor().empty() && out.running.size() < most;
  }
  out.now = unix_now();
  return out;
}

schema::Json json_of_top(const TopData& data) {
  schema::Json workers = schema::Json::array();
  for (const auto& worker : data.workers) workers.push(json_of(worker));
  schema::Json running = schema::Json::array();
  for (const auto& task : data.running) running.push(json_of(task));
  return schema::Json::object()
      .add("status", json_of(data.status))
      .add("workers", std::move(workers))
      .add("running", std::move(running));
}

/// The other screen of the terminal, without a cursor, for as long as it lives.
class Screen {
 public:
  explicit Screen(Output& out) : out_(out) { out_.write("\033[?1049h\033[?25l"); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen() { out_.write(kLeave); }
  /// Over what was there, line by line, so that nothing flickers.
  void draw(std::string_view frame) {
    std::string text = "\033[H";
    while (!frame.empty()) {
      const auto end = std::min(frame.find('\n'), frame.size());
      text.append(frame.substr(0, end)).append("\033[K");
      frame.remove_prefix(std::min(end + 1, frame.size()));
      if (!frame.empty()) text += "\r\n";
    }
    out_.write(text + "\033[J");
  }
  static constexpr std::string_view kLeave = "\033[?25h\033[?1049l";

 private:
  Output& out_;
};

int live(Context& context) {
  std::mutex mutex;
  std::condition_variable changed;
  int signal = 0;
  const Interrupts interrupts([&](int s, int count) {
    if (count > 1) {
      [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, Screen::kLeave.data(), Screen::kLeave.size());
      std::_Exit(128 + s);
    }
    const std::lock_guard lock(mutex);
    signal = s;
    changed.notify_one();
  });
  context.daemon.executor();  // what is wrong with it is said before the screen is taken
  Screen screen(context.out);
  std::optional<TopData> last;
  while (!context.out.closed()) {
    const std::size_t height = terminal_height(STDOUT_FILENO);
    const std::size_t width = context.out.width();
    auto data = look(context, height);
    if (data) {
      if (last && data->now > last->now && data->status.pid() == last->status.pid()) {
        const auto ended = data->status.completed_total() - last->status.completed_total();
        data->per_second = static_cast<double>(ended) * 1e9 / static_cast<double>(data->now - last->now);
      }
      screen.draw(top_frame(*data, width, height, context.out.colours()));
      last = std::move(data);
    } else {
      screen.draw("the connection to " + context.daemon.control().endpoint() + " was lost; connecting again\n");
    }
    std::unique_lock lock(mutex);
    if (changed.wait_for(lock, kRedraw, [&] { return signal != 0; })) return 128 + signal;
  }
  return 0;
}

}  // namespace

int top_verb(Context& context) {
  context.at_most(0);
  if (context.out.out_is_terminal() && !context.out.json()) return live(context);
  const auto data = look(context, kTasksWithoutTerminal);
  if (!data) throw Failure(Exit::no_daemon, "the connection to " + context.daemon.control().endpoint() + " was lost");
  if (context.out.json()) {
    context.out.print(json_of_top(*data));
  } else {
    context.out.write(top_frame(*data, context.out.width(), 0, context.out.colours()));
  }
  return 0;
}

}  // namespace futured::cli

// A worker program for tests: its connection ends right after the first WELCOME, it is away until a file appears, then
// it comes back and leaves when it is told to drain.
//
//   futured --worker-program returning_worker     with RETURNING_WORKER_FOLDER in the environment:
//     away     it made this file: its connection has ended
//     return   it waits for this file, then connects anew
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "futured/v1/worker.pb.h"
#include "proto/envelope.hpp"

namespace {

using namespace futured;

class Connection {
 public:
  Connection(zmq::context_t& context, const std::string& endpoint, std::uint16_t generation)
      : generation_(generation), socket_(context, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 1000);
    socket_.set(zmq::sockopt::rcvtimeo, 60'000);
    socket_.connect(endpoint);
  }
  void say(v1::Kind kind, const google::protobuf::MessageLite& m) {
    const wire::Frames frames = wire::encode(kind, generation_, m);
    socket_.send(zmq::buffer(frames[0].view()), zmq::send_flags::none);
  }
  bool hear(v1::Kind kind) {
    for (zmq::message_t m; socket_.recv(m); m.rebuild()) {
      const wire::Frames frames{Slice::copy(m.to_string_view())};
      const auto e = wire::open(frames);
      if (e && e->kind == kind) return true;
    }
    return false;
  }

 private:
  const std::uint16_t generation_;
  zmq::socket_t socket_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string endpoint;
  v1::Hello hello;
  hello.set_role(v1::Hello::WORKER);
  hello.set_version_min(1);
  hello.set_version_max(1);
  hello.set_instance("returning worker");
  hello.set_pid(static_cast<std::uint32_t>(getpid()));
  for (int i = 1; i + 1 < argc; ++i) {
    const std::string_view word(argv[i]);
    if (word == "--probe") {
      v1::Probe probe;
      probe.set_error("this worker has no plugins");
      const std::string raw = probe.SerializeAsString();
      return write(STDOUT_FILENO, raw.data(), raw.size()) > 0 ? 0 : 1;
    }
    if (word == "--connect") endpoint = argv[i + 1];
    if (word == "--pool") hello.set_pool(argv[i + 1]);
    if (word == "--spawn-id") hello.set_spawn(std::strtoull(argv[i + 1], nullptr, 10));
  }
  const char* folder = std::getenv("RETURNING_WORKER_FOLDER");
  if (endpoint.empty() || folder == nullptr) return 2;
  const std::filesystem::path room(folder);
  zmq::context_t context;
  {
    Connection first(context, endpoint, 1);
    first.say(v1::KIND_HELLO, hello);
    if (!first.hear(v1::KIND_WELCOME)) return 3;
  }
  std::ofstream(room / "away") << "x";
  while (!std::filesystem::exists(room / "return")) usleep(2000);
  Connection second(context, endpoint, 2);
  second.say(v1::KIND_HELLO, hello);
  if (!second.hear(v1::KIND_WELCOME)) return 4;
  v1::Announce announce;
  announce.set_end(true);
  second.say(v1::KIND_ANNOUNCE, announce);
  if (!second.hear(v1::KIND_DRAIN)) return 5;
  second.say(v1::KIND_GOODBYE, v1::Goodbye());
  return 0;
}

#include "worker/plugins/fetch/fetch_sync.hpp"

#include <curl/curl.h>

#include <memory>
#include <utility>

namespace futured::plugins::fetch {
namespace {

using plugin::Failure;

/// The curl handles of a thread. Shared, because a cancel may wake the multi handle while the call ends.
struct Client {
  CURLM* multi = curl_multi_init();
  CURL* easy = curl_easy_init();
  Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
};

/// The easy handle is in the multi handle while this lives: no longer than the transfer that curl writes to.
struct Attached {
  explicit Attached(Client& c) : client(c), code(curl_multi_add_handle(c.multi, c.easy)) {}
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() { curl_multi_remove_handle(client.multi, client.easy); }
  Client& client;
  const CURLMcode code;
};

/// Runs the transfer until it is done or the call is cancelled.
plugin::Outcome<FetchReply> perform(Transfer& transfer, Client& client, plugin::Call call) {
  int running = 1;
  while (running > 0) {
    if (call.cancelled()) return plugin::Cancelled();
    CURLMcode code = curl_multi_perform(client.multi, &running);
    // A cancel wakes the poll; the bound is for hosts that only set the flag.
    if (code == CURLM_OK && running > 0) code = curl_multi_poll(client.multi, nullptr, 0, 250, nullptr);
    if (code != CURLM_OK)
      return Failure(std::string("the transfer was lost: curl failed: ") + curl_multi_strerror(code));
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(client.multi, &left)) {
    if (message->msg == CURLMSG_DONE) return transfer.finish(client.easy, message->data.result);
  }
  return Failure("the transfer was lost: curl reports no result");
}

}  // namespace

plugin::Outcome<FetchReply> fetch_here(FetchRequest&& request, const Limits& limits, plugin::Call call) {
  thread_local std::shared_ptr<Client> client;
  if (client == nullptr) client = std::make_shared<Client>();
  if (client->multi == nullptr || client->easy == nullptr) {
    client.reset();
    return Failure("out of memory for another transfer");
  }
  Transfer transfer(std::move(request), limits);
  if (auto failure = transfer.check()) return *failure;
  curl_easy_reset(client->easy);
  if (auto failure = transfer.prepare(client->easy, call.deadline())) return *failure;
  call.on_cancel([wake = client] { curl_multi_wakeup(wake->multi); });
  const Attached attached(*client);
  if (attached.code != CURLM_OK) {
    return Failure(std::string("the transfer cannot be started: ") + curl_multi_strerror(attached.code));
  }
  return perform(transfer, *client, call);
}

}  // namespace futured::plugins::fetch

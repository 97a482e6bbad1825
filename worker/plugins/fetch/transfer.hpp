// One transfer: a request turned into the options of a curl handle, the body as it arrives, and the reply.
// Owned and used by one thread; must outlive the curl handle's use of it.
#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <functional>
#include <futured/plugin.hpp>
#include <memory>
#include <optional>
#include <string>

#include "fetch/fetch.pb.h"
#include "worker/plugins/fetch/limits.hpp"

namespace futured::plugins::fetch {

/// Where a URL goes: what transfers have in common that share connections and the answer of the resolver.
struct Site {
  std::string key;          ///< scheme, host and port
  bool needs_name = false;  ///< the host is a name to be resolved, neither an address nor localhost
};

class Transfer {
 public:
  Transfer(FetchRequest request, const Limits& limits) : request_(std::move(request)), limits_(limits) {}
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Checks the request; to be called first. What is wrong with it is permanent.
  std::optional<plugin::Failure> check();
  const Site& site() const { return site_; }

  /// Sets the options of a fresh or reset handle and opens the output file.
  std::optional<plugin::Failure> prepare(CURL* easy, std::optional<std::chrono::steady_clock::time_point> deadline);
  /// Called within the transfer once the host's name was resolved, and once the request is about to be sent.
  std::function<void()> on_resolved;
  std::function<void()> on_connected;

  /// After curl is done with the handle.
  plugin::Outcome<FetchReply> finish(CURL* easy, CURLcode code);

  /// The same failure as `other` had: for transfers that waited for the same host's name.
  plugin::Failure name_not_found() const;

 private:
  static std::size_t write(char* data, std::size_t, std::size_t size, void* self);
  static std::size_t header(char*, std::size_t, std::size_t size, void* self);
  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* address);
  static int before_request(void* self, char*, char*, int, int);
  bool take(const char* data, std::size_t size);
  std::optional<plugin::Failure> open_output();
  plugin::Failure failure(CURLcode code) const;
  /// "fetching URL: " with what follows; passwords left out.
  plugin::Failure says(const std::string& text) const;
  void drop_output();

  const FetchRequest request_;
  const Limits& limits_;
  Site site_;
  std::string shown_;  // the URL as errors show it
  std::string method_;
  struct SlistFree {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  std::unique_ptr<curl_slist, SlistFree> headers_;
  CURL* easy_ = nullptr;
  std::string body_;
  std::uint64_t size_ = 0;
  std::uint64_t header_size_ = 0;
  int file_ = -1;
  std::string temporary_;
  std::optional<plugin::Failure> refused_;  // why a callback stopped the transfer
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace futured::plugins::fetch

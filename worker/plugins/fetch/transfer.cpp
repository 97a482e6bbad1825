#include "worker/plugins/fetch/transfer.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace futured::plugins::fetch {
namespace {

using plugin::Failure;
using plugin::Outcome;

constexpr std::uint64_t most_header_bytes = 256 << 10;
constexpr std::uint32_t most_redirects = 50;

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;

std::string part(CURLU* url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, what, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

bool is_address(const std::string& host) {
  if (!host.empty() && host.front() == '[') return true;
  in_addr v4{};
  return inet_pton(AF_INET, host.c_str(), &v4) == 1;
}

bool is_token(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos;
}

bool starts_like(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + ('a' - 'A') : b); });
}

bool is_private(std::uint32_t a) {  // IPv4, host order
  const auto in = [a](std::uint32_t net, int bits) { return (a >> (32 - bits)) == (net >> (32 - bits)); };
  return in(0x00000000, 8) || in(0x0a000000, 8) || in(0x64400000, 10) || in(0x7f000000, 8) || in(0xa9fe0000, 16) ||
         in(0xac100000, 12) || in(0xc0000000, 24) || in(0xc0a80000, 16) || in(0xc6120000, 15) || a >= 0xe0000000;
}

bool is_private(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof(v4));
    return is_private(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return true;
  sockaddr_in6 v6{};
  std::memcpy(&v6, address, sizeof(v6));
  const auto& b = v6.sin6_addr.s6_addr;
  const auto v4_at = [&b](int i) {
    return std::uint32_t{b[i]} << 24 | std::uint32_t{b[i + 1]} << 16 | std::uint32_t{b[i + 2]} << 8 | b[i + 3];
  };
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) || IN6_IS_ADDR_V4COMPAT(&v6.sin6_addr)) return is_private(v4_at(12));
  if (b[0] == 0x00 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b) return is_private(v4_at(12));  // NAT64
  if (b[0] == 0x20 && b[1] == 0x02) return is_private(v4_at(2));                                   // 6to4
  return (b[0] & 0xe0) != 0x20;  // only 2000::/3 is the public internet
}

long milliseconds(double seconds) { return std::max(1L, static_cast<long>(std::ceil(seconds * 1000))); }

}  // namespace

Transfer::~Transfer() { drop_output(); }

Failure Transfer::says(const std::string& text) const { return Failure("fetching " + shown_ + ": " + text); }

std::optional<Failure> Transfer::check() {
  const Url url(curl_url());
  shown_ = request_.url().substr(0, 300);
  if (request_.url().find('\0') != std::string::npos) return says("the URL contains a zero byte").permanent();
  if (request_.url().find("://") == std::string::npos) {
    return says("the URL has no scheme: write https://" + request_.url().substr(0, 300)).permanent();
  }
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, request_.url().c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) return says(std::string("this is no valid URL (") + curl_url_strerror(code) + ")").permanent();
  const std::string scheme = part(url.get(), CURLUPART_SCHEME);
  const std::string host = part(url.get(), CURLUPART_HOST);
  if (scheme != "http" && scheme != "https") {
    return says("the scheme " + scheme + " is not fetched: only http and https are").permanent();
  }
  site_.key = scheme + "://" + host + ":" + part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  site_.needs_name = !is_address(host) && host != "localhost" && !host.ends_with(".localhost");
  const bool secret = !part(url.get(), CURLUPART_PASSWORD).empty();
  if (secret) {
    curl_url_set(url.get(), CURLUPART_USER, nullptr, 0);
    curl_url_set(url.get(), CURLUPART_PASSWORD, nullptr, 0);
    shown_ = part(url.get(), CURLUPART_URL).substr(0, 300);
  }

  method_ = request_.method();
  if (method_.empty()) method_ = request_.has_body() ? "POST" : "GET";
  if (!is_token(method_) || method_.size() > 32) return says("method '" + method_ + "' is none of HTTP").permanent();
  if (method_ == "CONNECT") return says("method CONNECT is for proxies only").permanent();
  for (const std::string& line : request_.headers()) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !is_token(std::string_view(line).substr(0, colon)) ||
        line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return says("header '" + line.substr(0, 100) + "' is not of the form 'Name: value' on one line").permanent();
    }
  }
  if (request_.follow() > most_redirects) {
    return says("follow = " + std::to_string(request_.follow()) + " is too large: at most 50").permanent();
  }
  if (request_.has_output()) {
    if (request_.output().empty() || request_.output().front() != '/' || request_.output().back() == '/') {
      return says("output '" + request_.output() +
                  "' is not the absolute path of a file: the worker runs in a folder of its own")
          .permanent();
    }
    if (request_.output().find('\0') != std::string::npos) return says("output contains a zero byte").permanent();
    if (request_.discard()) return says("output and discard exclude each other: give one of them").permanent();
  }
  return std::nullopt;
}

std::optional<Failure> Transfer::open_output() {
  static std::atomic<std::uint64_t> count{0};
  const std::string& path = request_.output();
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0) {
    const int reason = errno;
    return says("the folder " + folder + " of output " + path +
                (reason == ENOENT ? " does not exist: make it first" : std::string(": ") + std::strerror(reason)))
        .permanent();
  }
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return says("output " + path + " is a folder: name a file").permanent();
  }
  temporary_ = folder + "/." + path.substr(slash + 1, 200) + "." + std::to_string(getpid()) + "-" +
               std::to_string(++count) + ".part";
  file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0) {
    const int reason = errno;
    Failure failure = says("output " + path + " cannot be written: " + std::strerror(reason));
    temporary_.clear();
    return reason == EACCES || reason == EROFS || reason == EPERM ? failure.permanent() : failure;
  }
  return std::nullopt;
}

void Transfer::drop_output() {
  if (file_ >= 0) close(file_);
  file_ = -1;
  if (!temporary_.empty()) unlink(temporary_.c_str());
  temporary_.clear();
}

std::optional<Failure> Transfer::prepare(CURL* easy, std::optional<std::chrono::steady_clock::time_point> deadline) {
  easy_ = easy;
  if (request_.has_output()) {
    if (auto failure = open_output()) return failure;
  }
  const auto set = [easy](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  set(CURLOPT_URL, request_.url().c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  // Without this, taking a handle out during a name lookup waits for the lookup and holds up every other transfer.
  set(CURLOPT_QUICK_EXIT, 1L);
  set(CURLOPT_ERRORBUFFER, error_);
  set(CURLOPT_USERAGENT, "futured/0.1.0");
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  if (limits_.proxy != "environment") set(CURLOPT_PROXY, limits_.proxy == "none" ? "" : limits_.proxy.c_str());
  // Without TLS, HTTP/2 is not spoken; without asking for it, curl does not wait for a connection to share.
  const bool tls = site_.key.starts_with("https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  set(CURLOPT_PIPEWAIT, tls ? 1L : 0L);

  if (request_.follow() > 0) {
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_MAXREDIRS, static_cast<long>(request_.follow()));
  }
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(limits_.connect_timeout));
  set(CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(limits_.stall_speed));
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(std::ceil(limits_.stall_timeout)));
  if (deadline) {
    const std::chrono::duration<double> left = *deadline - std::chrono::steady_clock::now();
    set(CURLOPT_TIMEOUT_MS, milliseconds(std::clamp(left.count(), 0.001, 1e6)));
  }

  if (method_ == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (method_ == "POST" || request_.has_body()) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body().size()));
    set(CURLOPT_POSTFIELDS, request_.body().data());
    if (method_ != "POST") set(CURLOPT_CUSTOMREQUEST, method_.c_str());
  } else if (method_ != "GET") {
    set(CURLOPT_CUSTOMREQUEST, method_.c_str());
  }
  bool typed = false;
  bool expects = false;
  for (const std::string& line : request_.headers()) {
    typed |= starts_like(line, "content-type:");
    expects |= starts_like(line, "expect:");
    // curl takes a header without value as an order to leave it out; with a semicolon it is sent empty.
    const std::size_t colon = line.find(':');
    const bool empty = line.find_first_not_of(" \t", colon + 1) == std::string::npos;
    headers_.reset(curl_slist_append(headers_.release(), empty ? (line.substr(0, colon) + ";").c_str() : line.c_str()));
  }
  if (request_.has_body() && !typed) {
    headers_.reset(curl_slist_append(headers_.release(), "Content-Type: application/octet-stream"));
  }
  if (!expects) headers_.reset(curl_slist_append(headers_.release(), "Expect:"));
  set(CURLOPT_HTTPHEADER, headers_.get());

  set(CURLOPT_WRITEFUNCTION, &Transfer::write);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_HEADERFUNCTION, &Transfer::header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(CURLOPT_OPENSOCKETFUNCTION, &Transfer::open_socket);
  set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(CURLOPT_PREREQFUNCTION, &Transfer::before_request);
  set(CURLOPT_PREREQDATA, static_cast<void*>(this));
  return std::nullopt;
}

std::size_t Transfer::write(char* data, std::size_t, std::size_t size, void* self) {
  // Anything but `size` makes curl end the transfer; an exception must not pass through it.
  try {
    return static_cast<Transfer*>(self)->take(data, size) ? size : size + 1;
  } catch (...) {
    return size + 1;
  }
}

bool Transfer::take(const char* data, std::size_t size) {
  const std::uint64_t most = request_.max_bytes();
  const bool kept = !request_.has_output() && !request_.discard();
  const auto refuse = [this](Failure failure) {
    refused_ = std::move(failure);
    return false;
  };
  const auto too_large = [&](std::uint64_t known) {
    return says("the page is larger than max_bytes = " + std::to_string(most) +
                (known > 0 ? " (" + std::to_string(known) + " bytes)" : std::string()) + ": raise max_bytes")
        .permanent();
  };
  if (size_ == 0) {
    curl_off_t announced = -1;
    curl_easy_getinfo(easy_, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    if (announced > 0) {
      const auto total = static_cast<std::uint64_t>(announced);
      if (total > most) return refuse(too_large(total));
      if (kept && total <= limits_.max_body) body_.reserve(total);
    }
  }
  size_ += size;
  if (size_ > most) return refuse(too_large(0));
  if (kept) {
    if (size_ > limits_.max_body) {
      return refuse(says("the page is larger than the " + std::to_string(limits_.max_body) +
                         " bytes that the worker keeps in memory: write it to a file with output, or raise max_body in "
                         "the configuration of fetch")
                        .permanent());
    }
    body_.append(data, size);
    return true;
  }
  while (file_ >= 0 && size > 0) {
    const ssize_t n = ::write(file_, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return refuse(says("output " + request_.output() + " cannot be written: " + std::strerror(errno)));
    }
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

std::size_t Transfer::header(char*, std::size_t, std::size_t size, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->header_size_ += size;
  if (transfer->header_size_ <= most_header_bytes) return size;
  try {
    transfer->refused_ = transfer->says("the server sent more than 256 KiB of headers");
  } catch (...) {
    transfer->refused_.reset();
  }
  return size + 1;
}

curl_socket_t Transfer::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(self);
  try {
    if (transfer->on_resolved) transfer->on_resolved();
    // A proxy of the configuration is wanted wherever it is, and the addresses behind it are its own business.
    if (!transfer->limits_.private_addresses && transfer->limits_.proxy == "none" && is_private(&address->addr)) {
      transfer->refused_ = transfer->says(
          "its address is not a public one, and private_addresses = false in the configuration of fetch forbids the "
          "others");
      transfer->refused_->permanent();
      return CURL_SOCKET_BAD;
    }
  } catch (...) {
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int Transfer::before_request(void* self, char*, char*, int, int) {
  auto* transfer = static_cast<Transfer*>(self);
  transfer->refused_.reset();  // another address of the host did
  try {
    if (transfer->on_connected) transfer->on_connected();
  } catch (...) {
    return CURL_PREREQFUNC_ABORT;
  }
  return CURL_PREREQFUNC_OK;
}

Failure Transfer::name_not_found() const {
  const std::size_t start = site_.key.find("://") + 3;
  const std::string host = site_.key.substr(start, site_.key.rfind(':') - start);
  return says("the host " + host + " cannot be found: check the name and this machine's resolver" +
              (error_[0] != '\0' ? std::string(" (") + error_ + ")" : std::string()));
}

Failure Transfer::failure(CURLcode code) const {
  if (refused_) return *refused_;
  const std::string detail = error_[0] != '\0' ? error_ : curl_easy_strerror(code);
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return name_not_found();
    case CURLE_COULDNT_CONNECT:
      return says("cannot connect (" + detail + "): check that the server runs and can be reached from this host");
    case CURLE_OPERATION_TIMEDOUT:
      return says("gave up waiting (" + detail +
                  "): the server is slow or silent; try later, or raise the task's timeout or connect_timeout and "
                  "stall_timeout of fetch");
    case CURLE_TOO_MANY_REDIRECTS:
      return says("redirected more than " + std::to_string(request_.follow()) + " times: raise follow if that is meant")
          .permanent();
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return says("the server's certificate is not trusted (" + detail + ")");
    case CURLE_UNSUPPORTED_PROTOCOL:
      return says("it leads to a scheme that is not fetched (" + detail + "): only http and https are").permanent();
    case CURLE_WRITE_ERROR:
    case CURLE_OUT_OF_MEMORY:
      return says("out of memory");
    default:
      return says(detail);
  }
}

Outcome<FetchReply> Transfer::finish(CURL* easy, CURLcode code) {
  if (code != CURLE_OK) {
    drop_output();
    return failure(code);
  }
  if (file_ >= 0) {
    const int closed = close(file_);
    file_ = -1;
    if (closed != 0 || rename(temporary_.c_str(), request_.output().c_str()) != 0) {
      Failure failure = says("output " + request_.output() + " cannot be written: " + std::strerror(errno));
      drop_output();
      return failure;
    }
    temporary_.clear();
  }
  FetchReply reply;
  char* text = nullptr;
  if (curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &text) == CURLE_OK && text != nullptr) reply.set_url(text);
  if (curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &text) == CURLE_OK && text != nullptr)
    reply.set_content_type(text);
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  reply.set_status(static_cast<int>(status));
  curl_off_t elapsed = 0;
  curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &elapsed);
  reply.set_elapsed(static_cast<double>(elapsed) / 1e6);
  reply.set_size(size_);
  if (!request_.has_output() && !request_.discard()) reply.set_body(std::move(body_));
  return reply;
}

}  // namespace futured::plugins::fetch

// Status and Result: how everything below the public client API reports what the world did to it.
// One code per reaction of the caller, not one per cause; the cause is in the message.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace futured {

enum class Code : std::uint8_t {
  ok,
  invalid,      ///< the input is wrong: say so to whoever sent it; repeating it will not help
  not_found,    ///< nothing of that name or number was ever known
  forgotten,    ///< it was known; its retention has passed
  refused,      ///< not now (full, draining): try again later
  not_allowed,  ///< this peer may not do this
  version,      ///< the peers share no protocol version
  unavailable,  ///< the other side cannot be reached
  internal,     ///< the system or the environment failed us (a system call, a file)
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  bool ok() const { return code_ == Code::ok; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::ok;
  std::string message_;
};

/// A value or the Status that explains its absence.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Result(Status status) : v_(std::in_place_index<1>, std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!std::get<1>(v_).ok());
  }
  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() { return std::get<0>(v_); }
  const T& value() const { return std::get<0>(v_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  /// Only when !ok().
  const Status& status() const { return std::get<1>(v_); }

 private:
  std::variant<T, Status> v_;
};

}  // namespace futured

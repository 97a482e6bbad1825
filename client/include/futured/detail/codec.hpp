// Bytes <-> objects, without knowing protobuf: anything with SerializeToString and ParseFromArray is a message.
#pragma once

#include <concepts>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace futured::detail {

template <class M>
concept Writable = requires(const M& m, std::string* out) {
  { m.SerializeToString(out) } -> std::convertible_to<bool>;
};
template <class M>
concept Readable = std::default_initializable<M> && requires(M& m, const char* data, int size) {
  { m.ParseFromArray(data, size) } -> std::convertible_to<bool>;
};

/// Bytes on their way into submit(): borrowed where possible, owned where they were made or given away.
class Input {
 public:
  template <class T>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): it does not see the requirement
  requires(!std::is_same_v<std::remove_cvref_t<T>, Input>) explicit Input(T&& from) {
    if constexpr (std::is_same_v<std::remove_cvref_t<T>, std::string> && !std::is_lvalue_reference_v<T>) {
      owned_ = std::forward<T>(from);
      is_owned_ = true;
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      view_ = from;
    } else {
      static_assert(Writable<std::remove_cvref_t<T>>, "an input is bytes or has SerializeToString(std::string*)");
      valid_ = from.SerializeToString(&owned_);
      is_owned_ = true;
    }
  }
  bool valid() const { return valid_; }  ///< false: the message could not be serialized
  bool owned() const { return is_owned_; }
  std::string_view view() const { return is_owned_ ? std::string_view(owned_) : view_; }
  std::string take() { return is_owned_ ? std::move(owned_) : std::string(view_); }

 private:
  std::string owned_;
  std::string_view view_;
  bool is_owned_ = false;
  bool valid_ = true;
};

template <class T>
bool read_reply(std::string_view bytes, T& into) {
  if constexpr (std::is_same_v<T, std::string>) {
    into.assign(bytes);
    return true;
  } else {
    static_assert(Readable<T>, "a reply is std::string or has ParseFromArray(const void*, int)");
    return bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) &&
           into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }
}

template <class T>
concept RemoteReply = std::is_same_v<T, std::string> || Readable<T>;

}  // namespace futured::detail

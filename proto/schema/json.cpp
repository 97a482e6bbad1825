#include "proto/schema/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace futured::schema {
namespace {

constexpr std::size_t kObjectSearchedLinearly = 16;

/// Builds a Json from nlohmann's events: order, depth and double members are ours to watch.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return put({}); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(static_cast<std::int64_t>(value)); }
  bool number_unsigned(number_unsigned_t value) override { return put(static_cast<std::uint64_t>(value)); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool key(string_t& value) override {
    names_.back() = std::move(value);
    return true;
  }
  bool end_object() override { return check_members() && close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    std::string why = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without the part that names the library
    if (const auto end = why.find("] "); why.starts_with('[') && end != std::string::npos) why.erase(0, end + 2);
    error_ = why.empty() ? "error at byte " + std::to_string(position) : why;
    return false;
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool put(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().items() != nullptr) {
      open_.back().push(std::move(value));
    } else {
      open_.back().add(std::move(names_.back()), std::move(value));
    }
    return true;
  }
  bool open(Json container) {
    if (open_.size() >= kMaxJsonDepth) {
      error_ = "nested more than " + std::to_string(kMaxJsonDepth) + " levels deep";
      return false;
    }
    open_.push_back(std::move(container));
    names_.emplace_back();
    return true;
  }
  bool close() {
    Json done = std::move(open_.back());
    open_.pop_back();
    names_.pop_back();
    return put(std::move(done));
  }
  bool check_members() {
    const Json::Object& members = *open_.back().members();
    const std::string* twice = nullptr;
    if (members.size() <= kObjectSearchedLinearly) {
      for (std::size_t i = 0; i < members.size() && twice == nullptr; ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (members[i].first == members[j].first) twice = &members[i].first;
        }
      }
    } else {
      std::vector<std::string_view> names;
      names.reserve(members.size());
      for (const auto& member : members) names.push_back(member.first);
      std::sort(names.begin(), names.end());
      const auto at = std::adjacent_find(names.begin(), names.end());
      if (at != names.end()) {
        error_ = "'" + std::string(*at) + "' is given twice";
        return false;
      }
    }
    if (twice != nullptr) error_ = "'" + *twice + "' is given twice";
    return twice == nullptr;
  }

  Json root_;
  std::vector<Json> open_;
  std::vector<std::string> names_;  ///< per open container: the member to come
  std::string error_;
};

/// Length of the UTF-8 sequence at `at`, 0 if it is none.
std::size_t utf8_sequence(std::string_view s, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(at);
  if (first < 0x80) return 1;
  std::size_t size = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (at + size > s.size() || byte(at + 1) < low || byte(at + 1) > high) return 0;
  for (std::size_t i = 2; i < size; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

void dump_text(std::string_view text, std::string& out) {
  static constexpr char digits[] = "0123456789abcdef";
  out.push_back('"');
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    const auto code = static_cast<unsigned char>(c);
    if (code >= 0x80) {
      const std::size_t size = utf8_sequence(text, i);
      if (size == 0) {
        out += "\xef\xbf\xbd";
        ++i;
      } else {
        out.append(text, i, size);
        i += size;
      }
      continue;
    }
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (code < 0x20 || code == 0x7f) {
          out += "\\u00";
          out.push_back(digits[code >> 4]);
          out.push_back(digits[code & 15]);
        } else {
          out.push_back(c);
        }
    }
    ++i;
  }
  out.push_back('"');
}

template <class T>
void dump_number(T value, std::string& out) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void dump_value(const Json& value, std::string& out) {
  if (const bool* flag = value.boolean()) {
    out += *flag ? "true" : "false";
  } else if (const std::int64_t* whole = value.signed_integer()) {
    dump_number(*whole, out);
  } else if (const std::uint64_t* natural = value.unsigned_integer()) {
    dump_number(*natural, out);
  } else if (const double* real = value.real()) {
    if (std::isnan(*real)) {
      out += "\"NaN\"";
    } else if (std::isinf(*real)) {
      out += *real < 0 ? "\"-Infinity\"" : "\"Infinity\"";
    } else {
      dump_number(*real, out);
    }
  } else if (const std::string* text = value.text()) {
    dump_text(*text, out);
  } else if (const Json::Array* items = value.items()) {
    out.push_back('[');
    for (std::size_t i = 0; i < items->size(); ++i) {
      if (i != 0) out.push_back(',');
      dump_value((*items)[i], out);
    }
    out.push_back(']');
  } else if (const Json::Object* members = value.members()) {
    out.push_back('{');
    for (std::size_t i = 0; i < members->size(); ++i) {
      if (i != 0) out.push_back(',');
      dump_text((*members)[i].first, out);
      out.push_back(':');
      dump_value((*members)[i].second, out);
    }
    out.push_back('}');
  } else {
    out += "null";
  }
}

}  // namespace

const Json* Json::find(std::string_view name) const {
  if (const Object* all = members()) {
    for (const Member& member : *all) {
      if (member.first == name) return &member.second;
    }
  }
  return nullptr;
}

Json* Json::find(std::string_view name) { return const_cast<Json*>(std::as_const(*this).find(name)); }

Json& Json::push(Json value) {
  if (is_null()) v_ = Array{};
  if (Array* all = items()) all->push_back(std::move(value));
  return *this;
}

Json& Json::add(std::string name, Json value) {
  if (is_null()) v_ = Object{};
  if (Object* all = members()) all->emplace_back(std::move(name), std::move(value));
  return *this;
}

Json& Json::set(std::string_view name, Json value) {
  if (Json* there = find(name)) {
    *there = std::move(value);
    return *this;
  }
  return add(std::string(name), std::move(value));
}

std::string_view Json::kind() const {
  if (is_null()) return "null";
  if (boolean() != nullptr) return "a boolean";
  if (text() != nullptr) return "a string";
  if (items() != nullptr) return "an array";
  if (members() != nullptr) return "an object";
  return "a number";
}

std::string Json::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

void Json::dump_to(std::string& out) const { dump_value(*this, out); }

Result<Json> Json::parse(std::string_view text) {
  if (!is_utf8(text)) return Status(Code::invalid, "not JSON: the text is not UTF-8");
  Builder builder;
  try {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return builder.take();
  } catch (const std::exception& error) {  // a number beyond the range of a double
    return Status(Code::invalid, std::string("not JSON: ") + error.what());
  }
  return Status(Code::invalid, "not JSON: " + builder.error());
}

bool is_utf8(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    const std::size_t size = utf8_sequence(bytes, i);
    if (size == 0) return false;
    i += size;
  }
  return true;
}

Json json_of_bytes(std::string_view bytes) {
  if (is_utf8(bytes)) return bytes;
  return Json::object().add("bytes", to_base64(bytes));
}

Result<std::string> bytes_of_json(const Json& value) {
  if (const std::string* text = value.text()) return *text;
  if (const Json* encoded = value.find("bytes"); encoded != nullptr && value.members()->size() == 1) {
    if (const std::string* text = encoded->text()) return from_base64(*text);
  }
  return Status(Code::invalid, "bytes are a JSON string or {\"bytes\": BASE64}, not " + std::string(value.kind()));
}

std::string to_base64(std::string_view bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out.push_back(k <= n ? digits[(group >> (18 - 6 * k)) & 63] : '=');
  }
  return out;
}

Result<std::string> from_base64(std::string_view text) {
  const Status wrong(Code::invalid, "not base64");
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return wrong;
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    std::uint32_t digit = 0;
    if (c >= 'A' && c <= 'Z') {
      digit = static_cast<std::uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      digit = static_cast<std::uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '-') {
      digit = 62;
    } else if (c == '/' || c == '_') {
      digit = 63;
    } else {
      return wrong;
    }
    group = group << 6 | digit;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>((group >> bits) & 0xff));
    }
  }
  return out;
}

}  // namespace futured::schema

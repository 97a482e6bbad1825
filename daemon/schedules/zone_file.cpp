#include "daemon/schedules/zone_file.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "proto/nearest.hpp"

namespace futured::schedules {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = 1 << 20;  // the largest of today have 4 KiB

bool well_formed(std::string_view name) {
  const auto belongs = [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || c == '_' || c == '-' || c == '+' || c == '/';
  };
  return name.size() <= 100 && name.front() != '/' && name.back() != '/' &&
         std::all_of(name.begin(), name.end(), belongs);
}

// The name of a zone that is there and reads nearly like one that is not; or empty.
std::string nearest_zone(std::string_view name, const fs::path& folder) {
  std::string found;
  while (true) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    std::error_code error;
    std::string match(part);
    if (!fs::exists(folder / found / match, error)) {
      std::vector<std::string> names;
      for (fs::directory_iterator it(folder / found, error), end; !error && it != end; it.increment(error)) {
        names.push_back(it->path().filename().string());
      }
      std::sort(names.begin(), names.end());
      match = nearest(part, names);
      if (match.empty()) return {};
    }
    found += match;
    const bool is_folder = fs::is_directory(folder / found, error);
    if (slash == std::string_view::npos) return is_folder ? std::string() : found;
    if (!is_folder) return {};
    found += '/';
    name.remove_prefix(slash + 1);
  }
}

Result<Zone> read(const fs::path& path, const std::string& what) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return Status(Code::internal, what + ": " + path.string() + ": " + error.message());
  if (size > kMostBytes) return Status(Code::invalid, what + ": " + path.string() + " is too large for a time zone");
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) return Status(Code::internal, what + ": " + path.string() + " cannot be read");
  Result<Zone> zone = Zone::parse(bytes);
  if (!zone) return Status(Code::invalid, what + ": " + path.string() + ": " + zone.status().message());
  return zone;
}

}  // namespace

Result<Zone> read_zone(std::string_view name, const ZoneFiles& files) {
  if (name == "UTC") return Zone();
  std::error_code error;
  if (name.empty()) {
    if (!fs::exists(files.local, error)) return Zone();
    return read(files.local, "the time zone of this machine");
  }
  if (!well_formed(name)) {
    return Status(Code::invalid,
                  "this is not the name of a time zone: letters, digits, _, -, + and single names between slashes such "
                  "as Europe/Berlin; UTC; or empty for the zone of this machine");
  }
  const std::string shown = "time zone '" + std::string(name) + "'";
  const fs::path path = files.folder / name;
  if (fs::is_regular_file(path, error)) return read(path, shown);
  if (!fs::is_directory(files.folder, error)) {
    return Status(Code::invalid, shown + ": no zones are installed in " + files.folder.string() +
                                     "; install the package tzdata, or take UTC");
  }
  const std::string near = nearest_zone(name, files.folder);
  return Status(Code::invalid, shown + " is unknown here (" + files.folder.string() + ")" +
                                   (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

}  // namespace futured::schedules

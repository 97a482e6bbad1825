#include "client/cli/line_reader.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <condition_variable>
#include <vector>

using futured::cli::LineReader;

namespace {

/// Reads what is written to a pipe.
struct Fixture {
  Fixture(LineReader::Options options = {}) {  // NOLINT(google-explicit-constructor)
    REQUIRE(::pipe(ends) == 0);
    options.fd = ends[0];
    reader.emplace(options, [this] {
      const std::lock_guard lock(mutex);
      told = true;
      changed.notify_all();
    });
  }
  ~Fixture() {
    reader.reset();
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  void write(std::string_view text) const {
    while (!text.empty()) {
      const auto n = ::write(ends[1], text.data(), text.size());
      REQUIRE(n > 0);
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void end() {
    ::close(ends[1]);
    ends[1] = -1;
  }
  std::string line() {
    while (true) {
      if (auto next = reader->next()) return *next;
      if (reader->ended()) return "END";
      std::unique_lock lock(mutex);
      if (!reader->ready()) changed.wait(lock, [this] { return told; });
      told = false;
    }
  }
  int ends[2] = {-1, -1};
  std::mutex mutex;
  std::condition_variable changed;
  bool told = false;
  std::optional<LineReader> reader;
};

}  // namespace

TEST_CASE("lines come whole, the last one with or without its end") {
  Fixture f;
  f.write("one\ntw");
  CHECK(f.line() == "one");
  f.write("o\n\nlast");
  CHECK(f.line() == "two");
  CHECK(f.line().empty());
  CHECK(!f.reader->total().has_value());
  f.end();
  CHECK(f.line() == "last");
  CHECK(f.line() == "END");
  CHECK(*f.reader->total() == 4);
  CHECK(f.reader->problem().empty());
}

TEST_CASE("lines may end with a zero byte") {
  LineReader::Options options;
  options.end = '\0';
  Fixture f(options);
  f.write(std::string_view("a\nb\0c", 5));
  f.end();
  CHECK(f.line() == "a\nb");
  CHECK(f.line() == "c");
  CHECK(f.line() == "END");
}

TEST_CASE("a line beyond the limit ends the input with a reason") {
  LineReader::Options options;
  options.longest = 10;
  Fixture f(options);
  f.write("short\n12345678901\nmore\n");
  f.end();
  CHECK(f.line() == "short");
  CHECK(f.line() == "END");
  CHECK(f.reader->problem().find("line 2") == 0);
  CHECK(f.reader->too_long());
}

TEST_CASE("lines are read ahead only so far, and all arrive") {
  LineReader::Options options;
  options.lines_ahead = 4;
  Fixture f(options);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += std::to_string(i) + "\n";
  f.write(text);
  f.end();
  for (int i = 0; i < 1000; ++i) {
    CHECK(f.line() == std::to_string(i));
    CHECK(f.reader->lines_read() <= static_cast<std::uint64_t>(i) + 6);
  }
  CHECK(f.line() == "END");
}

TEST_CASE("a reader that waits can be destroyed") {
  const Fixture silent;
  LineReader::Options options;
  options.lines_ahead = 1;
  const Fixture full(options);
  full.write("1\n2\n3\n4\n");
}

// Any bytes: both parsers give a value or a refusal, and what they took can be asked.
#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

namespace {

// Asks a zone that came out of broken bytes all over the times there are.
void ask(const Zone& zone, Random& random, const Cron& hourly, const Cron& nightly) {
  for (int i = 0; i < 4; ++i) {
    const auto time = static_cast<WallTime>(random.next());
    const Zone::Span span = zone.at(seconds_of(time));
    REQUIRE(span.begin <= seconds_of(time));
    REQUIRE(span.end > seconds_of(time));
    REQUIRE(span.offset >= Zone::kWest);
    REQUIRE(span.offset <= Zone::kEast);
    REQUIRE(hourly.next(time, zone) > time);
    REQUIRE(nightly.next(time, zone) > time);
  }
  zone.at(INT64_MAX);
  zone.at(INT64_MIN);
}

File full_file() {
  File file;
  file.offsets = {0, 3600, 7200, -1800};
  for (int i = 0; i < 40; ++i) {
    file.changes.emplace_back(-2'000'000'000 + i * 80'000'000LL, static_cast<std::uint8_t>(i % 4));
  }
  file.rule = "CET-1CEST,M3.5.0,M10.5.0/3";
  return file;
}

}  // namespace

TEST_CASE("random bytes are no zone and break nothing") {
  Random random(1);
  const Cron hourly = cron("17 * * * *"), nightly = cron("30 2 * * *");
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = random.chance(50) ? "TZif2" : "";
    for (int n = random.in(0, 200); n > 0; --n) bytes += static_cast<char>(random.chance(60) ? 0 : random.next());
    if (const Result<Zone> zone = Zone::parse(bytes); zone.ok()) {
      ++taken;
      ask(*zone, random, hourly, nightly);
    }
  }
  CHECK(taken < 20'000);
}

TEST_CASE("a zone file with bytes changed, cut off or repeated is taken or refused, and breaks nothing") {
  const std::string good = full_file().bytes();
  REQUIRE(Zone::parse(good).ok());
  const Cron hourly = cron("17 * * * *"), nightly = cron("30 2 * * *");
  Random random(2);
  int taken = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int n = random.in(1, 4); n > 0; --n) {
      const auto at = static_cast<std::size_t>(random.in(0, static_cast<int>(bytes.size()) - 1));
      switch (random.in(0, 5)) {
        case 0:
          bytes.resize(at + 1);
          break;
        case 1:
          bytes.insert(at, bytes.substr(at, 9));
          break;
        case 2:
          bytes.erase(at, 3);
          break;
        default:
          bytes[at] = static_cast<char>(random.next());
      }
      if (bytes.empty()) bytes = "T";
    }
    const Result<Zone> zone = Zone::parse(bytes);
    ++(zone.ok() ? taken : refused);
    if (zone.ok()) ask(*zone, random, hourly, nightly);
  }
  CHECK(taken > 100);
  CHECK(refused > 100);
}

TEST_CASE("a file cut off at any byte is refused") {
  const std::string good = full_file().bytes();
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(!Zone::parse(std::string_view(good).substr(0, size)).ok());
  }
}

TEST_CASE("counts that promise more than there is allocate nothing") {
  const std::string magic = "TZif2" + std::string(15, '\0');
  // No leap seconds: these are refused anyway.
  const std::string counts = std::string(8, '\xff') + std::string(4, '\0') + std::string(12, '\xff');
  CHECK(!Zone::parse(magic + counts).ok());
  CHECK(!Zone::parse(magic + std::string(24, '\0') + magic + counts).ok());
  std::string old = magic + counts;
  old[4] = '\0';
  CHECK(!Zone::parse(old).ok());
}

TEST_CASE("random text is an expression or a refusal that can be shown") {
  static constexpr std::string_view kLetters = "0123456789*,-/ @?adefjmnopstuvy\t";
  Random random(3);
  const Zone zone = berlin();
  int taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    const bool any = random.chance(20);
    for (int n = random.in(0, 30); n > 0; --n) {
      text += any ? static_cast<char>(random.next())
                  : kLetters[static_cast<std::size_t>(random.in(0, static_cast<int>(kLetters.size()) - 1))];
    }
    // Mostly something that has five fields.
    if (random.chance(60)) text = text.substr(0, 4) + " * * * " + text.substr(0, 3);
    const Result<Cron> parsed = Cron::parse(text);
    if (parsed.ok()) {
      ++taken;
      const auto time = static_cast<WallTime>(random.next());
      REQUIRE(parsed->next(time, zone) > time);
      continue;
    }
    REQUIRE(parsed.status().message().size() < 400);
    for (const char c : parsed.status().message()) REQUIRE((c >= ' ' && c <= '~'));
  }
  CHECK(taken > 100);
}

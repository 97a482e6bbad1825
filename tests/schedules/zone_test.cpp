// Zones from bytes, from rules and from files.
#include <filesystem>
#include <fstream>

#include "daemon/schedules/zone_file.hpp"
#include "tests/schedules/support.hpp"

using namespace futured;
using namespace futured::schedules;
using namespace futured::schedules::test;

namespace {

std::int32_t offset(const Zone& zone, WallTime time) { return zone.at(time / kSecond).offset; }

std::string refusal(const std::string& bytes) {
  const Result<Zone> zone = Zone::parse(bytes);
  REQUIRE(!zone.ok());
  CHECK(zone.status().code() == Code::invalid);
  return zone.status().message();
}
bool mentions(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// A folder of zones in the test's own folder.
struct Folder {
  Folder() {
    std::filesystem::remove_all("zones");
    std::filesystem::create_directories("zones/Europe");
    write("zones/Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3");
    write("zones/EST", "EST5");
    files.folder = "zones";
    files.local = "zones/localtime";
  }
  static void write(const std::string& path, const std::string& rule) {
    File file;
    file.rule = rule;
    std::ofstream(path, std::ios::binary) << file.bytes();
  }
  ZoneFiles files;
};

}  // namespace

TEST_CASE("a change counts from its second on, and the first offset before all of them") {
  File file;
  file.offsets = {3600, 7200, -1800};
  file.changes = {{1000, 1}, {5000, 2}};
  const Result<Zone> zone = Zone::parse(file.bytes());
  REQUIRE(zone.ok());
  CHECK(zone->at(999).offset == 3600);
  CHECK(zone->at(1000).offset == 7200);
  CHECK(zone->at(4999).offset == 7200);
  CHECK(zone->at(5000).offset == -1800);
  CHECK(zone->at(4'000'000'000).offset == -1800);
  CHECK(zone->at(2000).begin == 1000);
  CHECK(zone->at(2000).end == 5000);
}

TEST_CASE("after the last change the rule goes on") {
  File file;
  file.offsets = {0, 7200};
  file.changes = {{utc(2020, 1, 1) / kSecond, 1}};
  file.rule = "CET-1CEST,M3.5.0,M10.5.0/3";
  const Result<Zone> zone = Zone::parse(file.bytes());
  REQUIRE(zone.ok());
  CHECK(offset(*zone, utc(2019, 7, 1)) == 0);
  CHECK(offset(*zone, utc(2026, 1, 1)) == 3600);
  CHECK(offset(*zone, utc(2026, 7, 1)) == 7200);
  CHECK(offset(*zone, utc(2150, 7, 1)) == 7200);
}

TEST_CASE("each way to write a day in a rule") {
  // The last sunday of march and october.
  CHECK(offset(berlin(), utc(2026, 3, 29, 0, 59, 59)) == 3600);
  CHECK(offset(berlin(), utc(2026, 3, 29, 1)) == 7200);
  CHECK(offset(berlin(), utc(2026, 10, 25, 0, 59, 59)) == 7200);
  CHECK(offset(berlin(), utc(2026, 10, 25, 1)) == 3600);
  // J60 is 1 march in every year, 59 only where there is no leap day.
  const Zone julian = zone_by_rule("AAA0BBB,J60/0,J300/0");
  CHECK(offset(julian, utc(2024, 2, 29, 23, 59, 59)) == 0);
  CHECK(offset(julian, utc(2024, 3, 1)) == 3600);
  CHECK(offset(julian, utc(2026, 3, 1)) == 3600);
  const Zone counted = zone_by_rule("AAA0BBB,59/0,300/0");
  CHECK(offset(counted, utc(2024, 2, 29)) == 3600);
  CHECK(offset(counted, utc(2026, 2, 28, 23, 59, 59)) == 0);
  CHECK(offset(counted, utc(2026, 3, 1)) == 3600);
}

TEST_CASE("summer in the south goes over the end of the year") {
  const Zone sydney = zone_by_rule("AEST-10AEDT,M10.1.0,M4.1.0/3");
  CHECK(offset(sydney, utc(2025, 12, 31, 23)) == 39'600);
  CHECK(offset(sydney, utc(2026, 1, 1)) == 39'600);
  CHECK(offset(sydney, utc(2026, 7, 1)) == 36'000);
}

TEST_CASE("winter time that is called the exception, changes on another day, and summer all year") {
  const Zone dublin = zone_by_rule("IST-1GMT0,M10.5.0,M3.5.0/1");
  CHECK(offset(dublin, utc(2026, 1, 1)) == 0);
  CHECK(offset(dublin, utc(2026, 7, 1)) == 3600);
  // Two hours before the sunday: saturday, 22:00.
  const Zone nuuk = zone_by_rule("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  CHECK(offset(nuuk, utc(2026, 3, 29, 0, 59, 59)) == -7200);
  CHECK(offset(nuuk, utc(2026, 3, 29, 1)) == -3600);
  const Zone always = zone_by_rule("XXX3EDT4,0/0,J365/23");
  for (const WallTime time : {utc(2025, 12, 31, 23), utc(2026, 1, 1), utc(2026, 1, 1, 4), utc(2026, 7, 1)}) {
    CHECK(offset(always, time) == -14'400);
  }
}

TEST_CASE("rules that are none are refused") {
  for (const char* rule : {"C", "CET", "CET-25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
                           "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J365",
                           "CET-1CEST,366,1", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "<CET-1"}) {
    CAPTURE(rule);
    CHECK(!ZoneRule::parse(rule));
    File file;
    file.rule = rule;
    CHECK(mentions(refusal(file.bytes()), "the rule for the years to come cannot be read"));
  }
}

TEST_CASE("a broken file is refused with what is wrong") {
  CHECK(mentions(refusal(""), "does not begin with a header"));
  CHECK(mentions(refusal("TZif2"), "does not begin with a header"));
  File file;
  file.offsets = {0, 3600};
  file.changes = {{10, 1}, {20, 0}};
  const std::string good = file.bytes();
  CHECK(Zone::parse(good).ok());
  CHECK(mentions(refusal(good.substr(0, 60)), "ends before its 64-bit part"));
  CHECK(mentions(refusal(good.substr(0, good.size() - 10)), "shorter than its header says"));
  CHECK(mentions(refusal(good.substr(0, good.size() - 1)), "rule for the years to come is missing"));
  File leaps = file;
  leaps.leaps = 1;
  CHECK(mentions(refusal(leaps.bytes()), "leap seconds"));
  File backwards = file;
  backwards.changes = {{20, 1}, {10, 0}};
  CHECK(mentions(refusal(backwards.bytes()), "not in order"));
  File no_such_offset = file;
  no_such_offset.changes = {{10, 2}};
  CHECK(mentions(refusal(no_such_offset.bytes()), "an offset that is not there"));
  File far = file;
  far.offsets = {100'000};
  far.changes.clear();
  CHECK(mentions(refusal(far.bytes()), "above a day"));
  File none = file;
  none.offsets.clear();
  none.changes.clear();
  CHECK(mentions(refusal(none.bytes()), "has no offset"));
}

TEST_CASE("a zone of a folder is read by its name, UTC without a file") {
  const Folder folder;
  const Result<Zone> zone = read_zone("Europe/Berlin", folder.files);
  REQUIRE(zone.ok());
  CHECK(offset(*zone, utc(2026, 7, 1)) == 7200);
  const Result<Zone> plain = read_zone("UTC", folder.files);
  REQUIRE(plain.ok());
  CHECK(offset(*plain, utc(2026, 7, 1)) == 0);
}

TEST_CASE("the empty name is the machine's own zone, and UTC if it has none") {
  const Folder folder;
  const Result<Zone> none = read_zone("", folder.files);
  REQUIRE(none.ok());
  CHECK(offset(*none, utc(2026, 7, 1)) == 0);
  Folder::write("zones/localtime", "EST5");
  const Result<Zone> own = read_zone("", folder.files);
  REQUIRE(own.ok());
  CHECK(offset(*own, utc(2026, 7, 1)) == -18'000);
}

TEST_CASE("a name cannot lead out of the folder") {
  const Folder folder;
  Folder::write("outside", "EST5");
  for (const char* name : {"../outside", "/etc/localtime", "Europe/../../outside", "Europe/", "..", ".",
                           "Europe//Berlin/", "Europe\\Berlin", "Europe/Berlin\n", "./EST"}) {
    CAPTURE(name);
    const Result<Zone> zone = read_zone(name, folder.files);
    REQUIRE(!zone.ok());
    CHECK(zone.status().code() == Code::invalid);
    CHECK(mentions(zone.status().message(), "not the name of a time zone"));
  }
}

TEST_CASE("an unknown zone is answered with the nearest there is") {
  const Folder folder;
  const auto said = [&](const char* name) {
    const Result<Zone> zone = read_zone(name, folder.files);
    REQUIRE(!zone.ok());
    CHECK(zone.status().code() == Code::invalid);
    return zone.status().message();
  };
  CHECK(said("Europe/Berln") == "time zone 'Europe/Berln' is unknown here (zones); did you mean 'Europe/Berlin'?");
  CHECK(mentions(said("europe/berlin"), "did you mean 'Europe/Berlin'?"));
  CHECK(said("Nowhere") == "time zone 'Nowhere' is unknown here (zones)");
  CHECK(said("Europe") == "time zone 'Europe' is unknown here (zones)");
  std::ofstream("zones/notes") << "no zone";
  CHECK(mentions(said("notes"), "zones/notes: this is no usable time zone file"));
  ZoneFiles nothing;
  nothing.folder = "no_such_folder";
  const Result<Zone> zone = read_zone("Europe/Berlin", nothing);
  REQUIRE(!zone.ok());
  CHECK(mentions(zone.status().message(), "install the package tzdata"));
}

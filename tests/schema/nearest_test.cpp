#include "proto/nearest.hpp"

#include <doctest/doctest.h>

using futured::edit_distance;
using futured::nearest;

static const std::vector<std::string> kNames{"echo", "fetch", "fetch.sync", "primes", "sleep", "exec"};

TEST_CASE("a swapped pair of letters is one mistake") {
  CHECK(edit_distance("ecoh", "echo") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest name is found, whatever the case") {
  CHECK(nearest("ecoh", kNames) == "echo");
  CHECK(nearest("PRIME", kNames) == "primes");
  CHECK(nearest("fetch.snyc", kNames) == "fetch.sync");
}

TEST_CASE("a name that resembles nothing has no nearest") {
  CHECK(nearest("transmogrify", kNames).empty());
  CHECK(nearest("", kNames).empty());
  CHECK(nearest("xy", kNames).empty());
}

TEST_CASE("the beginning of a name means it") {
  CHECK(nearest("pri", kNames) == "primes");
  CHECK(nearest("sl", kNames) == "sleep");
}

TEST_CASE("a word without end costs nothing") {
  CHECK(nearest(std::string(1 << 20, 'e'), kNames).empty());
  CHECK(nearest("echo", std::vector<std::string>{std::string(1 << 20, 'e')}).empty());
}

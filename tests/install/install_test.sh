#!/usr/bin/env bash
# install_test.sh BUILD_DIR CONSUMER_SOURCE CXX
set -euo pipefail
build=$1 consumer=$2 cxx=$3
room=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$room"' EXIT
prefix=$room/prefix

fail() {
  printf 'install test: %s\n' "$*" >&2
  exit 1
}
expect() { # WHAT WANTED SEEN
  [ "$2" = "$3" ] || fail "$1: wanted '$2', saw '$3'"
}

cmake --install "$build" --prefix "$prefix" >"$room/install.log" || { cat "$room/install.log"; exit 1; }
for file in bin/futured bin/futured-worker bin/fut lib/futured/plugins/echo.so include/futured/executor.hpp \
  include/futured/plugin.h lib/cmake/futured/futuredConfig.cmake lib/pkgconfig/futured.pc; do
  [ -e "$prefix/$file" ] || fail "$file is not installed"
done
if grep -rlF -e "$build" -e "$(dirname "$consumer")" "$prefix/include" "$prefix/lib/cmake" "$prefix/lib/pkgconfig"; then
  fail "the files above name a folder of the source or build tree"
fi

cmake -S "$consumer" -B "$room/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" \
  -DCMAKE_CXX_COMPILER="$cxx" >"$room/configure.log" 2>&1 || { cat "$room/configure.log"; exit 1; }
cmake --build "$room/build" >"$room/build.log" 2>&1 || { cat "$room/build.log"; exit 1; }
shout=$(find "$room/build" -name 'shout.so')
[ -n "$shout" ] || fail "futured_add_plugin made no shout.so"

# The plugin that was just built, beside those that were installed.
mkdir "$room/run"
export FUTURED_CONNECT=ipc://$room/run/futured.sock
"$prefix/bin/futured" --listen "$FUTURED_CONNECT" --plugin-dir "$prefix/lib/futured/plugins" \
  --plugin-dir "$(dirname "$shout")" --processes 1 >"$room/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
  [ ! -S "$room/run/futured.sock" ] || break
  kill -0 "$daemon" 2>/dev/null || { cat "$room/daemon.log"; fail "futured ended at its start"; }
  sleep 0.05
done
said=$(FUTURED_CONNECT=ipc://$room/run/nobody.sock "$room/build/greet" 2>&1) && fail "without a daemon greet succeeded"
case $said in
  "no daemon at ipc://$room/run/nobody.sock"*) ;;
  *) fail "without a daemon greet said: $said" ;;
esac
expect "a program with futured::client" "HELLO hello" "$("$room/build/greet")"
expect "fut, as installed" "hello" "$("$prefix/bin/fut" run echo hello)"

# The same program without cmake.
flags=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs futured)
# shellcheck disable=SC2086  # a list of words
"$cxx" -std=c++20 "$consumer/greet.cpp" -o "$room/greet" $flags
expect "a program with pkg-config" "HELLO hello" "$("$room/greet")"

kill -TERM "$daemon"
wait "$daemon" || fail "futured did not end with status 0 after SIGTERM: $(cat "$room/daemon.log")"
daemon=

# Without a word on the command line an installed futured finds its worker and its plugins.
"$prefix/bin/futured" --listen "$FUTURED_CONNECT" --processes 1 >"$room/daemon2.log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
  [ "$("$prefix/bin/fut" run echo hello 2>/dev/null)" != hello ] || break
  kill -0 "$daemon" 2>/dev/null || { cat "$room/daemon2.log"; fail "futured ended at its start"; }
  sleep 0.05
done
expect "an installed daemon's own plugins" "hello" "$("$prefix/bin/fut" run echo hello)"

expect "a program with futured::embedded" "abab" "$("$room/build/alone")"

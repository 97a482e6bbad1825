#!/usr/bin/env bash
# Words, calls and includes that must not be in the tree. Prints each finding; exit status 1 if there is one.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
found=0

forbid() { # WHY PATTERN PATH...: extended regular expression, over C and C++ files
  local why=$1 pattern=$2
  shift 2
  local paths=() path
  for path in "$@"; do [ ! -e "$path" ] || paths+=("$path"); done
  [ ${#paths[@]} != 0 ] || return 0
  local lines
  lines=$(grep -rnIE --include='*.[ch]' --include='*.[ch]pp' -- "$pattern" "${paths[@]}") || return 0
  printf '%s:\n%s\n' "$why" "$lines"
  found=1
}

all=(client daemon proto tests worker)
forbid "unfinished work" '\b(TO''DO|FIX''ME|X''XX|HA''CK|not impl''emented|unimpl''emented)\b' "${all[@]}"
forbid "unbounded or unsafe C calls" '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|tmpnam|mktemp|alloca)\(' "${all[@]}"
forbid "a shell in between: use posix_spawn or fork and exec" '\b(std::)?(system|popen)\(' client daemon proto worker
forbid "a namespace of others opened" 'using namespace std *;' "${all[@]}"
forbid "coroutines: g++ 12 destroys temporaries of co_await twice" '\bco_(await|yield|return)\b' client daemon proto worker
forbid "protobuf, sockets, threads or a clock in a core" \
  '#include.*(<zmq|google/protobuf|\.pb\.h|<thread>|<mutex>|<sys/|sqlite)|(steady|system)_clock::now' \
  daemon/scheduler daemon/schedules worker/session client/session
forbid "the daemon knows neither client nor worker" '#include "(client|worker)/' daemon
forbid "the worker knows neither client nor daemon" '#include "(client|daemon)/' worker
forbid "only client/embedded links all three" '#include "(daemon|worker)/' \
  client/session client/link client/cli client/include
forbid "full protobuf belongs to proto/schema and the command line" '#include "proto/schema/(schema|message)' daemon worker
exit $found

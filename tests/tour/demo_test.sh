#!/usr/bin/env bash
# demo_test.sh DEMO: it reads each of the 15 pages in each of the four ways, and threads, processes and the async lane
# are faster than one after the other.
set -euo pipefail
out=$(timeout 100 "$1")
fail() {
  printf 'demo test: %s; it printed:\n%s\n' "$1" "$out"
  exit 1
}
[ "$(grep -cE '^Read 20000 from http://127\.0\.0\.1:[0-9]+/[0-9]+$' <<<"$out")" = 60 ] || fail "not 60 pages were read"
[ "$(grep -E '^Read' <<<"$out" | sort | uniq -c | awk '$1 == 4' | wc -l)" = 15 ] || fail "a page was not read four times"
mapfile -t times < <(awk '/^15 pages/ { table = 1; next } table && NF { print $NF }' <<<"$out")
[ ${#times[@]} = 4 ] || fail "there is no table of four times"
for time in "${times[@]:1}"; do
  awk -v one="${times[0]}" -v this="$time" 'BEGIN { exit !(this < one / 1.5) }' || fail "$time s is not faster than ${times[0]} s"
done

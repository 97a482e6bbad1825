#!/usr/bin/env bash
# readme_test.sh README BIN_DIR PLUGIN_DIR: the README shows nothing that does not work.
# A code block after the comment "<!-- same as FILE -->" must be that file, word for word. In a block after "<!-- run -->" each
# line "$ COMMAND" is run beside a daemon, and must print the lines that follow it to its standard output.
set -euo pipefail
readme=$1 bin=$2 plugins=$3
tree=$(dirname "$readme")
room=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$room"' EXIT
failures=0 checked=0

check() { # WHERE WANTED SEEN
  checked=$((checked + 1))
  [ "$2" != "$3" ] || return 0
  printf '%s:\n--- the README says\n%s\n--- it is\n%s\n' "$1" "$2" "$3"
  failures=$((failures + 1))
}

export FUTURED_CONNECT=ipc://$room/futured.sock PATH=$bin:$PATH
futured --listen "$FUTURED_CONNECT" --plugin-dir "$plugins" --processes 2 >"$room/log" 2>&1 &
daemon=$!
for _ in $(seq 200); do
  [ ! -S "$room/futured.sock" ] || break
  kill -0 "$daemon" 2>/dev/null || { cat "$room/log"; exit 1; }
  sleep 0.05
done

mode='' block='' command='' inside=0
flush_command() {
  [ -n "$command" ] || return 0
  local seen
  seen=$(cd "$room" && timeout 30 bash -c "$command" 2>/dev/null </dev/null) || true
  check "\$ $command" "${block%$'\n'}" "$seen"
  command='' block=''
}
while IFS= read -r line; do
  case $line in
    '<!-- same as '*' -->') mode=${line#'<!-- same as '} mode=${mode%' -->'} ;;
    '<!-- run -->') mode=run ;;
    '```'*)
      if [ $inside = 0 ]; then
        inside=1 block=''
      else
        if [ "$mode" = run ]; then
          flush_command
        elif [ -n "$mode" ]; then
          check "$mode" "${block%$'\n'}" "$(cat "$tree/$mode")"
        fi
        inside=0 mode=''
      fi
      ;;
    '$ '*)
      if [ "$inside$mode" = 1run ]; then
        flush_command
        command=${line#'$ '}
      elif [ $inside = 1 ]; then
        block+=$line$'\n'
      fi
      ;;
    *) [ $inside = 0 ] || block+=$line$'\n' ;;
  esac
done <"$readme"
[ $checked != 0 ] || { echo "the README shows nothing that can be checked"; exit 1; }
exit $((failures > 0))

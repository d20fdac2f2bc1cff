#!/bin/sh
# An alert: runs a check, and tells a user when it begins to fail; once, until it succeeds again. From cron:
#
#     */5 * * * *  cd ~/monitor && ./alert.sh bob site curl -fsS https://www.example.org/
#
# Ends with 0 if all is well, or the user is told; else with the exit code of rsachat send, and the next run tries again.
if [ $# -lt 3 ]; then
    echo "usage: alert.sh USER NAME COMMAND..." >&2
    exit 2
fi
user=$1 name=$2
shift 2
if output=$("$@" 2>&1); then
    exec rm -f -- "./$name.failing"
else
    code=$?
fi
[ ! -e "./$name.failing" ] || exit 0
printf '%s fails with %s: %s\n%s\n' "$name" "$code" "$*" "$output" | rsachat send --code --to "$user" || exit
# Only now: who could not be told is told the next time.
: >"./$name.failing"

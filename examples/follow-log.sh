#!/bin/sh
# Follows a log in a room: follow-log.sh FILE [ROOM]
#
# rsachat send, not connect, takes the lines: to connect a line that begins with a slash is a command, and in a log others choose
# how lines begin. While the server is away the lines wait, for up to --timeout; then this ends, with rsachat's exit code.
if [ $# -lt 1 ]; then
    echo "usage: follow-log.sh FILE [ROOM]" >&2
    exit 2
fi
tail -n 0 -F -- "$1" | rsachat send --lines --room "${2:-#logs}" --timeout 24h

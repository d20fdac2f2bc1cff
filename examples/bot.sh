#!/bin/sh
# A bot: answers !uptime and !disk in a room that it is in. bot.sh [ROOM]
if [ "${1:-}" != --answer ]; then
    export BOT="$0" BOT_ROOM="${1:-#common}"
    exec rsachat tail --room "$BOT_ROOM" --cursor bot --exec 'exec sh "$BOT" --answer'
fi
# One message, as a line of JSON. What others say is compared with, and never a part of a command: in it a quote is \", so that
# nobody can write "own":true into a text.
IFS= read -r message
case $message in
*'"own":true'*) ;;
*'"text":"!uptime"'*) uptime | rsachat send --code --room "$BOT_ROOM" ;;
*'"text":"!disk"'*) df -h . 2>&1 | rsachat send --code --room "$BOT_ROOM" ;;
esac

#!/usr/bin/env python3
"""A bot: answers !ping in a room, and whatever is said to it alone. bot.py [ROOM]

Ends when rsachat does, with its exit code.
"""

import json
import subprocess
import sys

room = sys.argv[1] if len(sys.argv) > 1 else "#common"
rsachat = subprocess.Popen(
    ["rsachat", "connect", "--json", "--no-input", "--room", room],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    encoding="utf-8",
)


def command(name, **fields):
    try:
        print(json.dumps({"command": name, **fields}), file=rsachat.stdin, flush=True)
    except BrokenPipeError:
        pass  # It has ended; its last lines say why.


def reply(message):
    # What was said before it came here first is none of its business. Its own answers are of the kind code: two bots that
    # answer each other's never end.
    if message["own"] or message["kind"] != "text" or message["arrival"] not in ("live", "missed"):
        return None
    if message["text"] == "!ping":
        return "pong"
    return "I know !ping, and nothing else." if message["room"].startswith("@") else None


def handle(event):
    if event["type"] == "message" and (answer := reply(event)):
        # The answer to this command has the same ref.
        ref = f"{event['room']} {event['seq']}"
        command("say", room=event["room"], kind="code", text=answer, ref=ref)
    elif event["type"] == "accepted":
        # It is stored: what was said up to here is not missed the next time.
        where, seq = event["ref"].split()
        command("read", room=where, seq=int(seq))
    elif event["type"] in ("error", "refused", "not_entered"):
        print(f"bot.py: {event['code']}: {event['message']}", file=sys.stderr)


try:
    for line in rsachat.stdout:
        handle(json.loads(line))
except KeyboardInterrupt:
    rsachat.communicate()  # It has got the signal, too.
sys.exit(rsachat.wait())

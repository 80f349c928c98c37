"""Speaks to the agent as LXC's monitor does, and as none should. Prints what came of it as JSON."""

import json
import os
import socket
import sys

from lxc_packet import packet, response

PATH, PID, MEMORY = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def connect():
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(10)
    peer.connect(PATH)
    return peer


def ask(message, descriptors):
    """The response's flags; "closed" when the agent has had enough."""
    with connect() as peer:
        try:
            socket.send_fds(peer, [message], descriptors)
            answer = peer.recv(8192)
        except OSError as error:
            return type(error).__name__
    if answer == b"":
        return "closed"
    return response(answer)[3]


directory = os.open(f"/proc/{PID}", os.O_RDONLY)
memory = os.open(MEMORY, os.O_RDWR | os.O_CREAT)
nothing = os.open("/dev/null", os.O_RDWR)
whole = [directory, memory, nothing]

found = {
    "forged": ask(packet(4711, PID), whole),
    "unknown": ask(packet(4711, PID, 100000), whole),
    "garbage": ask(b"garbage", whole),
    "cut": ask(packet(4711, PID)[:100], whole),
    "bare": ask(packet(4711, PID), []),
    "few": ask(packet(4711, PID), whole[:2]),
    "many": ask(packet(4711, PID), whole * 20),
    "long": ask(packet(4711, PID) + bytes(20000), whole),
}

# One that never reads its answers.
deaf = connect()
deaf.settimeout(1)
sent = 0
try:
    while sent < 100000:
        socket.send_fds(deaf, [packet(sent + 1, PID)], whole)
        sent += 1
    found["deaf"] = "heard"
except OSError as error:
    found["deaf"] = type(error).__name__
found["written"] = os.fstat(memory).st_size
print(json.dumps(found))

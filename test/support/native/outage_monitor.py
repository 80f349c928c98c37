"""Asks the agent as monitors of LXC would that have given up a question while nobody answered.

outage_monitor.py SOCKET

Asks with each line that it reads, and says "asked"; with the next line it prints as JSON what came
of it: the id that an answer is about, or how the connection ended.
"""

import json
import os
import socket
import sys

from lxc_packet import packet, response
from notified import give_up, next_call, start_caller

child, listener = start_caller()
memory = os.open("/dev/null", os.O_RDWR)
directory = os.open("/proc/self", os.O_RDONLY)


def ask(peer, identity):
    # A call that the agent lets through.
    try:
        socket.send_fds(peer, [packet(identity, child, 100000)], [directory, memory, listener])
    except BrokenPipeError:
        pass


def heard(peer):
    try:
        answer = peer.recv(8192)
    except OSError as error:
        return type(error).__name__
    return response(answer)[0] if answer else "closed"


def connect():
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(30)
    peer.connect(sys.argv[1])
    return peer


# One that has asked nothing else since, one that has, and one that still waits.
peers = [connect(), connect(), connect()]
while sys.stdin.readline():
    silent, talking, patient = peers
    for peer in (silent, talking):
        late = next_call(listener)
        # In this order, because somebody may be there who answers at once.
        give_up(listener, late)
        ask(peer, late)
    current = next_call(listener)
    ask(talking, current)
    ask(patient, current)
    print("asked", flush=True)
    sys.stdin.readline()
    found = {"silent": heard(silent), "talking": heard(talking), "patient": heard(patient)}
    give_up(listener, current)
    print(json.dumps(found | {"asked": current}), flush=True)
    peers = [connect(), connect(), patient]
os.kill(child, 9)

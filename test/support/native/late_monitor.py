"""Asks the agent what takes it long to answer, then something else, as LXC's monitor would.

late_monitor.py SOCKET MEMORY

Prints the PID of a caller, as a process of its own container sees it; reads the one that the agent
sees. Prints as JSON what it got for three calls, the first of which is answered in MEMORY.
"""

import json
import os
import socket
import sys

from lxc_packet import packet, response
from notified import next_call, start_caller

PATH, MEMORY = sys.argv[1:]

child, listener = start_caller()
identity = next_call(listener)
directory, memory = os.open("/proc/self", os.O_RDONLY), os.open(MEMORY, os.O_RDWR | os.O_CREAT)

print(child, flush=True)
pid = int(sys.stdin.readline())
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.connect(PATH)
told = []
# The others are calls that the agent lets through.
for one in (packet(identity, pid), packet(4711, pid, 100000), packet(4712, pid, 100000)):
    socket.send_fds(peer, [one], [directory, memory, listener])
    told.append(response(peer.recv(8192)))
print(json.dumps({"asked": identity, "told": told, "written": os.fstat(memory).st_size}))
os.kill(child, 9)

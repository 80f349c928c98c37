"""Asks the agent as LXC's monitor does that serves two filters: the container's, and that of a program
executed in it.

side_monitor.py SOCKET

Prints the PIDs of two callers of syslog(2), each with a filter of its own, as a process of their
container sees them; reads those that the agent sees. Has a caller read the log, whose number it
reads, and says when that waits; the caller says when it has read something.
"""

import ctypes
import socket
import struct
import sys

from lxc_monitor import Monitor
from lxc_packet import packet_of, response
from notified import hand_over, libc, next_notification, pass_on, start_calling

SYSLOG, READ, ALL_FLAGS = 103, 2, 0xFFFFFFFF


def reader(number):
    def read(peer):
        hand_over(peer, SYSLOG)
        while peer.recv(1):
            # What the agent writes for the monitor goes to another memory.
            text = ctypes.create_string_buffer(8192)
            while text.value == b"":
                libc.syscall(SYSLOG, READ, text, len(text))
            print(number, "has read", flush=True)

    return read


class Caller:
    def __init__(self, number):
        self.pid, self.listener, self.peer = start_calling(reader(number))
        self.seen_pid = 0

    def wait(self, peer, descriptors):
        """Has it read what is there, until a call of it waits."""
        self.peer.send(b"r")
        while True:
            own = next_notification(self.listener)
            seen = own[:8] + struct.pack("<I", self.seen_pid) + own[12:]
            socket.send_fds(peer, [packet_of(seen)], [*descriptors[:2], self.listener])
            identity, value, error, flags = response(peer.recv(8192))
            if flags == ALL_FLAGS:
                return
            pass_on(self.listener, identity, value, error, flags)


callers = [Caller(number) for number in range(2)]
print(*(caller.pid for caller in callers), flush=True)
for caller, pid in zip(callers, sys.stdin.readline().split()):
    caller.seen_pid = int(pid)
monitor = Monitor(sys.argv[1], callers[0].listener)
for line in sys.stdin:
    callers[int(line)].wait(monitor.peer, monitor.descriptors)
    print(int(line), "waits", flush=True)

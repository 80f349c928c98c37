"""Asks the agent what takes it long to answer, then something else, as LXC's monitor would.

late_monitor.py SOCKET MEMORY

Prints the PID of a caller, as a process of its own container sees it; reads the one that the agent
sees. Prints as JSON what it got for three calls, the first of which is answered in MEMORY.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys

from lxc_packet import NOTIFICATION, SYSINFO, X86_64, packet, response

PATH, MEMORY = sys.argv[1:]
SECCOMP, SET_MODE_FILTER, NEW_LISTENER, SET_NO_NEW_PRIVS = 317, 1, 8, 38
NOTIF_RECV = 0xC0502100
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, USER_NOTIF = 0x7FFF0000, 0x7FC00000

libc = ctypes.CDLL(None, use_errno=True)


def call(peer):
    """Hands over the descriptor that its own call of sysinfo(2) then waits at."""
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, SYSINFO), (RETURN, 0, 0, USER_NOTIF)]
    code = b"".join(struct.pack("<HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])
    text = ctypes.create_string_buffer(code)
    program = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = libc.syscall(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    socket.send_fds(peer, [b"listener"], [listener])
    libc.syscall(SYSINFO, None)


ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    call(theirs)
    os._exit(0)
_, (listener,), _, _ = socket.recv_fds(ours, 16, 1)
notification = bytearray(NOTIFICATION)
fcntl.ioctl(listener, NOTIF_RECV, notification)
(identity,) = struct.unpack_from("<Q", notification)
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

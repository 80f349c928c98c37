"""Calls that wait for an answer, as a container's would."""

import ctypes
import fcntl
import os
import socket
import struct
from signal import SIGKILL

from lxc_packet import NOTIFICATION, SYSINFO

SECCOMP, SET_MODE_FILTER, NEW_LISTENER, SET_NO_NEW_PRIVS, SET_PDEATHSIG = 317, 1, 8, 38, 1
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, USER_NOTIF = 0x7FFF0000, 0x7FC00000
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


def hand_over(peer, number):
    """Hands over the descriptor that its own calls with this number then wait at."""
    steps = [(LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, USER_NOTIF)]
    code = b"".join(struct.pack("<HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])
    text = ctypes.create_string_buffer(code)
    program = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
    libc.prctl(SET_PDEATHSIG, SIGKILL)
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = libc.syscall(SECCOMP, SET_MODE_FILTER, NEW_LISTENER, program)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    socket.send_fds(peer, [b"listener"], [listener])
    os.close(listener)


def call(peer):
    hand_over(peer, SYSINFO)
    while True:
        libc.syscall(SYSINFO, None)


def start_calling(what):
    """A process that does `what`: its PID, the notify descriptor, and a socket to it."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        what(theirs)
        os._exit(0)
    _, (listener,), _, _ = socket.recv_fds(ours, 16, 1)
    return child, listener, ours


def start_caller():
    """A process that calls again and again: its PID and the notify descriptor."""
    return start_calling(call)[:2]


def next_notification(listener):
    notification = bytearray(NOTIFICATION)
    fcntl.ioctl(listener, NOTIF_RECV, notification)
    return bytes(notification)


def next_call(listener):
    """The id of its next call."""
    return struct.unpack_from("<Q", next_notification(listener))[0]


def pass_on(listener, identity, value, error, flags):
    fcntl.ioctl(listener, NOTIF_SEND, struct.pack("<QqiI", identity, value, error, flags))


def give_up(listener, identity):
    """What LXC's monitor does about a question that nobody answers in 30 s."""
    pass_on(listener, identity, 0, -ENOSYS, 0)

"""Follows a kernel log and prints what each read gives, or writes to it; run in a container.

    kmsg_follow.py dev|proc|epoll|write

A loss is printed as "EPIPE". A reader ends when what it has printed has "the end" in it. A writer
writes that at the end of its stdin, and prints how many numbers it has written before.
"""

import os
import select
import sys

PATHS = {"dev": "/dev/kmsg", "proc": "/proc/kmsg", "epoll": "/dev/kmsg"}
EVERY_MS = 20


def write():
    fd = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
    stdin = select.poll()
    stdin.register(sys.stdin, select.POLLIN)
    number = 0
    while not stdin.poll(EVERY_MS):
        os.write(fd, b"<30>number %d" % number)
        number += 1
    os.write(fd, b"the end")
    print(number)


def follow(kind):
    waits = kind == "epoll"
    fd = os.open(PATHS[kind], os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if waits else 0))
    poll = select.epoll()
    if waits:
        poll.register(fd, select.EPOLLIN)
    end = False
    while not end:
        try:
            if waits:
                poll.poll()
            data = os.read(fd, 8192)
        except BlockingIOError:
            continue
        except BrokenPipeError:
            data = b"EPIPE\n"
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        end = b"the end" in data


if sys.argv[1] == "write":
    write()
else:
    follow(sys.argv[1])

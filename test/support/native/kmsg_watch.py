"""Watches a kernel log for kills as programs in containers do, and prints what it finds.

    kmsg_watch.py kubelet|go [PATH]

Both begin after the newest record, as kubelet's parser does (github.com/euank/go-kmsg-parser).
`kubelet` reads a file that blocks; `go` does what Go's os.Open makes of a file that can be polled:
edge-triggered, without blocking. Prints "ready", then one line for each record: the monotonic time
at which it was there in µs, its sequence number, its text. Ends after a record with "the end".
"""

import os
import select
import sys
import time

MOST = 8192  # of kubelet's parser
GO = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET


def records(fd, epoll):
    while True:
        try:
            yield os.read(fd, MOST)
        except BlockingIOError:
            epoll.poll()
        except BrokenPipeError:
            yield b"0,-1,0,-;EPIPE\n"


def watch(how, path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    epoll = select.epoll()
    if how == "go":
        epoll.register(fd, GO)
        os.set_blocking(fd, False)
    os.lseek(fd, 0, os.SEEK_END)
    print("ready", flush=True)
    for record in records(fd, epoll):
        at_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        head, text = record.decode().split("\n")[0].split(";", 1)
        print(at_us, head.split(",")[1], text, flush=True)
        if "the end" in text:
            return


watch(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "/dev/kmsg")

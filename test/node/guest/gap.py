#!/usr/bin/env python3
"""How long a container sees another MemTotal than its own: gap.py PID KIB

Reads until its standard input ends, and then prints how many reads there were, how many saw another figure,
how many failed, and the longest time in seconds in which none saw its own."""
import ctypes
import os
import select
import sys
import time

pid, own = sys.argv[1], sys.argv[2].encode()
libc = ctypes.CDLL(None, use_errno=True)
for fd in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("pid", "mnt")]:
    if libc.setns(fd, 0) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
child = os.fork()
if child != 0:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

reads = wrong = failed = 0
longest = 0.0
good = time.monotonic()
while not select.select([sys.stdin], [], [], 0)[0]:
    time.sleep(0.01)
    reads += 1
    try:
        with open("/proc/meminfo", "rb") as file:
            seen = file.readline().split()[1]
    except OSError:
        failed += 1
        seen = b""
    now = time.monotonic()
    if seen == own:
        longest = max(longest, now - good)
        good = now
    elif seen:
        wrong += 1
print(reads, wrong, failed, f"{max(longest, time.monotonic() - good):.2f}")

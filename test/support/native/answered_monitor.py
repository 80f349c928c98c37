"""Asks the agent as LXC's monitor would, of which the call goes on waiting after the answer.

answered_monitor.py SOCKET

Asks when it reads a line, and says each answer and the end of the connection.
"""

import os
import sys

from lxc_monitor import Monitor
from notified import next_call, start_caller

child, listener = start_caller()
monitor = Monitor(sys.argv[1], listener)
sys.stdin.readline()
monitor.ask(next_call(listener), child)
heard = 0
while isinstance(heard, int):
    heard = monitor.heard()
    print("answer" if isinstance(heard, int) else heard, flush=True)
os.kill(child, 9)

"""Asks the agent as LXC's monitor would, of which the call goes on waiting after the answer.

answered_monitor.py SOCKET

Asks when it reads a line, each time about another call, and says whether the answer is about that
call, and the end of the connection.
"""

import os
import select
import sys

from lxc_monitor import Monitor
from notified import give_up, next_call, start_caller

child, listener = start_caller()
monitor = Monitor(sys.argv[1], listener)
asked, heard = 0, 0
while isinstance(heard, int):
    if sys.stdin in select.select([sys.stdin, monitor.peer], [], [])[0]:
        sys.stdin.readline()
        if asked != 0:
            give_up(listener, asked)
        asked = next_call(listener)
        monitor.ask(asked, child)
    heard = monitor.heard()
    same = "answer" if heard == asked else "another answer"
    print(same if isinstance(heard, int) else heard, flush=True)
os.kill(child, 9)

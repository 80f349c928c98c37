"""Asks the agent as monitors of LXC would that have given up a question while nobody answered.

outage_monitor.py SOCKET

Asks with each line that it reads, and says "asked"; with the next line it prints as JSON what came
of it.
"""

import json
import os
import sys

from lxc_monitor import Monitor
from notified import give_up, next_call, start_caller

child, listener = start_caller()


def connect():
    return Monitor(sys.argv[1], listener)


# One that has asked nothing else since, one that has, and one that still waits.
silent, talking, patient = connect(), connect(), connect()
while sys.stdin.readline():
    for monitor in (silent, talking):
        late = next_call(listener)
        # In this order, because somebody may be there who answers at once.
        give_up(listener, late)
        monitor.ask(late, child)
    current = next_call(listener)
    talking.ask(current, child)
    patient.ask(current, child)
    print("asked", flush=True)
    sys.stdin.readline()
    found = {"silent": silent.heard(), "talking": talking.heard(), "patient": patient.heard()}
    give_up(listener, current)
    print(json.dumps(found | {"asked": current}), flush=True)
    silent, talking = connect(), connect()
os.kill(child, 9)

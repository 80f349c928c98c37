"""A program whose log goes to a terminal.

    terminal.py FILE COMMAND...

Makes a terminal that somebody reads, tells FILE its name and who that is, and becomes COMMAND, with the
terminal as its stderr.
"""

import os
import pty
import sys

told, *command = sys.argv[1:]
ours, theirs = pty.openpty()
name = os.ttyname(theirs)
child = os.fork()
if child == 0:
    os.close(theirs)
    # Nobody of COMMAND's: it would not know whose end it is told.
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    for fd in (1, 2):
        os.close(fd)
    with open(told + ".new", "w", encoding="utf-8") as file:
        file.write(f"{name} {os.getpid()}")
    os.rename(told + ".new", told)
    try:
        while os.read(ours, 65536):
            pass
    except OSError:
        pass  # EIO: the last one has closed it
    os._exit(0)
os.waitpid(child, 0)
os.close(ours)
os.dup2(theirs, 2)
os.execvp(command[0], command)

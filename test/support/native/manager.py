"""A service manager with systemd's descriptor store, as far as vprocfs uses one.

    manager.py DIRECTORY LIMIT COMMAND...

Keeps COMMAND running: starts it again when it ends otherwise than with status 0, with the descriptors
that it had put into the store (LIMIT: how many; 0: a manager without a store). What else of the service
is left is killed first, as with KillMode=mixed. Commands on stdin: restart, stop. Tells on stdout what
happens, a line each.
"""

import ctypes
import os
import select
import selectors
import signal
import socket
import sys

directory, limit, *command = sys.argv[1:]
limit = int(limit)
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
path = os.path.join(directory, "notify")
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
notify.bind(path)
store = []  # [name, descriptor]
main = 0
job = None


def say(*words):
    print(*words, flush=True)


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def start():
    global main
    moved = [os.dup(fd) for _, fd in store]
    main = os.fork()
    if main != 0:
        for fd in moved:
            os.close(fd)
        say("started", main)
        return
    os.environ["NOTIFY_SOCKET"] = path
    if store:
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = str(len(store))
        os.environ["LISTEN_FDNAMES"] = ":".join(name for name, _ in store)
    high = [os.dup2(fd, 500 + i, inheritable=False) for i, fd in enumerate(moved)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
    os.closerange(3 + len(high), 500)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvp(command[0], command)


def take():
    data, fds, _, _ = socket.recv_fds(notify, 65536, 64)
    fields = dict(line.split("=", 1) for line in data.decode().split("\n") if "=" in line)
    name = fields.get("FDNAME", "")
    if "FDSTORE" in fields:
        for fd in fds:
            if len(store) < limit:
                store.append([name, os.dup(fd)])
                say("stored", name)
    if "FDSTOREREMOVE" in fields:
        for entry in [entry for entry in store if entry[0] == name]:
            os.close(entry[1])
            store.remove(entry)
            say("removed", name)
    for fd in fds:
        os.close(fd)
    for field in ("READY", "RELOADING", "STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"):
        if field in fields:
            say(field.lower(), fields[field])


def kill_rest():
    while rest := children():
        for pid in rest:
            os.kill(pid, signal.SIGKILL)
        for pid in rest:
            os.waitpid(pid, 0)


def on_end(status):
    """Whether that was all."""
    global job
    say("ended", status)
    while select.select([notify], [], [], 0)[0]:
        take()
    kill_rest()
    again = job == "restart" or (job is None and status != 0)
    job = None
    if again:
        start()
    return not again


def obey(line):
    global job
    job = line
    # RestartKillSignal= of the unit.
    os.kill(main, signal.SIGRTMIN if line == "restart" else signal.SIGTERM)


signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
selector = selectors.DefaultSelector()
for file in (notify, wake, sys.stdin):
    selector.register(file, selectors.EVENT_READ)
start()
done = False
while not done:
    for key, _ in selector.select():
        if key.fileobj is notify:
            take()
        elif key.fileobj is wake:
            os.read(wake, 4096)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                if pid == main:
                    done = on_end(status)
        else:
            line = sys.stdin.readline().strip()
            if line == "":
                selector.unregister(sys.stdin)
                line = "stop"
            obey(line)
for _, fd in store:
    os.close(fd)
kill_rest()
os.unlink(path)

"""What a reader of /dev/kmsg and /proc/kmsg finds that reads it as programs do; run in a container.

Each check is a function; the names of those to run are the arguments. One that fails raises.
"""

import errno
import os
import select
import sys
import time

DEV = "/dev/kmsg"
PROC = "/proc/kmsg"
MOST = 8192
BANNER = 4
SIZE = 16 << 20


def opened(flags, path=DEV):
    return os.open(path, flags | os.O_CLOEXEC)


def code_of(action):
    """The name of the error that an action fails with; "" when it does not."""
    try:
        action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


def drain(fd, most=MOST):
    """All records until there are no more."""
    records = []
    while True:
        try:
            records.append(os.read(fd, most))
        except BlockingIOError:
            return records
        except BrokenPipeError:
            records.append(None)


def sequence_of(record):
    return int(record.split(b",")[1])


def write(text):
    fd = opened(os.O_WRONLY)
    os.write(fd, text)
    os.close(fd)


def records():
    """One record for each read, whole, in order, each reader with a place of its own."""
    fd, other = opened(os.O_RDONLY | os.O_NONBLOCK), opened(os.O_RDONLY | os.O_NONBLOCK)
    got = drain(fd)
    assert len(got) >= BANNER and all(one.endswith(b"\n") for one in got), got
    assert [sequence_of(one) for one in got] == list(range(len(got))), got
    assert b"Linux version" in got[0], got
    assert drain(other) == got
    write(b"<30>one more\n")
    (last,) = drain(fd)
    head, text = last.split(b";")
    assert head.split(b",")[0] == b"30" and text == b"one more\n", last
    assert abs(int(head.split(b",")[2]) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 60, last
    assert code_of(lambda: os.read(fd, MOST)) == "EAGAIN"


def blocking_flag():
    """What counts is whether the file blocks at the moment, not what open(2) was told."""
    fd = opened(os.O_RDONLY)
    os.set_blocking(fd, False)
    assert drain(fd)
    other = opened(os.O_RDONLY | os.O_NONBLOCK)
    drain(other)
    os.set_blocking(other, True)
    child = os.fork()
    if child == 0:
        time.sleep(0.2)
        write(b"wake up")
        os._exit(0)
    assert b"wake up" in os.read(other, MOST)
    os.waitpid(child, 0)


def small_buffers():
    """Too small a one is an error, and the record is passed over."""
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    assert code_of(lambda: os.read(fd, 1)) == "EINVAL"
    assert sequence_of(os.read(fd, MOST)) == 1
    assert len(drain(fd, 1 << 20)) >= BANNER - 2


def seeks():
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    whole = drain(fd)
    os.lseek(fd, 0, os.SEEK_SET)
    assert drain(fd) == whole
    other = opened(os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(other, 0, os.SEEK_END)
    assert code_of(lambda: os.read(other, MOST)) == "EAGAIN"
    write(b"after the end")
    assert b"after the end" in os.read(other, MOST)
    os.lseek(other, 0, os.SEEK_SET)
    assert len(drain(other)) == len(whole) + 1
    os.lseek(other, 0, os.SEEK_DATA)
    assert len(drain(other)) == len(whole) + 1
    assert code_of(lambda: os.lseek(other, 0, os.SEEK_HOLE)) == "EINVAL"
    assert os.stat(DEV).st_size >= SIZE and os.fstat(other).st_size >= SIZE
    # To a file system a pread at 0 looks as a seek to the beginning and a read.
    assert os.pread(other, MOST, 0) == whole[0] == os.pread(other, MOST, 0)
    assert os.pread(other, MOST, 1) == whole[1] and os.pread(other, MOST, 1 << 40) == whole[2]
    # To look at it moves nobody.
    fresh = opened(os.O_RDONLY | os.O_NONBLOCK)
    os.fstat(fresh)
    assert len(drain(fresh)) == len(whole) + 1


def no_page_cache():
    fd, sink = opened(os.O_RDONLY | os.O_NONBLOCK), os.open("/dev/null", os.O_WRONLY)
    assert code_of(lambda: os.sendfile(sink, fd, 0, MOST)) == "EINVAL"


def loss():
    """Whoever is too slow is told once, and goes on with the oldest record."""
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    os.read(fd, MOST)
    writer = opened(os.O_WRONLY)
    for number in range(150):
        os.write(writer, b"<30>" + b"%03d" % number + b"x" * 900)
    got = drain(fd)
    assert got[0] is None and None not in got[1:], got[:3]
    numbers = [sequence_of(one) for one in got[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers
    assert got[-1].split(b";")[1].startswith(b"149x"), got[-1]
    poll = select.poll()
    late = opened(os.O_RDONLY | os.O_NONBLOCK)
    poll.register(late, select.POLLIN)
    for number in range(80):
        os.write(writer, b"y" * 1000)
    assert poll.poll(0)[0][1] & (select.POLLIN | select.POLLERR) == select.POLLIN | select.POLLERR


def level_true():
    """A poll says that there is something when there is, and not else."""
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    epoll, poll = select.epoll(), select.poll()
    epoll.register(fd, select.EPOLLIN)
    poll.register(fd, select.POLLIN)
    assert epoll.poll(0) and poll.poll(0)
    drain(fd)
    assert not epoll.poll(0.3) and not poll.poll(300)
    before = time.process_time()
    assert not epoll.poll(0.3)
    assert time.process_time() - before < 0.05
    edge = select.epoll()
    edge.register(fd, select.EPOLLIN | select.EPOLLET)
    for number in range(3):
        write(b"again")
        assert epoll.poll(10) and poll.poll(10000) and edge.poll(10), number
        drain(fd)
        assert not poll.poll(0)


def unheeded():
    """Many files are polled, and nobody looks what became of it while records come."""
    polled = [opened(os.O_RDONLY | os.O_NONBLOCK) for _ in range(200)]
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    drain(fd)
    epoll, edge = select.epoll(), select.epoll()
    for one in polled:
        epoll.register(one, select.EPOLLIN | select.EPOLLET)
    edge.register(fd, select.EPOLLIN | select.EPOLLET)
    for number in range(50):
        write(b"one more")
        # It was opened last, and is told after the others.
        assert edge.poll(10), number
        drain(fd)
    assert len(epoll.poll(0, 256)) == len(polled)
    assert not epoll.poll(0)
    write(b"the end")
    assert edge.poll(10)
    assert len(epoll.poll(0, 256)) == len(polled)


def writes():
    fd = opened(os.O_RDONLY | os.O_NONBLOCK)
    drain(fd)
    for text in (b"plain\n", b"<3>level", b"<2>of the kernel", b"a\nb", b"\x1b[1m\xff\\"):
        write(text)
    got = drain(fd)
    heads = [one.split(b",")[0] for one in got]
    assert heads == [b"12", b"11", b"10", b"12", b"12"], got
    assert got[3].endswith(b";a\\x0ab\n") and got[4].endswith(b";\\x1b[1m\\xff\\x5c\n"), got
    writer = opened(os.O_WRONLY | os.O_TRUNC)
    assert code_of(lambda: os.write(writer, b"x" * 1025)) == "EINVAL"
    assert os.write(writer, b"x" * 1024) == 1024
    os.ftruncate(writer, 0)
    os.writev(writer, [b"<5>", b"in ", b"pieces"])
    assert drain(fd)[-1].endswith(b";in pieces\n")


def nobody():
    """Users other than root, whom `dmesg_restrict` forbids to look."""
    restricted = open("/proc/sys/kernel/dmesg_restrict").read().strip() != "0"
    os.setgid(1000)
    os.setuid(1000)
    assert code_of(lambda: opened(os.O_RDONLY)) == ("EPERM" if restricted else "")
    assert code_of(lambda: opened(os.O_WRONLY)) == "EACCES"
    assert code_of(lambda: opened(os.O_RDONLY, PROC)) == "EACCES"
    assert not os.access(PROC, os.R_OK) and not os.access(DEV, os.W_OK)
    assert os.access(DEV, os.R_OK)
    assert os.stat(PROC).st_mode & 0o777 == 0o400


def taken():
    """/proc/kmsg gives each record once, to whoever comes first, in the old format."""
    fd = opened(os.O_RDONLY | os.O_NONBLOCK, PROC)
    assert os.read(fd, 0) == b""
    text = os.read(fd, 1 << 16)
    assert text.startswith(b"<5>[") and b"] Linux version" in text and text.endswith(b"\n"), text
    assert code_of(lambda: os.read(fd, MOST)) == "EAGAIN"
    assert code_of(lambda: os.lseek(fd, 0, os.SEEK_SET)) == "ESPIPE"
    other = opened(os.O_RDONLY | os.O_NONBLOCK, PROC)
    poll = select.poll()
    poll.register(other, select.POLLIN)
    assert code_of(lambda: os.read(other, MOST)) == "EAGAIN" and not poll.poll(0)
    write(b"<30>short\n")
    assert poll.poll(10000)
    pieces = b""
    while poll.poll(0):
        pieces += os.read(other, 5)
    assert pieces.startswith(b"<30>[") and pieces.endswith(b"] short\n"), pieces


for name in sys.argv[1:]:
    globals()[name]()
    print(name, "ok")

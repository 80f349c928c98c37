#!/bin/bash
# Runs in the machine of cgroup v2: suspends as far as freezing goes (pm_test) while programs of the host and
# of a container wait for every file. Prints a line per check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

rounds=$1

[ -w /sys/power/pm_test ] || fail "a kernel without CONFIG_PM_DEBUG"
echo freezer >/sys/power/pm_test
echo 0 >/sys/module/suspend/parameters/pm_test_delay
# So long does the kernel try to freeze everybody, in ms.
echo 4000 >/sys/power/pm_freeze_timeout

echo +memory >$cgroups/cgroup.subtree_control
# A worker that is stopped below is not to be replaced.
start_daemon --watch off --watchdog-ms 60000

mkdir $cgroups/c
echo 64M >$cgroups/c/memory.max
sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare --pid --mount --mount-proc --fork sleep 10000' sh $cgroups/c &
for _ in $(seq 300); do
  init=$(pgrep -f "^sleep 10000" | head -n 1 || true)
  [ -n "$init" ] && [ -e "$mnt/containers/pid:$init/proc/meminfo" ] && break
  sleep 0.1
done
tree=$mnt/containers/$(readlink "$mnt/containers/pid:$init") || fail "no container"

# Holds every file that it is given and waits for what never comes; with a trigger where that can be.
cat >/tmp/waiter.py <<'END'
import os, select, sys
how, files = sys.argv[1], sys.argv[2:]
fds = {}
for name in files:
    pressure, log = "/pressure/" in name, name.endswith("/kmsg")
    fd = os.open(name, (os.O_RDWR if pressure else os.O_RDONLY) | (os.O_NONBLOCK if log else 0))
    fds[fd] = select.POLLIN if log else select.POLLPRI
    if pressure:
        # As long as the kernel takes: a machine that is starved may stall for less.
        os.write(fd, b"full 10000000 10000000\0")
    try:
        # Of a log all that there is: what comes later is waited for.
        while os.read(fd, 65536) and log:
            pass
    except BlockingIOError:
        pass
if how in ("poll", "epoll"):
    wait = select.epoll() if how == "epoll" else select.poll()
    for fd, events in fds.items():
        wait.register(fd, events)
logs = [fd for fd, events in fds.items() if events == select.POLLIN]
print("waits", flush=True)
while True:
    if how == "read":
        os.set_blocking(fd, True)
        try:
            os.read(fd, 65536)
            print("has read", flush=True)
        except InterruptedError:
            pass
    elif how == "again":
        # Some request of it is always under way.
        for fd in fds:
            os.pread(fd, 65536, 0)
    elif how == "select":
        select.select(logs, [], [fd for fd in fds if fd not in logs])
        print("is told", flush=True)
    else:
        wait.poll()
        print("is told", flush=True)
END
waiters=
within=
nicely=
waiter() { # NAME HOW FILE...
  local name=$1
  shift
  $nicely $within python3 /tmp/waiter.py "$@" >"/tmp/$name" 2>&1 &
  waiters="$waiters $name"
  for _ in $(seq 600); do
    grep -q waits "/tmp/$name" && return
    sleep 0.1
  done
  fail "$name does not wait: $(cat "/tmp/$name")"
}

suspends() { # ROUNDS: prints how many of them succeed
  local good=0
  for _ in $(seq "$1"); do
    if echo freeze >/sys/power/state; then good=$((good + 1)); fi
  done 2>/dev/null
  echo $good
}

plain=$(find "$tree/proc" "$tree/sys/devices/system/cpu" -maxdepth 1 -type f -perm -004)
beside=$(find "$tree/proc/.pressure" -type f)
pressure=$(find -L "$tree/proc/pressure" -type f)
[ "$(echo "$pressure" | wc -l)" = 3 ] || fail "pressure files: $pressure"

# Of the second mount, where the links of the tree lead.
logs=$(find "$(dirname "$(dirname "$(readlink "$tree/proc/pressure")")")" -name kmsg)
[ "$(echo "$logs" | wc -l)" = 2 ] || fail "kernel logs: $logs"

[ "$(suspends 3)" = 3 ] || fail "the machine does not suspend at all"
# What every file of the first mount is polled by, with poll(2) and with epoll; of the second with epoll.
waiter poll poll $plain
waiter beside poll $beside
waiter epoll epoll $plain $pressure $logs
[ "$(suspends "$rounds")" = "$rounds" ] || fail "it does not suspend: $(dmesg | tail -n 20)"
echo "ok suspends: $rounds of $rounds"

# What systemd-sleep(8) runs before and after.
VPROCFS=/tmp/vprocfs-command
printf '#!/bin/sh\nexec node %s/dist/cli.js "$@" --mountpoint %s\n' "$PWD" "$mnt" >$VPROCFS
chmod +x $VPROCFS
export VPROCFS SLEEP_HOOK_SECONDS=60
hook() {
  sh packaging/systemd/vprocfs-sleep "$1" >&2 || fail "the hook ends with $?"
}
frozen() {
  cat $cgroups/c/cgroup.freeze
}

node dist/cli.js attach "$init" --mountpoint "$mnt" >/dev/null || fail "it cannot be attached"
cat >/tmp/within.sh <<'END'
echo $$ >/sys/fs/cgroup/c/cgroup.procs
exec nsenter --target "$1" --pid --mount -- "${@:2}"
END
within="bash /tmp/within.sh $init"
own="/proc/meminfo /proc/stat /proc/uptime /proc/loadavg /proc/swaps /proc/diskstats /proc/cpuinfo"
held="/proc/pressure/cpu /proc/pressure/io /proc/pressure/memory"
for how in poll select epoll; do
  waiter "within-$how" $how $own $held /dev/kmsg /proc/kmsg
done
waiter within-kmsg read /dev/kmsg
waiter within-proc-kmsg read /proc/kmsg
# Has a request under way all the time, and leaves the CPUs to what is tested.
nicely="nice -n 19"
waiter within-again again $own
if [ "${2:-}" = without ]; then
  echo "without the hook: $(suspends 3) of 3"
  dmesg | grep -A6 "Freezing" | tail -n 20
fi
good=0
for _ in $(seq "$rounds"); do
  hook pre
  [ "$(frozen)" = 1 ] || fail "the container is not frozen"
  if echo freeze >/sys/power/state; then good=$((good + 1)); fi
  hook post
  [ "$(frozen)" = 0 ] || fail "the container is still frozen"
done
[ $good = "$rounds" ] || fail "$good of $rounds suspends: $(dmesg | tail -n 20)"
echo "ok suspends with a container in which everything waits: $rounds of $rounds"
for name in $waiters; do
  [ "$(cat "/tmp/$name")" = waits ] || fail "$name: $(tr '\n' ';' <"/tmp/$name")"
done
cat "$tree/proc/meminfo" $pressure >/dev/null
echo "ok serves after it"
echo none >/sys/power/pm_test

# Whoever else froze a container keeps it frozen.
echo 1 >$cgroups/c/cgroup.freeze
hook pre
hook post
[ "$(frozen)" = 1 ] || fail "a container that was frozen before has been thawed"
echo 0 >$cgroups/c/cgroup.freeze

# A worker that does not answer does not keep one from being frozen.
worker=$(pgrep -P $daemon -f "cli.js worker")
kill -STOP $worker
hook pre
[ "$(frozen)" = 1 ] || fail "the container is not frozen without the worker's answer"
hook post
kill -CONT $worker 2>/dev/null || true
echo "ok freezes while the worker does not answer"

# Nobody who dies leaves one frozen.
hook pre
[ "$(frozen)" = 1 ] || fail "the container is not frozen"
kill -KILL $daemon $(pgrep -f "cli.js worker")
wait $daemon || true
hook post
[ "$(frozen)" = 0 ] || fail "it stays frozen without vprocfs"
rm -f /run/vprocfs/*.figures
VPROCFS=/bin/false hook pre
echo "ok thaws without vprocfs"

echo 1 >$cgroups/c/cgroup.kill
# What polls on the host has an end of its files only.
kill $(jobs -p) 2>/dev/null || true
wait
umount --lazy "$mnt" 2>/dev/null || true
rmdir $cgroups/c
echo "all checks hold"

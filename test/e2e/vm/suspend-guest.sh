#!/bin/bash
# Runs in the machine of cgroup v2: suspends as far as freezing goes (pm_test) while programs poll every
# file of a container. Prints a line per check; exits 1 with the first that does not hold.
set -eu

rounds=$1
export VPROCFS_STANDBY=off

cgroups=/sys/fs/cgroup
mnt=/tmp/vprocfs
mkdir -p "$mnt"

fail() {
  echo "FAIL: $*"
  exit 1
}

[ -w /sys/power/pm_test ] || fail "a kernel without CONFIG_PM_DEBUG"
echo freezer >/sys/power/pm_test
echo 0 >/sys/module/suspend/parameters/pm_test_delay
# So long does the kernel try to freeze everybody, in ms.
echo 4000 >/sys/power/pm_freeze_timeout

echo +memory >$cgroups/cgroup.subtree_control
node dist/cli.js run "$mnt" --no-watch --json >/tmp/daemon.log 2>&1 &
daemon=$!
for _ in $(seq 600); do
  grep -q "serves, generation" /tmp/daemon.log && break
  sleep 0.1
done
grep -q "serves, generation" /tmp/daemon.log || fail "no daemon: $(cat /tmp/daemon.log)"

mkdir $cgroups/c
echo 64M >$cgroups/c/memory.max
sh -c 'echo $$ >"$1/cgroup.procs"; exec unshare --pid --fork sleep 10000' sh $cgroups/c &
for _ in $(seq 300); do
  init=$(pgrep -f "^sleep 10000" | head -n 1 || true)
  [ -n "$init" ] && [ -e "$mnt/containers/pid:$init/proc/meminfo" ] && break
  sleep 0.1
done
tree=$mnt/containers/$(readlink "$mnt/containers/pid:$init") || fail "no container"

# Holds every file that it is given and waits for what never comes; with a trigger where that can be.
cat >/tmp/poller.py <<'END'
import os, select, sys
how, files = sys.argv[1], sys.argv[2:]
fds = []
wait = select.epoll() if how == "epoll" else select.poll()
for name in files:
    pressure, log = "/pressure/" in name, name.endswith("/kmsg")
    fd = os.open(name, (os.O_RDWR if pressure else os.O_RDONLY) | (os.O_NONBLOCK if log else 0))
    fds.append(fd)
    if pressure:
        os.write(fd, b"full 1900000 2000000\0")
    try:
        # Of a log all that there is: what comes later is waited for.
        while os.read(fd, 65536) and log:
            pass
    except BlockingIOError:
        pass
    wait.register(fd, select.POLLIN if log else select.POLLPRI)
print("waits", flush=True)
if how == "read":
    os.set_blocking(fds[0], True)
    os.read(fds[0], 65536)
while True:
    wait.poll()
END
pollers=
poller() { # NAME HOW FILE...
  local name=$1
  shift
  python3 /tmp/poller.py "$@" >"/tmp/$name" 2>&1 &
  pollers="$pollers $!"
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
poller poll poll $plain
poller beside poll $beside
poller epoll epoll $plain $pressure $logs
[ "$(suspends "$rounds")" = "$rounds" ] || fail "it does not suspend: $(dmesg | tail -n 20)"
echo "ok suspends: $rounds of $rounds"
for name in poll beside epoll; do
  [ "$(cat /tmp/$name)" = waits ] || fail "$name: $(cat /tmp/$name)"
done
cat "$tree/proc/meminfo" $pressure >/dev/null
echo "ok serves after it"
if [ "${2:-}" = try-poll ]; then
  poller blocked poll $pressure
  echo "with poll(2) on pressure files: $(suspends 3) of 3"
  kill "${pollers##* }"
  wait "${pollers##* }" || true
  pollers=${pollers% *}
  [ "$(suspends 3)" = 3 ] || fail "it does not suspend without them"
  poller reader read $logs
  echo "with read(2) on a kernel log that waits: $(suspends 3) of 3"
  dmesg | grep -A6 "Freezing" | tail -n 20
fi
echo none >/sys/power/pm_test
kill $pollers
echo 1 >$cgroups/c/cgroup.kill
kill -TERM $daemon
wait $daemon || fail "it ended badly: $(cat /tmp/daemon.log)"
wait
rmdir $cgroups/c
echo "all checks hold"

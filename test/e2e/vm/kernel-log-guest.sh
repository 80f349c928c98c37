#!/bin/bash
# Runs in the cgroup-v2 machine: `kernel-log-guest.sh FAULT`, the path of a test program. What the
# kernel's log says about a container is told to it, in words of that kernel. Prints a line per check;
# exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

fault=$1
mkdir -p $cgroups/box/app $cgroups/other
start_daemon --no-keeper --watch off --calls off

# A container: prints nothing, lives until its file is gone.
contain() { # NAME
  touch "/tmp/$1.alive"
  sh -c 'echo $$ >'$cgroups'/'"$1"'/cgroup.procs; exec unshare --cgroup --pid --fork --mount --mount-proc \
    sh -c "while [ -e /tmp/'"$1"'.alive ]; do sleep 1; done"' &
  until grep -qs . "$cgroups/$1/cgroup.procs"; do sleep 0.1; done
  sleep 3
}

init_of() { # NAME
  for pid in $(cat "$cgroups/$1/cgroup.procs"); do
    if grep -qs '^NSpid:.*[[:space:]]1$' "/proc/$pid/status"; then echo "$pid"; fi
  done
}

inside() { # COMMAND...
  sh -c 'echo $$ >'$cgroups'/box/cgroup.procs; exec nsenter -t '"$init"' -m -p -C --wd=/ -- "$@"' - "$@"
}

told() { # PATTERN
  for _ in $(seq 600); do
    grep -qE "$1" /tmp/told && return
    sleep 0.1
  done
  fail "not told of $1; the kernel: $(dmesg | tail -n 3); it was told: $(tail -n 20 /tmp/told)"
}

contain box
contain other
init=$(init_of box)
# One for all that is told: each start of Node takes seconds here.
node dist/cli.js dmesg -w "$init" --mountpoint "$mnt" >/tmp/told &
telling=$!
told "Linux version"
echo 33554432 >$cgroups/box/memory.max
echo 0 >$cgroups/box/memory.swap.max
pid=$(inside sh -c 'echo $$; exec tail /dev/zero' || true)
told "Memory cgroup out of memory: Killed process $pid \(tail\)"
grep -qF "oom_memcg=/,task_memcg=/,task=tail,pid=$pid,uid=0" /tmp/told || fail "no summary: $(cat /tmp/told)"
grep -q "/box" /tmp/told && fail "the host's path: $(cat /tmp/told)"
echo "ok a kill, with PID $pid"
node dist/cli.js attach "$init" --mountpoint "$mnt" >/tmp/attached
inside sh -c 'echo "<30>written inside" >/dev/kmsg'
inside dmesg >/tmp/inside
grep -qF "Killed process $pid (tail)" /tmp/inside || fail "not in its dmesg: $(cat /tmp/inside /tmp/attached)"
inside head -n 1 /proc/kmsg | grep -q "Linux version" || fail "no /proc/kmsg: $(cat /tmp/attached)"
grep -q "written inside" /tmp/inside || fail "not in its dmesg: $(cat /tmp/inside)"
dmesg | grep -q "written inside" && fail "it was written to the host's log"
echo "ok its own /dev/kmsg and /proc/kmsg"
inside sh -c 'echo $$ >/tmp/following; exec dmesg -w' >/tmp/followed &
following=$!
followed() { # TEXT
  for _ in $(seq 300); do
    grep -qF "$1" /tmp/followed && return
    sleep 0.1
  done
  fail "dmesg -w has no $1: $(cat /tmp/followed)"
}
followed "written inside"
inside sh -c 'echo "<30>written later" >/dev/kmsg'
followed "written later"
pid=$(inside "$fault" segv segfault || true)
told "segv\[$pid\]: segfault at 8 "
echo "ok a fault, with PID $pid"
followed "segv[$pid]: segfault at 8 "
[ "$(grep -c "written inside" /tmp/followed)" = 1 ] || fail "told more than once: $(cat /tmp/followed)"
inside sh -c 'kill $(cat /tmp/following)'
wait $following || true
echo "ok dmesg -w"
# It names the process and no PID: that it was this container's is what the tracepoint proves.
inside "$fault" bare netlink >/dev/null || fail "it has the kernel print nothing"
told "netlink: .* in process .bare'"
echo "ok what only the tracepoint proves"
echo 4 >$cgroups/box/pids.max
inside "$fault" forks forks 20 >/dev/null 2>&1 || true
told "cgroup: fork rejected by pids controller in /$"
echo "ok a rejected fork"
lines=$(node dist/cli.js dmesg "$(init_of other)" --mountpoint "$mnt" | wc -l)
[ "$lines" = 4 ] || fail "another container was told $lines lines"
echo "ok nobody else was told"

kill $telling
wait $telling || true
rm /tmp/box.alive /tmp/other.alive
stop_daemon
wait
echo "all checks hold"

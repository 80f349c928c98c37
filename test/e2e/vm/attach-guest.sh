#!/bin/bash
# Runs in the cgroup-v2 machine, where all containers are ours: attach and detach of all of them, the
# watcher as it is by default, and hooks. Linux 6.1 has no MOVE_MOUNT_BENEATH. Prints a line per
# check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

# Starts a container of 64 MiB, and sets init to its first process.
start_container() { # NAME
  mkdir -p "$cgroups/$1"
  echo 64M >"$cgroups/$1/memory.max"
  sh -c 'echo $$ >"$0/cgroup.procs"; exec unshare -C -p -f -m --mount-proc sleep 100000' \
    "$cgroups/$1" &
  init=
  for _ in $(seq 600); do
    for pid in $(cat "$cgroups/$1/cgroup.procs"); do
      if grep -q sleep "/proc/$pid/comm" 2>/dev/null; then init=$pid && return; fi
    done
    sleep 0.1
  done
  fail "no container $1"
}

ours() { grep -c 'vprocfs rw' "/proc/$1/mountinfo" || true; }
files() { awk '$5 ~ "^/(proc|sys)/" && / - fuse.lxcfs vprocfs/' "/proc/$1/mountinfo" | wc -l; }
total() { nsenter -t "$1" -m -p awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo; }
wait_files() { # PID COUNT
  for _ in $(seq 600); do
    [ "$(files "$1")" = "$2" ] && return
    sleep 0.1
  done
  fail "$1 has $(files "$1") files, wanted $2"
}

start_container first
first=$init
before=$(cat "/proc/$first/mountinfo")
start_daemon --watch off
all=$(find "$mnt/proc" "$mnt/sys" -type f | wc -l)
is "nothing by itself without the watcher" "$(files "$first")" 0
node dist/cli.js attach --all --mountpoint "$mnt"
attached=$(files "$first")
[ "$attached" -gt 0 ] || fail "attach --all left no file"
echo "ok attach --all: $attached of $all"
is "memory" "$(total "$first")" 65536
node dist/cli.js detach --all --mountpoint "$mnt"
is "no trace after detach --all" \
  "$(grep -v "$mnt" "/proc/$first/mountinfo")" "$(echo "$before" | grep -v "$mnt")"
rm -rf /run/vprocfs/left-alone
stop_daemon

start_daemon
wait_files "$first" "$attached"
is "the watcher found the first" "$(total "$first")" 65536
start_container second
second=$init
for _ in $(seq 600); do [ "$(total "$second")" = 65536 ] && break; sleep 0.1; done
is "the watcher found the second" "$(total "$second")" 65536
nsenter -t "$second" -m -p umount /proc/meminfo
for _ in $(seq 600); do [ "$(total "$second")" = 65536 ] && break; sleep 0.1; done
is "the watcher gave it back" "$(total "$second")" 65536
stop_daemon
is "nothing left after the stop" "$(files "$first") $(files "$second")" "0 0"
kill "$first" "$second"
echo "all checks hold"

#!/bin/bash
# Runs in the cgroup-v2 machine: `v2-tasks-guest.sh CROWD TRIGGER`, the paths of test programs. A
# container's tasks are counted in both ways, and its pressure triggers have windows of one second.
# Prints a line per check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

crowd=$1
trigger=$2

mkdir -p $cgroups/box/a/b/c/d/e
# A container in box, with a crowd five levels down; its files bound from inside.
run() {
  sh -c 'echo $$ >'$cgroups'/box/cgroup.procs
    exec unshare --cgroup --pid --fork --mount --mount-proc sh -c "
      mount --bind '$mnt'/proc/loadavg /proc/loadavg
      mount --bind '$mnt'/proc/stat /proc/stat
      mount --bind '$mnt'/proc/pressure /proc/pressure
      exec sh -c \"\$1\"" - "$1"' - "$1"
}

mkfifo /tmp/life /tmp/idle
sh -c 'echo $$ >'$cgroups'/box/a/b/c/d/e/cgroup.procs; exec "$1" 20 3 2 </tmp/life >/tmp/crowd.out' - "$crowd" &
exec 9>/tmp/life
until grep -q ready /tmp/crowd.out; do sleep 0.1; done

for bpf in auto off; do
  start_daemon --no-keeper --watch off --bpf $bpf
  # The reader, its shell and its init are tasks too; who reads may be running. A machine this slow
  # may take longer for the first count than the first reader waits for it.
  found=$(run 'for i in $(seq 30); do
      read -r one five fifteen tasks last </proc/loadavg
      case $tasks in *[/]2[0-9] | *[/]3[0-9]) break ;; esac
      sleep 1
    done
    echo "${tasks#*/}"')
  is "all tasks ($found), --bpf $bpf" \
    "$((found >= 1 + 20 + 3 + 4 + 1 && found <= 1 + 20 + 3 + 4 + 4))" 1
  # A program that starts is blocked too while its pages are read from a disk this slow: only words of
  # the shell ask, until a count finds none of them.
  is "blocked tasks, --bpf $bpf" "$(run 'for i in $(seq 30); do
      read -r one rest </proc/loadavg
      while read -r name count rest; do
        case $name in procs_blocked) break ;; esac
      done </proc/stat
      case $count in 2) break ;; esac
      sleep 1
    done
    echo "$name $count"')" "procs_blocked 2"
  run 'for i in $(seq 40); do read -r one rest </proc/loadavg
    case $one in 0.0*) sleep 1;; *) exit 0;; esac; done; exit 1' || fail "no load, --bpf $bpf"
  kill -USR2 $daemon
  until grep -q taskCounter /tmp/daemon.log; do sleep 0.1; done
  is "counted by" "$(grep -o '"taskCounter":"[a-z]*"' /tmp/daemon.log | tail -n 1)" \
    "\"taskCounter\":\"$([ $bpf = auto ] && echo bpf || echo scan)\""
  stop_daemon
done

start_daemon --no-keeper --watch off
is "pressure" "$(run 'cut -d" " -f1 /proc/pressure/cpu' | tr '\n' ' ')" "some full "
# Three loops on two CPUs: some of them wait.
events=$(run "$trigger poll /proc/pressure/cpu 'some 1000 1000000' <>/tmp/idle | head -n 3" | tr '\n' ' ')
is "events of a window of a second" "$events" "armed 2 2 "
is "odd windows without CAP_SYS_RESOURCE" \
  "$(run "setpriv --bounding-set -sys_resource $trigger try /proc/pressure/cpu 'some 1000 1000000' 'some 1000 2000000'" | tr '\n' ' ')" \
  "EINVAL ok "
stop_daemon

exec 9>&-
wait
grep -q " $mnt " /proc/mounts && fail "still mounted"
echo "all checks hold"

#!/bin/bash
# Prints the records from which a recorded log beside this file was made: `record.sh FAULT`, the path of the
# test program, as root of a machine of its own (test/support/vm/boot.sh) with cgroup v2.
set -eu

cp "$1" /tmp/m
fault=/tmp/m
web1=/sys/fs/cgroup/lxc/web1
mkdir -p $web1
echo "+memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
echo "+memory +pids" >/sys/fs/cgroup/lxc/cgroup.subtree_control
echo 32M >$web1/memory.max
[ ! -e $web1/memory.swap.max ] || echo 0 >$web1/memory.swap.max
echo "+memory +pids" >$web1/cgroup.subtree_control
mkdir $web1/app
echo 0 >/proc/sys/kernel/printk_ratelimit

# What is the kernel's own beside this does not belong to it.
exec 3<>/dev/kmsg
while read -t 0.2 -r -u 3 _; do :; done

inside() { # COMMAND...
  sh -c 'echo $$ >'$web1'/app/cgroup.procs; exec "$@"' - "$@" >/dev/null 2>&1 || true
}

inside sh -c 'exec tail /dev/zero'
# All of a group at once.
echo 1 >$web1/app/memory.oom.group
inside sh -c 'sleep 60 & exec tail /dev/zero'
inside "$fault" victim segfault
inside "$fault" 'x]: segfault' trap
inside "$fault" "$(printf 'a\nb;c')" segfault
inside "$fault" '(null) pid=1 comm=' syscall
echo 2 >$web1/pids.max
inside "$fault" many forks 8
while read -t 1 -r -u 3 line; do printf '%s\n' "$line"; done

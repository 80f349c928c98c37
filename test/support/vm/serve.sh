#!/bin/sh
# Runs in the virtual machine: the commands that vm.ts puts into the directory $1, one after the
# other, as N.job; leaves their output in N.out and their exit status in N.status. Ends when there is
# a file `stop`.
jobs=$1
own=$$

# What a command that failed has left would disturb the next one.
sweep() {
    for status in /proc/[0-9]*/status; do
        pid=${status#/proc/}
        pid=${pid%/status}
        # Threads of the kernel have no memory.
        if [ "$pid" != 1 ] && [ "$pid" != "$own" ] && grep -q ^VmSize "$status" 2>/dev/null; then
            grep -qs vprocfs-vm-pipe "/proc/$pid/cmdline" || kill -KILL "$pid" 2>/dev/null
        fi
    done
    awk '/ - fuse/ { print $5 }' /proc/self/mountinfo | while read -r point; do
        umount -l "$point"
    done
    find /sys/fs/cgroup -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null
}

job=1
while [ ! -e "$jobs/stop" ]; do
    if [ -e "$jobs/$job.job" ]; then
        sh "$jobs/$job.job" </dev/null >"$jobs/$job.out" 2>&1
        code=$?
        [ "$code" = 0 ] || sweep
        echo "$code" >"$jobs/$job.new"
        mv "$jobs/$job.new" "$jobs/$job.status"
        job=$((job + 1))
    else
        sleep 0.1
    fi
done

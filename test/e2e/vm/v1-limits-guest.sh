#!/bin/bash
# Runs in the machine of cgroup v1: a container with limits of every kind reads its own files. Prints a line
# per check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

inside=/tmp/inside

start_daemon --watch off

for hierarchy in memory cpu,cpuacct cpuset blkio pids; do
  mkdir -p "$cgroups/$hierarchy/box/inner"
done
for box in $cgroups/cpuset/box $cgroups/cpuset/box/inner; do
  echo 0-1 >"$box/cpuset.cpus"
  echo 0 >"$box/cpuset.mems"
done
memory=$cgroups/memory/box
cpu=$cgroups/cpu/box
cpuset=$cgroups/cpuset/box

# Runs a command in a container whose cgroups are box/inner, with the files bound from inside.
cat >$inside <<'S'
for file in /tmp/vprocfs/proc/*; do
  case "$1" in
    *${file##*/}* | free*) mount --bind $file /proc/${file##*/} ;;
  esac
done
mount --bind /tmp/vprocfs/self/sys/devices/system/cpu /sys/devices/system/cpu
exec sh -c "$1"
S
run() {
  sh -c 'for hierarchy in memory cpu,cpuacct cpuset blkio pids; do
      echo $$ >'$cgroups'/$hierarchy/box/inner/cgroup.procs
    done
    exec unshare --cgroup --pid --fork --mount --mount-proc sh '$inside' "$1"' - "$1"
}
kb() { awk -v key="$1:" '$1 == key { print $2 }'; }

echo 256M >$memory/inner/memory.limit_in_bytes
echo 384M >$memory/inner/memory.memsw.limit_in_bytes
echo 100000 >$cpu/inner/cpu.cfs_period_us
echo 150000 >$cpu/inner/cpu.cfs_quota_us
meminfo=$(run "cat /proc/meminfo")
is "memory" "$(echo "$meminfo" | kb MemTotal)" 262144
is "swap" "$(echo "$meminfo" | kb SwapTotal)" 131072
is "free -m" "$(run "free -m" | awk '/^(Mem|Swap):/ { printf "%s ", $2 }')" "256 128 "
is "CPUs of cpuinfo" "$(run "grep -c ^processor /proc/cpuinfo")" 2
is "CPUs of stat" "$(run "grep -c ^cpu[0-9] /proc/stat")" 2

echo 64M >$memory/memory.limit_in_bytes
is "memory of the parent" "$(run "cat /proc/meminfo" | kb MemTotal)" 65536
echo -1 >$memory/memory.limit_in_bytes

# A sibling fills the parent that both share.
mkdir $memory/sibling
echo 128M >$memory/memory.limit_in_bytes
sh -c 'echo $$ >'$memory'/sibling/cgroup.procs; x=$(head -c 50000000 /dev/zero | tr "\0" x)
  : >/tmp/full; while :; do sleep 1; done' &
for _ in $(seq 600); do
  [ -e /tmp/full ] && break
  sleep 0.1
done
meminfo=$(run "cat /proc/meminfo")
is "memory beside a sibling" "$(echo "$meminfo" | kb MemTotal)" 131072
is "what it leaves" "$(echo "$meminfo" | kb MemFree | awk '{ print ($1 < 82244) }')" 1
is "what can be had" "$(echo "$meminfo" | kb MemAvailable | awk '{ print ($1 < 90000) }')" 1
xargs kill -9 <$memory/sibling/cgroup.procs 2>/dev/null || true
echo -1 >$memory/memory.limit_in_bytes

echo 50000 >$cpu/inner/cpu.cfs_quota_us
is "quota of one" "$(run "grep -c ^processor /proc/cpuinfo")" 1
is "a second directory" "$(run "cd /sys/devices/system/cpu; echo cpu[0-9]*; cat cpu1/online present" | tr '\n' ' ')" "cpu0 cpu1 0 0 "
is "possible CPUs" "$(run "cat /sys/devices/system/cpu/possible")" "$(cat /sys/devices/system/cpu/possible)"
echo -1 >$cpu/inner/cpu.cfs_quota_us
echo 1 >$cpuset/inner/cpuset.cpus
is "cpuset" "$(run "cat /sys/devices/system/cpu/online; grep ^cpu[0-9] /proc/stat | cut -d' ' -f1" | tr '\n' ' ')" "1 cpu1 "

pkill -TERM vprocfs-keeper
wait
grep -q " $mnt " /proc/mounts && fail "still mounted"
rmdir $memory/sibling
for hierarchy in memory cpu,cpuacct cpuset blkio pids; do
  rmdir "$cgroups/$hierarchy/box/inner" "$cgroups/$hierarchy/box"
done
echo "all checks hold"

#!/bin/bash
# Runs in the cgroup-v2 machine: containers with limits of every kind read their own files. Prints a
# line per check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

inside=/tmp/inside

# Without controllers below the root: they are enabled when the daemon runs already.
echo "-memory -cpu -cpuset" >$cgroups/cgroup.subtree_control

start_daemon --watch off

echo "+memory +cpu +cpuset +io" >$cgroups/cgroup.subtree_control
mkdir $cgroups/box
echo "+memory +cpu +cpuset +io" >$cgroups/box/cgroup.subtree_control
mkdir $cgroups/box/inner

# Runs a command in a container whose cgroup is box/inner, with the files bound from inside.
cat >$inside <<'S'
for file in /tmp/vprocfs/proc/*; do
  # Only what the command reads: a mount takes long here.
  case "$1" in
    *${file##*/}* | *lscpu* | tail*) mount --bind $file /proc/${file##*/} ;;
  esac
done
for directory in /sys/devices/system/cpu /sys/devices/system/node; do
  [ ! -d $directory ] || mount --bind /tmp/vprocfs/self$directory $directory
done
exec sh -c "$1"
S
run() {
  sh -c 'echo $$ >'$cgroups'/box/inner/cgroup.procs
    exec unshare --cgroup --pid --fork --mount --mount-proc sh '$inside' "$1"' - "$1"
}
# The same for several commands in one container: to start one takes long here. The Nth prints to `shown N`.
all() { # COMMAND...
  local command script= number=0
  for command in "$@"; do
    number=$((number + 1))
    script="$script($command) >/tmp/shown.$number 2>&1
"
  done
  # What fails is seen by what is printed.
  run "$script:"
}
shown() { cat "/tmp/shown.$1"; }
kb() { awk -v key="$1:" '$1 == key { print $2 }'; }

echo 256M >$cgroups/box/inner/memory.max
echo 128M >$cgroups/box/inner/memory.swap.max
echo "150000 100000" >$cgroups/box/inner/cpu.max
all "cat /proc/meminfo" "free -m" "cat /proc/swaps" "cat /proc/cpuinfo" "cat /proc/stat" \
  "cat /sys/devices/system/cpu/online"
is "memory" "$(shown 1 | kb MemTotal)" 262144
is "swap, enabled after the start" "$(shown 1 | kb SwapTotal)" 131072
is "free -m" "$(shown 2 | awk '/^(Mem|Swap):/ { printf "%s ", $2 }')" "256 128 "
is "swaps agree" "$(shown 3 | awk 'NR > 1 { sum += $3 } END { print sum }')" 131072
is "CPUs of cpuinfo" "$(shown 4 | grep -c ^processor)" 2
is "CPUs of stat" "$(shown 5 | grep -c ^cpu[0-9])" 2
# In how many columns the lines of CPUs are more than the sum, and in how many less.
beyond() {
  echo "$1" | awk '$1 == "cpu" { for (i = 2; i <= 11; i++) all[i] = $i }
    /^cpu[0-9]/ { for (i = 2; i <= 11; i++) all[i] -= $i }
    END { for (i in all) { more += all[i] < 0; less += all[i] > 0 }; print more + 0, less + 0 }'
}
is "sums of all CPUs" "$(beyond "$(shown 5)")" "0 0"
is "CPUs online" "$(shown 6)" 0-1

echo 64M >$cgroups/box/memory.max
echo 32M >$cgroups/box/memory.swap.max
meminfo=$(run "cat /proc/meminfo")
is "memory of the parent" "$(echo "$meminfo" | kb MemTotal)" 65536
is "swap of the parent" "$(echo "$meminfo" | kb SwapTotal)" 32768
echo max >$cgroups/box/memory.max
echo max >$cgroups/box/memory.swap.max
is "memory without it" "$(run "cat /proc/meminfo" | kb MemTotal)" 262144

# A sibling fills the parent that both share, and memory.high is lower than memory.max.
mkdir $cgroups/box/sibling
echo 128M >$cgroups/box/memory.max
sh -c 'echo $$ >'$cgroups'/box/sibling/cgroup.procs; x=$(head -c 50000000 /dev/zero | tr "\0" x)
  : >/tmp/full; while :; do sleep 1; done' &
for _ in $(seq 600); do
  [ -e /tmp/full ] && break
  sleep 0.1
done
meminfo=$(run "cat /proc/meminfo")
is "memory beside a sibling" "$(echo "$meminfo" | kb MemTotal)" 131072
is "what it leaves" "$(echo "$meminfo" | kb MemFree | awk '{ print ($1 < 82244) }')" 1
is "what can be had" "$(echo "$meminfo" | kb MemAvailable | awk '{ print ($1 < 90000) }')" 1
echo 1 >$cgroups/box/sibling/cgroup.kill
echo max >$cgroups/box/memory.max
echo 64M >$cgroups/box/inner/memory.high
meminfo=$(run "cat /proc/meminfo")
is "memory.high is no size" "$(echo "$meminfo" | kb MemTotal)" 262144
is "and all that can be had" "$(echo "$meminfo" | kb MemAvailable | awk '{ print ($1 <= 65536) }')" 1
echo max >$cgroups/box/inner/memory.high
echo 32M >$cgroups/box/inner/memory.swap.high
meminfo=$(run "cat /proc/meminfo")
is "memory.swap.high is no size" "$(echo "$meminfo" | kb SwapTotal)" 131072
is "and all that is free" "$(echo "$meminfo" | kb SwapFree | awk '{ print ($1 <= 32768) }')" 1
echo max >$cgroups/box/inner/memory.swap.high

echo "50000 100000" >$cgroups/box/cpu.max
all "grep -c ^processor /proc/cpuinfo" \
  "cd /sys/devices/system/cpu; echo cpu[0-9]*; cat cpu1/online present; ls cpu1 | grep -c topology"
is "quota of the parent" "$(shown 1)" 1
is "a second directory" "$(shown 2 | tr '\n' ' ')" "cpu0 cpu1 0 0 0 "
echo max >$cgroups/box/cpu.max
echo max >$cgroups/box/inner/cpu.max
echo 1 >$cgroups/box/inner/cpuset.cpus
all "cat /sys/devices/system/cpu/online; grep ^cpu[0-9] /proc/stat | cut -d' ' -f1" \
  "ls /sys/devices/system/cpu | grep ^cpu[0-9]; ls /sys/devices/system/node/node0 | grep ^cpu[0-9]" \
  "cat /sys/devices/system/cpu/possible" "cat /sys/devices/system/cpu/offline" \
  "cat /sys/devices/system/cpu/cpu1/topology/core_siblings_list" "lscpu -p=CPU | grep -v ^#" \
  "echo 0 >/sys/devices/system/cpu/cpu1/online"
is "cpuset" "$(shown 1 | tr '\n' ' ')" "1 cpu1 "
is "names of CPUs" "$(shown 2 | tr '\n' ' ')" "cpu0 cpu1 cpu1 "
is "possible CPUs" "$(shown 3)" "$(cat /sys/devices/system/cpu/possible)"
is "offline CPUs" "$(shown 4)" 0
is "packages of CPUs" "$(shown 5)" 1
is "lscpu" "$(shown 6)" 1
is "writing" "$(shown 7 | grep -c 'Read-only file system')" 1
echo 0-1 >$cgroups/box/inner/cpuset.cpus
all "cat /sys/devices/system/node/node*/meminfo" "ls /sys/devices/system/node/node0"
is "memory of all nodes" "$(shown 1 | awk '$3 == "MemTotal:" { sum += $4 } END { print sum }')" 262144
is "memory blocks" "$(shown 2 | grep -c ^memory)" 0

# A container that has CPU 1 as a partition, and gives it to a partition of its own: none is left in its effective set.
mkdir $cgroups/part
echo 1 >$cgroups/part/cpuset.cpus
echo root >$cgroups/part/cpuset.cpus.partition
mkdir $cgroups/part/sub
part=$(sh -c 'echo $$ >'$cgroups'/part/cgroup.procs
  exec unshare --cgroup sh -c "
    echo 0 >'$cgroups'/part/sub/cgroup.procs
    exec unshare --pid --fork --mount --mount-proc sh -c \"
      cat '$mnt'/self/sys/devices/system/cpu/online
      cd '$cgroups'/part
      echo +cpuset >cgroup.subtree_control
      echo 1 >sub/cpuset.cpus
      echo root >sub/cpuset.cpus.partition
      cat cpuset.cpus.partition sub/cpuset.cpus.partition cpuset.cpus.effective
      cat '$mnt'/self/sys/devices/system/cpu/online\""')
is "CPUs of partitions within a partition" "$(echo "$part" | tr '\n' ' ')" "1 root root  1 "
rmdir $cgroups/part/sub $cgroups/part

# Disks: none until one is used or limited, then its own figures.
is "no disk of its own: the first one" "$(run "cat /proc/diskstats" | awk '{ print $3, $4 + $6 + $8 + $10 }')" "vda 0"
disk=$(cat /sys/block/vda/dev)
echo "$disk wbps=104857600" >$cgroups/box/io.max
is "a limited disk" "$(run "cat /proc/diskstats" | awk '{ print $3, $6, NF }')" \
  "vda 0 $(awk '$3 == "vda" { print NF }' /proc/diskstats)"
all "dd if=/dev/vda of=/dev/null bs=1M count=8 iflag=direct 2>/dev/null; cat /proc/diskstats" \
  "cat /proc/partitions" "cat /proc/vmstat"
is "sectors read" "$(shown 1 | awk '{ print $3, ($6 >= 16384 && $6 < 32768) }')" "vda 1"
is "partitions" "$(shown 2 | awk 'NR > 2 { print $4 }')" vda
is "paged in" "$(shown 3 | awk '$1 == "pgpgin" { print ($2 >= 8192) }')" 1
is "faults" "$(shown 3 | awk '$1 == "pgfault" { print ($2 > 0) }')" 1

# Tables have the shown CPUs' columns, zones the memory.
echo 1 >$cgroups/box/inner/cpuset.cpus
all "head -n 1 /proc/softirqs" "head -n 1 /proc/interrupts" "grep -o ^cpu[0-9] /proc/schedstat" \
  "grep -h cpu: /proc/zoneinfo | sort -u"
is "columns of softirqs" "$(shown 1 | tr -d ' ')" CPU1
is "columns of interrupts" "$(shown 2 | tr -d ' ')" CPU1
is "CPUs of schedstat" "$(shown 3)" cpu1
is "CPUs of zoneinfo" "$(shown 4 | tr -d ' ')" cpu:1
echo 0-1 >$cgroups/box/inner/cpuset.cpus
all "cat /proc/zoneinfo" "wc -l </proc/slabinfo"
is "zones" "$(shown 1 | awk '$1 == "managed" { sum += $2 } END { print sum * 4 }')" 262144
is "slabs" "$(shown 2)" 4

# Without a limit a container has what the memory nodes have that its cpuset allows.
nodes=/sys/devices/system/node
total_of() { awk '$3 == "MemTotal:" { print $4 }' $nodes/node$1/meminfo; }
for level in box box/inner; do echo max >$cgroups/$level/memory.max; done
echo 1 >$cgroups/box/inner/cpuset.mems
is "memory of one node" "$(run "cat /proc/meminfo" | kb MemTotal)" "$(total_of 1)"
sizes=$(run "awk '\$3 == \"MemTotal:\" { print \$4 }' $nodes/node*/meminfo" | tr '\n' ' ')
is "memory of each node" "$sizes" "0 $(total_of 1) "
echo 0-1 >$cgroups/box/inner/cpuset.mems
is "memory of both nodes" "$(run "cat /proc/meminfo" | kb MemTotal)" "$(kb MemTotal </proc/meminfo)"
echo 256M >$cgroups/box/inner/memory.max

# Throttled: two loops share half a CPU, and /proc/stat says that time was taken away.
echo "50000 100000" >$cgroups/box/inner/cpu.max
stat=$(run 'for i in 1 2; do timeout 600 sh -c "while :; do :; done" & done
  until [ "$(awk "\$1 == \"cpu\" { print (\$9 > 50) }" /proc/stat)" = 1 ]; do sleep 1; done
  cat /proc/stat; kill %1 %2 || true')
is "steal" "$(echo "$stat" | awk '$1 == "cpu" { print ($9 > 0) }')" 1
is "sums" "$(beyond "$stat")" "0 0"

# The same by a quota above the container, which its own cpu.stat does not know of.
mkdir -p $cgroups/outer/ns
echo "+cpu" >$cgroups/outer/cgroup.subtree_control
echo "50000 100000" >$cgroups/outer/cpu.max
stat=$(sh -c 'echo $$ >'$cgroups'/outer/ns/cgroup.procs
  exec unshare --cgroup --pid --fork --mount --mount-proc sh '$inside' "$1"' - '
  for i in 1 2; do timeout 600 sh -c "while :; do :; done" & done
  for i in $(seq 60); do
    [ "$(awk "\$1 == \"cpu\" { print (\$9 > 50) }" /proc/stat)" = 1 ] && break
    sleep 1
  done
  cat /proc/stat; kill %1 %2 || true')
is "steal by a quota above" "$(echo "$stat" | awk '$1 == "cpu" { print ($9 > 50) }')" 1
is "sums by a quota above" "$(beyond "$stat")" "0 0"
for _ in $(seq 100); do
  rmdir $cgroups/outer/ns $cgroups/outer 2>/dev/null && break
  echo 1 >$cgroups/outer/ns/cgroup.kill
  sleep 0.1
done

# What operators are told of a container whose process was killed for want of memory.
echo 16M >$cgroups/box/inner/memory.max
echo 0 >$cgroups/box/inner/memory.swap.max
echo 100000 100000 >$cgroups/box/inner/cpu.max
run "tail /dev/zero; exec sleep 1000" >/dev/null 2>&1 &
for _ in $(seq 120); do
  top=$(node dist/cli.js top --interval 0.1 --json)
  echo "$top" | grep -q '"oomKills": [1-9]' && break
done
figure() { echo "$top" | awk -F'[:,] *' -v key="\"$1\"" '$1 ~ key { print $2; exit }'; }
is "limit in top" "$(figure memoryLimit)" 16777216
is "swap limit in top" "$(figure swapLimit)" 0
is "CPU limit in top" "$(figure cpuLimit)" 1
is "a kill in top" "$(figure oomKills)" 1
is "its victim" "$(figure lastVictim)" '"tail"'
is "pressure in top" "$(figure memoryWaiting | grep -c '[0-9]')" 1
is "the decision explained" "$(node dist/cli.js explain inner MemTotal --mountpoint "$mnt" --json |
  awk -F'"' '$2 == "decidedBy" { print $4 }')" $cgroups/box/inner
echo 1 >$cgroups/box/inner/cgroup.kill

pkill -TERM vprocfs-keeper
wait
grep -q " $mnt " /proc/mounts && fail "still mounted"
rmdir $cgroups/box/inner $cgroups/box/sibling $cgroups/box
echo "all checks hold"

#!/bin/bash
# Runs in the machine of cgroup v2 (or v1): whose figures a process gets in shared PID namespaces, in cgroup
# namespaces below a container's, and where one cgroup has several PID namespaces. Prints a line per
# check; exits 1 with the first that does not hold.
set -eu
. "$(dirname "$0")/guest.sh"

limit=memory.max
if [ -d $cgroups/memory ]; then
  cgroups=$cgroups/memory
  limit=memory.limit_in_bytes
fi

# Its children may have limits; on v1 all may.
delegate() {
  [ ! -e "$1/cgroup.subtree_control" ] || echo +memory >"$1/cgroup.subtree_control"
}

delegate $cgroups
start_daemon --watch off

# Starts an init in a cgroup, with further namespaces; sets `init`.
begin() { # CGROUP FLAG...
  local cgroup=$1
  shift
  sh -c 'echo $$ >"$1/cgroup.procs"; shift; exec unshare --pid --fork "$@" sleep 10000' \
    sh "$cgroup" "$@" &
  local parent=$!
  init=
  for _ in $(seq 300); do
    init=$(pgrep -P $parent -x sleep || true)
    [ -n "$init" ] && return
    sleep 0.1
  done
  fail "no init in $cgroup"
}

# Runs a command in a cgroup and an init's PID namespace; COMMAND may make more namespaces.
within() { # CGROUP INIT COMMAND...
  sh -c 'echo $$ >"$1/cgroup.procs"; init=$2; shift 2; exec nsenter -t "$init" -p -- "$@"' sh "$@"
}
mebibytes() { awk '$1 == "MemTotal:" { print $2 / 1024 }'; }

# Siblings, with and without cgroup namespaces.
pod=$cgroups/pod
mkdir -p $pod
delegate $pod
mkdir $pod/pause $pod/app $pod/side
echo 64M >$pod/pause/$limit
echo 80M >$pod/app/$limit
echo 96M >$pod/side/$limit
begin $pod/pause
for round in 1 2; do
  for name in pause:64 app:80 side:96; do
    found=$(within $pod/${name%:*} "$init" cat $mnt/proc/meminfo | mebibytes)
    is "${name%:*} without a cgroup namespace ($round)" "$found" "${name#*:}"
  done
done
found=$(within $pod/app "$init" unshare --cgroup cat $mnt/proc/meminfo | mebibytes)
is "app with a cgroup namespace" "$found" 80
kill -KILL "$init"

# A service with a cgroup namespace of its own below the container's cgroup; a visitor.
box=$cgroups/served
mkdir -p $box/init.scope $box/service
begin $box --cgroup
for pid in $(cat $box/cgroup.procs); do
  echo "$pid" >$box/init.scope/cgroup.procs
done
delegate $box
echo 96M >$box/$limit
echo 48M >$box/service/$limit
is "the container" "$(within $box/init.scope "$init" cat $mnt/proc/meminfo | mebibytes)" 96
is "its service" \
  "$(within $box/service "$init" unshare --cgroup cat $mnt/proc/meminfo | mebibytes)" 96
is "who is there" "$(ls $mnt/containers | wc -l)" 1
is "a visitor" "$(nsenter -t "$init" -p cat $mnt/proc/meminfo | mebibytes)" 96
kill -KILL "$init"

# Two PID namespaces in one cgroup: one memory, two ages.
two=$cgroups/two
mkdir $two
echo 112M >$two/$limit
begin $two
old=$init
age() { within $two "$1" sh -c "cut -d. -f1 $mnt/proc/uptime"; }
for _ in $(seq 300); do
  [ "$(age "$old")" -ge 8 ] && break
  sleep 0.2
done
begin $two
young=$init
is "memory of the older" "$(within $two "$old" cat $mnt/proc/meminfo | mebibytes)" 112
is "memory of the younger" "$(within $two "$young" cat $mnt/proc/meminfo | mebibytes)" 112
first=$(age "$young")
is "two ages" "$([ "$first" -lt "$(age "$old")" ] && echo yes)" yes
id=$(basename "$(within $two "$young" readlink $mnt/self)")
before=$(cut -d. -f1 "$mnt/containers/$id/proc/uptime")
kill -KILL "$old"
while [ -d "/proc/$old" ]; do sleep 0.1; done
after=$(age "$young")
is "the younger goes on" "$([ "$after" -ge "$first" ] && [ "$after" -lt $((before + 8)) ] && echo yes)" yes
is "the container goes on" \
  "$([ "$(cut -d. -f1 "$mnt/containers/$id/proc/uptime")" -ge "$before" ] && echo yes)" yes
kill -KILL "$young"

pkill -TERM vprocfs-keeper
wait || true
grep -q " $mnt " /proc/mounts && fail "still mounted"
for name in pod/pause pod/app pod/side pod served/init.scope served/service served two; do
  for _ in $(seq 600); do
    rmdir "$cgroups/$name" 2>/dev/null && break
    sleep 0.1
  done
  [ ! -d "$cgroups/$name" ] || fail "$name is still there: $(cat "$cgroups/$name/cgroup.procs") $(ls -d "$cgroups/$name"/*/) $(for p in $(cat "$cgroups/$name/cgroup.procs"); do tr "\0" " " </proc/$p/cmdline; cat /proc/$p/stat; done)"
done
echo "all checks hold"

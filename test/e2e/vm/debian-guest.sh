#!/bin/bash
# Runs in the cgroup-v2 machine: installs the package, upgrades it under load (or installs
# the same again, for which its scripts do the same), puts it in LXCFS's place, and purges it. Prints a line per check; exits 1 with the first that does not hold.
#
#   debian-guest.sh OLD.deb NEW.deb [COMPAT.deb AS-LXCFS.deb]
set -eu

mnt=/var/lib/vprocfs
cgroup=/sys/fs/cgroup/c

fail() {
  echo "FAIL: $*"
  tail -n 30 /tmp/daemon.log /tmp/dpkg.log 2>/dev/null || true
  exit 1
}

is() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || fail "$1: found '$2', wanted '$3'"
  echo "ok $1: $2"
}

# Asks the keeper itself: to start Node for it takes some seconds each time.
status() { # KEY [MOUNTPOINT]
  python3 -IS -c 'import json, socket, sys
with socket.socket(socket.AF_UNIX) as keeper:
    keeper.connect("/run/vprocfs/%s.sock" % sys.argv[2].strip("/").replace("/", "%2F"))
    keeper.sendall(b"status")
    print(json.load(keeper.makefile()).get(sys.argv[1], ""))' "$1" "${2:-$mnt}" 2>/dev/null
}
wait_for() { # WHAT COMMAND...
  local what=$1
  shift
  for _ in $(seq 600); do
    "$@" && return
    sleep 0.5
  done
  fail "$what"
}
serves() { [ "$(status state "${1:-$mnt}")" = serving ]; }
# The image of a container, which the machine around this one may be made of, has one that forbids every start.
rm -f /usr/sbin/policy-rc.d
# Its dependencies are here, and not as packages; nothing outlives this machine.
package() { dpkg --force-depends --force-unsafe-io "$@" >/tmp/dpkg.log 2>&1 || fail "dpkg $*"; }
mounted() { awk -v m="$mnt" '$5 == m { print $1 }' /proc/self/mountinfo; }
total() { nsenter -t "$1" -m -p awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo; }
has_total() { [ "$(total "$1")" = 65536 ]; }

# Every start of Node takes long where the CPU is emulated, and nothing here is about these.
export VPROCFS_STANDBY=off VPROCFS_METRICS=off

# A database of its own: that of the host has some 100,000 files to read, again and again. Of LXCFS
# it knows, when that is installed.
export DPKG_ADMINDIR=/tmp/dpkg
mkdir -p "$DPKG_ADMINDIR/info" "$DPKG_ADMINDIR/updates" "$DPKG_ADMINDIR/triggers"
dpkg-query --admindir /var/lib/dpkg -s lxcfs 2>/dev/null >"$DPKG_ADMINDIR/status" || true
cp /var/lib/dpkg/info/lxcfs.* "$DPKG_ADMINDIR/info/" 2>/dev/null || true
package -i "$1"
dpkg -L vprocfs >/tmp/files
is "version" "$(vprocfs --version)" "$(dpkg-query -W -f '${Version}' vprocfs | cut -d+ -f1)"
[ -e /usr/share/lxc/config/common.conf.d/20-vprocfs.conf ] || fail "no hook for LXC"
echo "ok hooks"

vprocfs run --log-format json >/tmp/daemon.log 2>&1 &
wait_for "it serves" serves
mkdir "$cgroup"
echo 64M >"$cgroup/memory.max"
sh -c 'echo $$ >"$0/cgroup.procs"; exec unshare -C -p -f -m --mount-proc sleep 100000' "$cgroup" &
has_init() { grep -lx sleep $(sed 's,.*,/proc/&/comm,' "$cgroup/cgroup.procs") >/tmp/init 2>/dev/null; }
wait_for "a container" has_init
init=$(cut -d/ -f3 /tmp/init)
wait_for "it has its files" has_total "$init"

generation=$(status generation) || fail "no status"
before=$(mounted)
# Without a program per read: those would take the CPU that dpkg is emulated with.
nsenter -t "$init" -m -p bash -c 'exec 3<> <(:)
while [ -e /proc/self ]; do
  read -r total </proc/meminfo || echo failed
  case $total in *" 65536 kB") ;; *) echo "torn: $total" ;; esac
  read -rt 0.01 -u 3
done' >/tmp/readers 2>&1 &
package -i "$2"
newer() { [ "$(status generation || echo 0)" -gt "$generation" ]; }
wait_for "a new worker" newer
wait_for "it serves" serves
is "the same mount after the upgrade" "$(mounted)" "$before"
is "its keeper is the new one" \
  "$(readlink "/proc/$(status keeperPid)/exe")" /usr/lib/vprocfs/build/Release/vprocfs-keeper
is "reads that failed" "$(cat /tmp/readers)" ""

if [ $# -gt 2 ] && [ "$(dpkg-query -W -f '${db:Status-Status}' lxcfs 2>/dev/null)" = installed ]; then
  package -i "$4" "$3"
  is "LXCFS's package" "$(dpkg-query -W -f '${db:Status-Status}' lxcfs)" config-files
  lxcfs --help >/dev/null
  lxcfs -f -l --enable-cfs --runtime-dir /run/x -p /tmp/lxcfs.pid /var/lib/lxcfs \
    >>/tmp/daemon.log 2>&1 &
  wait_for "it serves in LXCFS's place" serves /var/lib/lxcfs
  grep -q -- '--mountpoint /var/lib/lxcfs' /usr/share/lxc/config/common.conf.d/20-vprocfs.conf ||
    fail "hooks are for another mount point"
  package --purge vprocfs-lxcfs-compat vprocfs-as-lxcfs
  is "mounted in LXCFS's place after the purge" "$(grep -c ' /var/lib/lxcfs ' /proc/mounts || true)" 0
  grep -q -- "--mountpoint $mnt" /usr/share/lxc/config/common.conf.d/20-vprocfs.conf ||
    fail "hooks are not for $mnt again"
fi

package --purge vprocfs
is "mounted after the purge" "$(mounted)" ""
is "left in a container" \
  "$(awk '$5 ~ "^/(proc|sys)/" && / - fuse.lxcfs vprocfs/' "/proc/$init/mountinfo")" ""
is "files left" "$(grep vprocfs /tmp/files | while read -r file; do
  [ ! -e "$file" ] || echo "$file"
done)$(find /etc /run /var/lib -maxdepth 6 -xdev -path '/run/vprocfs-vm*' -prune -o -name '*vprocfs*' -print)" ""
kill "$init"
echo "all checks hold"

#!/bin/bash
# Runs in the cgroup-v2 machine, whose kernel Debian 12's CRIU knows: a container that has our files is
# checkpointed and restored, as docs/guide/attach.md says. Prints a line per check; exits 1 with the first
# that does not hold.
#
#   criu-guest.sh runc|lxc
set -eu

export VPROCFS_STANDBY=off VPROCFS_METRICS=off VPROCFS=/tmp/vprocfs
runtime=$1
bundle=/tmp/bundle-$runtime
printf '#!/bin/sh\nexec node %s/dist/cli.js "$@"\n' "$PWD" >$VPROCFS
chmod +x $VPROCFS

# By which LXC and CRIU find that the kernel has AppArmor. CRIU notes what it finds.
if [ "$runtime" = lxc ]; then
  mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
  rm -f /run/criu.kdat
fi

fail() {
  echo "FAIL: $*"
  cat /tmp/daemon.log
  grep -h Error /tmp/criu/*.log /tmp/images/*.log || true
  exit 1
}

is() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || fail "$1: found '$2', wanted '$3'"
  echo "ok $1: $2"
}

total() { nsenter -t "$(init)" -m -p awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo; }
count() { nsenter -t "$(init)" -m -p cat /tmp/count; }
served() { # WHAT
  for _ in $(seq 100); do [ "$(total)" = 65536 ] && break; sleep 0.1; done
  is "$1" "$(total)" 65536
}

mkdir -p $bundle/rootfs/{bin,proc,sys,dev,tmp}
cp /bin/busybox $bundle/rootfs/bin/
for name in sh sleep cat awk; do ln -s busybox $bundle/rootfs/bin/$name; done
cat >$bundle/rootfs/bin/count <<'P'
#!/bin/sh
i=0
while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.2; done
P
chmod +x $bundle/rootfs/bin/count

runc_make() {
  runc spec -b $bundle
  python3 - $bundle/config.json <<'P'
import json, sys
config = json.load(open(sys.argv[1]))
config["process"]["terminal"] = False
config["process"]["args"] = ["/bin/count"]
config["root"]["readonly"] = False
config["linux"]["resources"]["memory"] = {"limit": 67108864}
json.dump(config, open(sys.argv[1], "w"))
P
  runc run -d -b $bundle web1 </dev/null >/dev/null 2>&1
}
runc_init() { runc list | awk '$1 == "web1" { print $2 }'; }
runc_dump=(runc checkpoint --image-path /tmp/images --work-path /tmp/criu)
runc_going=(--leave-running web1)
runc_stopping=(web1)
runc_restore() { runc restore -d --image-path /tmp/images --work-path /tmp/criu -b $bundle web1 </dev/null >/dev/null 2>&1; }
runc_remove() { runc delete -f web1; }

lxc_make() {
  mkdir -p /tmp/lxc/web1
  cat >/tmp/lxc/web1/config <<C
lxc.rootfs.path = dir:$bundle/rootfs
lxc.uts.name = web1
lxc.apparmor.profile = unconfined
lxc.net.0.type = empty
lxc.console.path = none
lxc.tty.max = 0
lxc.pty.max = 1
lxc.mount.auto = proc:rw sys:rw
lxc.init.cmd = /bin/count
lxc.cgroup2.memory.max = 64M
C
  lxc-start -P /tmp/lxc -n web1
}
lxc_init() { lxc-info -P /tmp/lxc -n web1 -pH; }
lxc_dump=(lxc-checkpoint -P /tmp/lxc -n web1 -D /tmp/images)
lxc_going=()
lxc_stopping=(-s)
lxc_restore() {
  lxc-checkpoint -P /tmp/lxc -n web1 -D /tmp/images -r </dev/null >/dev/null 2>&1 || return 1
  # Which LXC leaves to who restores.
  lxc-cgroup -P /tmp/lxc -n web1 memory.max 67108864
}
lxc_remove() { lxc-stop -P /tmp/lxc -n web1 -k; }

init() { "${runtime}_init"; }
declare -n dump=${runtime}_dump going=${runtime}_going stopping=${runtime}_stopping

mkdir -p /var/lib/vprocfs
$VPROCFS run --log-format json >>/tmp/daemon.log 2>&1 &
daemon=$!
"${runtime}_make"
served "the container has its files"

clean() { rm -rf /tmp/images && mkdir /tmp/images; }
if [ "$runtime" = runc ]; then
  clean
  ! "${dump[@]}" "${going[@]}" >/dev/null 2>&1 || fail "CRIU dumps it as it is: docs/guide/attach.md says otherwise"
  echo "ok CRIU refuses it as it is"
  served "it has its files all the same"
fi

around() { clean && packaging/criu/vprocfs-checkpoint web1 "$@"; }
around "${dump[@]}" "${going[@]}" || fail "no checkpoint"
is "it has its files when it goes on" "$(total)" 65536
! around false || fail "the status of the command is lost"
is "it has its files when the command failed" "$(total)" 65536
around "${dump[@]}" "${stopping[@]}" || fail "no second checkpoint"
for _ in $(seq 100); do pid=$(init) && [ "${pid:-0}" -gt 0 ] || break; sleep 0.1; done
is "checkpointed" "$(init)" ""
"${runtime}_restore" || fail "not restored"
before=$(count)
served "restored"
for _ in $(seq 100); do [ "$(count)" -gt "$before" ] && break; sleep 0.1; done
[ "$(count)" -gt "$before" ] || fail "it does not go on"
echo "ok it goes on"

is "it is not left alone" "$(ls /run/vprocfs/left-alone | grep "^$(init)-" || true)" ""

"${runtime}_remove"
kill -TERM "$daemon"
wait "$daemon"
echo "all checks hold"

#!/bin/bash
# Runs in the cgroup-v2 machine, whose kernel Debian 12's CRIU knows: a container of runc that has our
# files is checkpointed and restored, as docs/guide/attach.md says. Prints a line per check; exits 1 with the
# first that does not hold.
set -eu

export VPROCFS_STANDBY=off VPROCFS_METRICS=off VPROCFS=/tmp/vprocfs
bundle=/tmp/bundle
printf '#!/bin/sh\nexec node %s/dist/cli.js "$@"\n' "$PWD" >$VPROCFS
chmod +x $VPROCFS

fail() {
  echo "FAIL: $*"
  cat /tmp/daemon.log
  grep -h Error /tmp/criu/*.log || true
  exit 1
}

is() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || fail "$1: found '$2', wanted '$3'"
  echo "ok $1: $2"
}

init() { runc list | awk '$1 == "web1" { print $2 }'; }
total() { nsenter -t "$(init)" -m -p awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo; }
count() { nsenter -t "$(init)" -m -p cat /tmp/count; }
served() { # WHAT
  for _ in $(seq 600); do [ "$(total)" = 65536 ] && break; sleep 0.1; done
  is "$1" "$(total)" 65536
}
dump=(runc checkpoint --image-path /tmp/images --work-path /tmp/criu)
restore() { runc restore -d --image-path /tmp/images --work-path /tmp/criu -b $bundle web1 </dev/null >/dev/null 2>&1; }

mkdir -p $bundle/rootfs/{bin,proc,sys,dev,tmp}
cp /bin/busybox $bundle/rootfs/bin/
for name in sh sleep cat awk; do ln -s busybox $bundle/rootfs/bin/$name; done
runc spec -b $bundle
python3 - $bundle/config.json <<'P'
import json, sys
config = json.load(open(sys.argv[1]))
config["process"]["terminal"] = False
script = "i=0; while :; do i=$((i + 1)); echo $i >/tmp/count; sleep 0.2; done"
config["process"]["args"] = ["/bin/sh", "-c", script]
config["root"]["readonly"] = False
config["linux"]["resources"]["memory"] = {"limit": 67108864}
json.dump(config, open(sys.argv[1], "w"))
P
mkdir -p /var/lib/vprocfs
$VPROCFS run --json >>/tmp/daemon.log 2>&1 &
daemon=$!
runc run -d -b $bundle web1 </dev/null >/dev/null 2>&1
served "the container has its files"

! "${dump[@]}" --leave-running web1 >/dev/null 2>&1 || fail "CRIU dumps it as it is: docs/guide/attach.md says otherwise"
echo "ok CRIU refuses it as it is"
served "it has its files all the same"

around() { rm -rf /tmp/images && packaging/criu/vprocfs-checkpoint web1 "$@"; }
around "${dump[@]}" --leave-running web1 || fail "no checkpoint"
is "it has its files when it goes on" "$(total)" 65536
! around false || fail "the status of the command is lost"
is "it has its files when the command failed" "$(total)" 65536
around "${dump[@]}" web1 || fail "no second checkpoint"
is "checkpointed" "$(runc list -q)" ""
restore || fail "not restored"
before=$(count)
served "restored"
for _ in $(seq 100); do [ "$(count)" -gt "$before" ] && break; sleep 0.1; done
[ "$(count)" -gt "$before" ] || fail "it does not go on"
echo "ok it goes on"

is "it is not left alone" "$(ls /run/vprocfs/left-alone)" ""

runc delete -f web1
kill -TERM "$daemon"
wait "$daemon"
echo "all checks hold"

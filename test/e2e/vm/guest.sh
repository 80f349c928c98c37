# To be sourced by the scripts that run in a virtual machine. They print a line for each check, and exit with 1
# at the first that does not hold.
set -eu

# Every start of Node takes long where the CPU is emulated, and the tests are not about these.
export VPROCFS_STANDBY=off VPROCFS_METRICS=off

cgroups=/sys/fs/cgroup
mnt=/tmp/vprocfs
mkdir -p "$mnt"
: >/tmp/daemon.log

fail() {
  echo "FAIL: $*"
  cat /tmp/daemon.log
  exit 1
}

is() { # WHAT FOUND WANTED
  [ "$2" = "$3" ] || fail "$1: found '$2', wanted '$3'"
  echo "ok $1: $2"
}

# Starts a daemon on $mnt; sets daemon to its PID.
start_daemon() { # OPTION...
  node dist/cli.js run "$mnt" --log-format json "$@" >/tmp/daemon.log 2>&1 &
  daemon=$!
  for _ in $(seq 600); do
    [ -e "$mnt/containers" ] && return
    sleep 0.1
  done
  fail "no daemon"
}

stop_daemon() {
  kill -TERM "$daemon"
  wait "$daemon" || fail "the daemon ended badly"
}

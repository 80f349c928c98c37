# Functions for scripts that run in a node. A container is RUNTIME:NAME; all that `start` makes have
# 128 MiB of memory and one CPU, and the busybox of /root/images as their root.

KIB=131072
images=/root/images
export PODMAN_IGNORE_CGROUPSV1_WARNING=1

say() { printf '%s\n' "$*"; }
fail() {
    say "FAIL: $*" >&2
    exit 1
}

# within SECONDS COMMAND...: until it succeeds.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.3
    done
}

# as_op COMMAND...: as a user without privileges, in a session of systemd's.
as_op() { (cd /home/op && setpriv --reuid op --regid op --init-groups env USER=op LOGNAME=op HOME=/home/op XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"); }

own_root() { # NAME: a busybox root of its own
    mkdir -p /var/lib/roots
    [ -d "/var/lib/roots/$1" ] || cp -a $images/busybox "/var/lib/roots/$1"
    printf '/var/lib/roots/%s' "$1"
}

# start RUNTIME NAME [COMMAND...]: a container that runs COMMAND, or waits. More arguments for the
# runtime are words of $MORE.
start() {
    local runtime=$1 name=$2
    shift 2
    [ $# -gt 0 ] || set -- sleep 1000000
    # shellcheck disable=SC2086
    case $runtime in
    docker) docker run -d --name "$name" --network none -m 128m --cpus 1 ${MORE-} bb "$@" ;;
    podman) podman run -d --name "$name" --network none -m 128m --cpus 1 ${MORE-} bb "$@" ;;
    rootless) as_op podman run -d --name "$name" --network none -m 128m --cpus 1 ${MORE-} bb "$@" ;;
    containerd)
        ctr run -d --env PATH=/bin:/sbin --memory-limit 134217728 --cpus 1 ${MORE-} --rootfs "$(own_root "$name")" "$name" "$@"
        ;;
    incus)
        incus init bb "$name" -c limits.memory=128MiB -c limits.cpu=1 ${MORE-}
        incus config set "$name" raw.lxc="lxc.init.cmd = $*"
        incus start "$name"
        ;;
    lxc)
        mkdir -p "/var/lib/lxc/$name"
        cat >"/var/lib/lxc/$name/config" <<C
lxc.include = /usr/share/lxc/config/common.conf
lxc.arch = linux64
lxc.uts.name = $name
lxc.rootfs.path = dir:$(own_root "$name")
lxc.net.0.type = empty
lxc.cgroup2.memory.max = 134217728
lxc.cgroup2.cpu.max = 100000 100000
lxc.init.cmd = $*
lxc.apparmor.profile = generated
$(printf '%b' "${MORE-}")
C
        lxc-start -n "$name"
        lxc-wait -n "$name" -s RUNNING -t 60
        ;;
    nspawn)
        systemd-run -q --unit "nspawn-$name" --service-type notify systemd-nspawn -q --machine "$name" \
            --notify-ready no -D "$(own_root "$name")" --property MemoryMax=128M --property CPUQuota=100% ${MORE-} -a "$@"
        ;;
    *) fail "no runtime $runtime" ;;
    esac >/tmp/start.log 2>&1 </dev/null || { cat /tmp/start.log >&2; fail "$runtime does not start $name"; }
}

# pid RUNTIME NAME: its first process.
pid() {
    case $1 in
    docker) docker inspect -f '{{.State.Pid}}' "$2" ;;
    podman) podman inspect -f '{{.State.Pid}}' "$2" ;;
    rootless) as_op podman inspect -f '{{.State.Pid}}' "$2" ;;
    containerd) ctr task ls | awk -v n="$2" '$1 == n { print $2 }' ;;
    incus) incus query "/1.0/instances/$2/state" | jq .pid ;;
    lxc) lxc-info -n "$2" -p -H ;;
    nspawn) machinectl show -p Leader --value "$2" ;;
    esac
}

stop() { # RUNTIME NAME
    case $1 in
    docker) docker rm -f "$2" ;;
    podman) podman rm -f -t 0 "$2" ;;
    rootless) as_op podman rm -f -t 0 "$2" ;;
    containerd) ctr task kill -s KILL "$2"; within 60 ctr container rm "$2" ;;
    incus) incus delete -f "$2" ;;
    lxc) lxc-stop -k -n "$2" ;;
    nspawn) machinectl terminate "$2" ;;
    esac >/dev/null 2>&1
}

# pid_of RUNTIME:NAME sets PID. What was found is kept, since asking a runtime takes long.
pid_of() {
    local file=/run/bed/$1
    PID=$(cat "$file" 2>/dev/null) || true
    if [ -z "$PID" ] || [ ! -d "/proc/$PID" ]; then
        PID=$(pid "${1%%:*}" "${1#*:}") || true
        mkdir -p /run/bed
        printf '%s' "$PID" >"$file"
    fi
}

# More functions, for scenarios: what containers see, and what is done to the service.

. /root/bed/lib.sh

# Deadlines are those of a real node. Emulated, and on a host that does other work, all takes longer.
SLOW=6
within() {
    local end=$((SECONDS + $1 * SLOW))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.5
    done
}

# A program in the container of a PID.
inside() { # PID COMMAND...
    nsenter -t "$1" -m -p -- "${@:2}"
}

# wrong RUNTIME:NAME [KIB [CPUS]]: prints what the container does not see as its own; nothing is right.
wrong() {
    pid_of "$1"
    case ${PID:-0} in 0 | null) say "$1 does not run" && return ;; esac
    inside "$PID" sh -c 'cat /proc/meminfo /proc/cpuinfo; echo "up: $(cat /proc/uptime)"; exit 0' 2>&1 |
        awk -v who="$1" -v kib="${2:-$KIB}" -v cpus="${3:-1}" -v start="$(awk '{ print $22 / 100 }' "/proc/$PID/stat")" \
            -v now="$(cut -d' ' -f1 /proc/uptime)" '
            $1 == "MemTotal:" { total = $2 }
            /^processor[\t ]*:/ { seen++ }
            $1 == "up:" { up = $2 }
            END {
                age = now - start
                if (total != kib) bad = bad " memory " total " instead of " kib " kB"
                if (seen != cpus) bad = bad " CPUs " seen " instead of " cpus
                if (up == "" || up < age - 5 || up > age + 20) bad = bad " uptime " up " instead of about " age
                if (bad != "") print who ":" bad
            }'
}

# own SECONDS RUNTIME:NAME...: within that time each of them sees its own; says after how many. It
# fails with what is wrong.
own() {
    local end=$((SECONDS + $1 * SLOW)) start=$SECONDS name text left
    shift
    left=("$@")
    while :; do
        text= rest=()
        for name in "${left[@]}"; do
            this=$(wrong "$name")
            [ -z "$this" ] || { rest+=("$name"); text="$text$this; "; }
        done
        [ ${#rest[@]} -gt 0 ] || { say "all own after $((SECONDS - start)) s" && return; }
        [ $SECONDS -lt $end ] || fail "${text%; }"
        left=("${rest[@]}")
        sleep 0.5
    done
}

# The containers that every node has from the beginning, as RUNTIME:NAME.
everyone() { sed 's/\(.*\)/\1:\10/' /root/bed/runtimes; }

mounts_left() { # of ours, in any mount namespace
    grep -l ' - fuse.lxcfs vprocfs' /proc/[0-9]*/mountinfo 2>/dev/null | wc -l
}

# What the keeper says of itself, as `vprocfs status --json` does, without a start of Node, which takes a
# minute on a busy emulated CPU.
status() { # KEY
    python3 -c '
import json, socket, sys
keeper = socket.socket(socket.AF_UNIX)
keeper.settimeout(60)
keeper.connect("/run/vprocfs/var%2Flib%2Fvprocfs.sock")
keeper.send(b"status")
text = b""
while part := keeper.recv(65536):
    text += part
print(json.loads(text)[sys.argv[1]])' "$1" 2>/dev/null
}
serving() { [ "$(status state)" = serving ] && mountpoint -q /var/lib/vprocfs; }
served() { within 150 serving || fail "not serving: $(systemctl is-active vprocfs), $(status state)"; }

# install_package old|new: with apt, as an administrator does.
install_package() {
    # systemd's own deadline is for real CPUs.
    mkdir -p /etc/systemd/system/vprocfs.service.d
    printf '[Service]\nTimeoutStartSec=900\n' >/etc/systemd/system/vprocfs.service.d/emulated.conf
    local files=(/root/packages/"$1"/vprocfs_*.deb)
    ! dpkg --compare-versions "$(dpkg-query -W -f '${Version}' nodejs 2>/dev/null || echo 0)" lt 20.17 ||
        files+=(/root/packages/"$1"/vprocfs-node_*.deb)
    DEBIAN_FRONTEND=noninteractive apt-get install -y --allow-downgrades "${files[@]}" >/tmp/apt.log 2>&1 </dev/null ||
        fail "apt: $(grep -E '^(E:|dpkg: error| vprocfs )' /tmp/apt.log | head -n 3 | tr '\n' ' ')"
}

# Readers in a container that check every byte: readers_start COUNT RUNTIME:NAME, and readers_end, which
# prints what they found as JSON.
readers_start() {
    pid_of "$2"
    cp /root/bed/storm "/proc/$PID/root/storm"
    rm -f /tmp/readers.in
    mkfifo /tmp/readers.in
    nsenter -t "$PID" -m -p -- /storm / $KIB "$1" </tmp/readers.in >/tmp/readers.out 2>&1 &
    READERS=$!
    exec 9>/tmp/readers.in
    within 120 grep -q ready /tmp/readers.out || fail "no readers: $(cat /tmp/readers.out)"
}
readers_told() { say "$1" >&9; }
readers_end() {
    exec 9>&-
    wait "$READERS" || true
    tail -n 1 /tmp/readers.out
}

# The process ids of the service.
keeper() { status keeperPid; }
worker() { status workerPid; }
later_than() { [ "$(status generation || echo 0)" -gt "$1" ]; }

# A program as somebody who works in the container runs it, with what the container's processes may do.
# It reads what `feed` reads, and nothing with `execute`.
feed() { # RUNTIME:NAME COMMAND...
    local runtime=${1%%:*} name=${1#*:}
    shift
    case $runtime in
    docker | podman) "$runtime" exec -i "$name" "$@" ;;
    incus) incus exec -T "$name" -- "$@" ;;
    lxc) lxc-attach -n "$name" -- "$@" ;;
    *) fail "nothing can be executed by $runtime" ;;
    esac
}
execute() { feed "$@" </dev/null; }

# Gives a container programs of the node, with their libraries, by its own hands: the node's root may be
# nobody there.
give() { # RUNTIME:NAME PROGRAM...
    local one=$1 libraries
    shift
    libraries=$(ldd "$@" 2>/dev/null | grep -o '/[^ )]*[^ ):]' | sort -u)
    # shellcheck disable=SC2086
    tar -C / -ch $(printf '%s\n' "$@" $libraries | sed 's,^/,,' | sort -u) | feed "$one" busybox tar -x -C / ||
        fail "$one: cannot be given $*"
}

#!/usr/bin/env bash
# Runs one command in a throw-away virtual machine with cgroup v2 (or v1), on top of this machine's
# own root file system (read-only, changes go to memory). See usage() below.
#
# Everything that the two sides say to each other are files in a directory of the run, shared over
# 9p: `guest` (what the guest runs), `out` (the command's output), `ready` and `status`.
set -u

readonly exit_timeout=124 exit_broken=125
readonly boot_tries=3
readonly poll=0.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit "$exit_broken"
project=$(cd "$here/../../.." && pwd -P) || exit "$exit_broken"
cache=${TMPDIR:-/var/tmp}/vprocfs-vm-cache
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# First in the guest, after the directory of Node.js: what a version manager puts before them is a script,
# which takes seconds to start there.
system_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
! node=$(command -v node) || system_path=${node%/*}:$system_path

usage() {
    cat <<'END'
usage: boot.sh [options] -- COMMAND [ARGUMENT...]
       boot.sh --check

Runs COMMAND as root in the project's directory, inside a virtual machine with cgroup v2.
Its stdout and stderr come out on stdout; its exit status becomes ours.

  --smp N        CPUs (2)
  --memory MIB   memory (3072)
  --swap MIB     swap space, 0 for none (1024)
  --timeout S    seconds until all is killed and the exit status is 124 (600)
  --share DIR    share DIR read-write; it is /mnt/share inside
  --cgroup v1    cgroup v1 instead of v2: all its controllers where systemd mounts them
  --append ARGS  more kernel arguments
  --qemu ARG     one more argument for QEMU; may be given again
  --check        only tell, in one line, what is missing here to run a machine

Exit status 125: the machine did not boot or died under the command.
END
}

say() {
    printf 'boot.sh: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit "$exit_broken"
}

# The newest installed kernel that can be used. The cloud flavour lacks 9p.
newest_kernel() {
    local image version
    for image in /boot/vmlinuz-*-amd64; do
        version=${image#/boot/vmlinuz-}
        case $version in *-cloud-*) continue ;; esac
        [ -r "$image" ] && [ -d "/lib/modules/$version/kernel" ] && printf '%s\n' "$version"
    done | sort -V | tail -n 1
}

# Ends with a message when something needed is not installed; sets kernel.
check_needs() {
    local missing=()
    [ "$(uname -m)" = x86_64 ] || die "runs on x86-64 only, this is $(uname -m)"
    command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
    kernel=$(newest_kernel)
    [ -n "$kernel" ] || missing+=(linux-image-amd64)
    if ! [ -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
        missing+=(busybox-static)
    fi
    command -v cpio >/dev/null || missing+=(cpio)
    command -v modprobe >/dev/null || missing+=(kmod)
    command -v mkswap >/dev/null || missing+=(util-linux)
    [ ${#missing[@]} -eq 0 ] ||
        die "not installed: ${missing[*]}; run: apt-get install -y ${missing[*]}"
}

# The files of the modules that the guest inserts, in that order, each once.
module_files() {
    local module
    for module in virtio_pci virtio_blk 9pnet_virtio 9p overlay fuse; do
        modprobe --set-version "$kernel" --show-depends "$module" || return
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# Builds the initramfs unless there is one of the same kernel and init script; sets initramfs.
build_initramfs() {
    local key tree file name
    key=$kernel-$(sha256sum <"$here/init.sh" | cut -c 1-12)
    initramfs=$cache/$key.cpio
    [ -s "$initramfs" ] && return
    tree=$run/initramfs
    mkdir -p "$tree/bin" "$tree/modules" || return
    cp /bin/busybox "$tree/bin/busybox" && install -m 0755 "$here/init.sh" "$tree/init" || return
    for file in $(module_files); do
        name=$(basename "$file")
        case $name in
            *.xz) xz -dc "$file" >"$tree/modules/${name%.xz}" ;;
            *.zst) zstd -qdc "$file" >"$tree/modules/${name%.zst}" ;;
            *) cp "$file" "$tree/modules/$name" ;;
        esac || return
        name=${name%.xz}
        printf '%s\n' "${name%.zst}" >>"$tree/modules/order"
    done
    [ -s "$tree/modules/order" ] || return
    (cd "$tree" && find . | cpio --quiet -o -H newc) >"$run/initramfs.cpio" || return
    mv -f "$run/initramfs.cpio" "$initramfs" && rm -rf "$tree"
}

# Removes what killed runs had to leave behind.
sweep() {
    local left name
    for left in "$cache"/run.*; do
        [ -d "$left" ] || continue
        name=${left##*/run.}
        kill -0 "${name%%.*}" 2>/dev/null || rm -rf "$left"
    done
}

quote() {
    local word
    for word in "$@"; do
        printf "'%s' " "${word//\'/\'\\\'\'}"
    done
}

# What the guest runs once its root is in place, as process 1. The command's output goes through a
# pipe, so that it may reopen /dev/stdout, and a daemon it leaves behind cannot hold us up.
write_guest_script() {
    cat >"$run/guest" <<END
mount --make-rshared /
cd $(quote "$project") || exit
mkfifo /run/vprocfs-vm-pipe
cat /run/vprocfs-vm-pipe >/run/vprocfs-vm/out &
cat=\$!
echo >/run/vprocfs-vm/ready
export HOME=/root LANG=C.UTF-8 TERM=dumb PATH=$(quote "$system_path:$PATH")
$(quote "$@") </dev/null >/run/vprocfs-vm-pipe 2>&1
code=\$?
(sleep 2; kill \$cat) &
wait \$cat
sync
echo \$code >/run/vprocfs-vm/status.new
mv /run/vprocfs-vm/status.new /run/vprocfs-vm/status
sleep 5
echo o >/proc/sysrq-trigger
sleep 60
END
}

start_machine() {
    # Under load an emulated timer is too late for the test of it.
    local arguments="console=ttyS0 quiet panic=-1 psi=1 no_timer_check vprocfs.cgroup=$cgroup"
    # Programs at the same addresses each time need no new translation; mitigations are for real CPUs.
    arguments="$arguments norandmaps mitigations=off"
    # An emulated CPU fails to measure its speed, for seconds each; so tell it.
    [ "$smp" -le 8 ] || arguments="$arguments lpj=8000000 tsc=reliable nowatchdog"
    # One thread takes turns for all CPUs: with one for each, those that wait for a lock of one that has been
    # interrupted spin, and beside other work this costs several times as much.
    # shellcheck disable=SC2054  # the commas are QEMU's
    local options=(
        -accel tcg,thread=single -cpu max -smp "$smp" -m "$memory"
        -nographic -nodefaults -no-reboot -monitor none -serial "file:$run/console"
        -kernel "/boot/vmlinuz-$kernel" -initrd "$initramfs"
        -append "$arguments vprocfs.project=$project $append"
        -virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
        -virtfs "local,path=${run//,/,,},mount_tag=run,security_model=none,multidevs=remap"
    )
    if [ "$swap" -gt 0 ]; then
        truncate -s "${swap}M" "$run/swap" && mkswap "$run/swap" >/dev/null 2>&1 || return
        options+=(-drive "if=virtio,format=raw,file=${run//,/,,}/swap")
    fi
    if [ -n "$share" ]; then
        options+=(-virtfs
            "local,path=${share//,/,,},mount_tag=share,security_model=none,multidevs=remap")
    fi
    options+=("${qemu_arguments[@]}")
    : >"$run/out" && rm -f "$run/ready" "$run/status" || return
    setpriv --pdeathsig KILL qemu-system-x86_64 "${options[@]}" </dev/null >"$run/qemu" 2>&1 &
    qemu=$!
}

# Waits until FILE is there: 0; the machine ended without it: 1; LIMIT (in SECONDS) passed: 2.
wait_for_file() {
    local file=$1 limit=$2
    until [ -e "$file" ]; do
        [ "$SECONDS" -lt "$deadline" ] || time_is_up
        [ "$SECONDS" -lt "$limit" ] || return 2
        if ! kill -0 "$qemu" 2>/dev/null; then
            [ -e "$file" ] && return
            return 1
        fi
        sleep "$poll"
    done
}

stop_machine() {
    [ -n "$qemu" ] || return 0
    kill -KILL "$qemu" 2>/dev/null
    wait "$qemu" 2>/dev/null
    qemu=
}

# Lets the output be forwarded to its last byte, then ends the forwarding.
finish_output() {
    [ -n "$forwarder" ] || return 0
    wait "$forwarder" 2>/dev/null
    forwarder=
}

show_console() {
    {
        tail -n 5 "$run/qemu"
        tail -n 40 "$run/console" | tr -d '\r'
    } >&2 2>/dev/null
}

time_is_up() {
    stop_machine
    finish_output
    say "killed after $timeout s"
    exit "$exit_timeout"
}

# shellcheck disable=SC2317  # called by the trap
clean_up() {
    trap '' INT TERM HUP
    stop_machine
    if [ -n "$forwarder" ]; then
        kill -KILL "$forwarder" 2>/dev/null
        wait "$forwarder" 2>/dev/null
    fi
    [ -z "$run" ] || rm -rf "$run"
}

is_number() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
}

smp=2 memory=3072 swap=1024 timeout=600 share='' append='' cgroup=v2 qemu_arguments=()
kernel='' initramfs='' run='' qemu='' forwarder=''

while [ $# -gt 0 ]; do
    case $1 in
        --smp | --memory | --swap | --timeout)
            is_number "${2-}" || die "$1 needs a number"
            declare "${1#--}=$2"
            shift 2
            ;;
        --share)
            share=$(cd "${2-}" 2>/dev/null && pwd -P) || die "--share: no directory ${2-}"
            shift 2
            ;;
        --append)
            append=${2-}
            shift 2
            ;;
        --cgroup)
            case ${2-} in v1 | v2) cgroup=$2 ;; *) die "--cgroup is v1 or v2" ;; esac
            shift 2
            ;;
        --qemu)
            qemu_arguments+=("${2-}")
            shift 2
            ;;
        --check)
            check_needs
            exit 0
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        --)
            shift
            break
            ;;
        *) die "unknown option $1 (the command comes after --)" ;;
    esac
done
[ $# -gt 0 ] || die "no command given"

deadline=$((SECONDS + timeout))
check_needs
mkdir -p "$cache" || exit "$exit_broken"
sweep
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
run=$(mktemp -d "$cache/run.$$.XXXXXX") || exit "$exit_broken"
build_initramfs || die "cannot build the initramfs of kernel $kernel"
write_guest_script "$@"

for ((try = 1; ; try++)); do
    start_machine || die "cannot start the machine"
    # Starting takes its time in an emulated machine, and more beside other work.
    wait_for_file "$run/ready" $((SECONDS + 180 + smp)) && break
    stop_machine
    if [ "$try" -eq "$boot_tries" ]; then
        show_console
        die "the machine did not boot, tried $boot_tries times"
    fi
    say "the machine did not boot, trying again"
done

setpriv --pdeathsig KILL \
    tail -q -c +1 -s "$poll" -f --pid="$qemu" "$run/out" 2>/dev/null &
forwarder=$!
if ! wait_for_file "$run/status" "$deadline"; then
    stop_machine
    finish_output
    show_console
    die "the machine died under the command"
fi
code=$(cat "$run/status")
stop_machine
finish_output
exit "$code"

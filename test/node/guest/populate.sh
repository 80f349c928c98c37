#!/bin/bash
# Gives a freshly booted node its images, and a running container of each runtime that it has.
set -eu
. /root/bed/lib.sh

# Incus needs LXCFS's unit, and would be served by LXCFS. One scenario is about that.
mkdir -p /etc/systemd/system/lxcfs.service.d
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=\nExecStart=/bin/true\nExecStopPost=\n' >/etc/systemd/system/lxcfs.service.d/off.conf
systemctl daemon-reload
! systemctl is-active -q lxcfs || systemctl restart lxcfs
tar -C $images/busybox -c . >/tmp/bb.tar
runtimes=
have() { command -v "$1" >/dev/null; }

if have docker; then
    docker import -c 'CMD ["sleep","1000000"]' /tmp/bb.tar bb >/dev/null
    runtimes="$runtimes docker"
fi
if have podman; then
    podman import -q -c CMD=sleep /tmp/bb.tar bb >/dev/null
    runtimes="$runtimes podman"
    loginctl enable-linger op
    within 60 test -S /run/user/1000/bus || fail "no session of op"
    chmod 644 /tmp/bb.tar
    as_op podman import -q -c CMD=sleep /tmp/bb.tar bb >/dev/null
    runtimes="$runtimes rootless"
fi
! have ctr || runtimes="$runtimes containerd"
if have incus; then
    cat <<'P' | incus admin init --preseed >/dev/null
storage_pools: [{name: default, driver: dir}]
profiles: [{name: default, devices: {root: {type: disk, pool: default, path: /}}}]
P
    mkdir -p /tmp/meta
    printf 'architecture: %s\ncreation_date: 1\nproperties: {description: busybox}\n' "$(uname -m)" >/tmp/meta/metadata.yaml
    tar -C /tmp/meta -czf /tmp/meta.tar.gz metadata.yaml
    mkdir /tmp/rootfs && mksquashfs $images/busybox /tmp/rootfs.squashfs -quiet -no-progress -comp gzip >/dev/null
    incus image import /tmp/meta.tar.gz /tmp/rootfs.squashfs --alias bb >/dev/null
    runtimes="$runtimes incus"
fi
! have lxc-start || runtimes="$runtimes lxc"
! have systemd-nspawn || runtimes="$runtimes nspawn"
rm -rf /tmp/bb.tar /tmp/meta* /tmp/rootfs*

# shellcheck disable=SC2086
printf '%s\n' $runtimes >/root/bed/runtimes
for runtime in $runtimes; do
    start "$runtime" "${runtime}0"
    pid_of "$runtime:${runtime}0"
    [ "${PID:-0}" -gt 1 ] || fail "$runtime: no first process: '$PID'"
    say "$runtime: ${runtime}0 is $PID"
done

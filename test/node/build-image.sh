#!/usr/bin/env bash
# Makes the disk of a node: a Debian with systemd and what runs containers, vprocfs not among it.
#
#   build-image.sh DIRECTORY SUITE ARCHITECTURE FLAVOUR
#
# SUITE is trixie (Debian 13) or bookworm (Debian 12). In DIRECTORY it leaves disk.img (raw, ext4),
# kernel, initrd and an SSH key, `key`. Packages come from where this machine's apt gets Debian's.
# FLAVOUR is "plain", or "systemd" with a root for containers that run systemd in /root/images.
set -eu

cd "$1"
out=$PWD suite=$2 architecture=$3

# The mirror that this machine uses for Debian's main archive.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/\?$' | sort -u | head -n 1)
sources="deb ${mirror:-http://deb.debian.org/debian} $suite main"

system=systemd-sysv,dbus,dbus-user-session,udev,kmod,initramfs-tools,openssh-server,libpam-systemd
system=$system,linux-image-$architecture,iproute2,iptables,nftables,procps,psmisc,strace,jq,rsync
system=$system,apparmor,apparmor-utils,systemd-container,busybox-static,python3-minimal,nodejs
runtimes=docker.io,containerd,runc,crun,podman,fuse-overlayfs,slirp4netns,uidmap,netavark
runtimes=$runtimes,aardvark-dns,catatonit,containernetworking-plugins,lxc,acl,xz-utils,squashfs-tools
case $suite in
bookworm) later="lxcfs" ;;
# incus-base is Incus without virtual machines. It needs lxcfs, whose service is off (see below).
*) runtimes=$runtimes,incus-base,incus-client,passt,docker-cli later="lxcfs" ;;
esac

[ -e key ] || ssh-keygen -q -t ed25519 -N '' -f key

cat >customize.sh <<'E2'
#!/bin/sh
set -eu
root=$1 suite=$2 out=$3
printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
mkdir -p "$root/root/.ssh" "$root/root/debs" "$root/root/images" "$root/etc/systemd/network"
printf 'overlay\nfuse\n' >"$root/etc/modules-load.d/node.conf"
cp "$out/key.pub" "$root/root/.ssh/authorized_keys"
chmod 700 "$root/root/.ssh"
# Whoever connects to this machine's own port waits for the emulated CPU: without DNS and PAM's news.
printf 'UseDNS no\nPrintMotd no\nMaxSessions 100\nMaxStartups 100\n' >"$root/etc/ssh/sshd_config.d/node.conf"
echo "node-$suite" >"$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 node-%s\n' "$suite" >"$root/etc/hosts"
cat >"$root/etc/systemd/network/uplink.network" <<'N'
[Match]
Name=en* eth*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
LinkLocalAddressing=no
IPv6AcceptRA=no
[Link]
RequiredForOnline=no
N
chroot "$root" systemctl enable systemd-networkd ssh
# Units that take an emulated CPU's time and no part in any scenario. LXCFS is one scenario's.
for unit in systemd-networkd-wait-online lxc-net lxc-monitord apt-daily.timer \
    apt-daily-upgrade.timer man-db.timer e2scrub_all.timer e2scrub_reap fstrim.timer \
    dpkg-db-backup.timer lxcfs; do
    chroot "$root" systemctl disable "$unit" 2>/dev/null || true
done
chroot "$root" useradd -m -s /bin/bash -u 1000 op
chroot "$root" passwd -d root
# The root of small containers.
mkdir -p "$root/root/images/busybox"
(cd "$root/root/images/busybox" && mkdir -p bin dev etc proc root run sys tmp usr/bin var sbin usr/sbin)
cp "$root/bin/busybox" "$root/root/images/busybox/bin/"
for name in sh cat grep sed awk sleep mount umount ls ps free uptime nproc true mkdir id kill head wc tr date env init; do
    ln -s busybox "$root/root/images/busybox/bin/$name"
done
ln -s ../bin/busybox "$root/root/images/busybox/sbin/init"
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/root/images/busybox/etc/passwd"
printf 'root:x:0:\n' >"$root/root/images/busybox/etc/group"
printf 'ID=busybox\n' >"$root/root/images/busybox/etc/os-release"
[ ! -e "$out/systemd.tar" ] || {
    mkdir "$root/root/images/systemd"
    tar -C "$root/root/images/systemd" -xf "$out/systemd.tar"
}
E2
chmod +x customize.sh

if [ "${4:-plain}" = systemd ]; then
    printf '%s\n' "$sources" |
        mmdebstrap --quiet --mode=root --architectures="$architecture" --variant=minbase \
            --include=systemd-sysv,dbus,procps,libpam-systemd --dpkgopt='path-exclude=/usr/share/{doc,man,locale}/*' \
            --aptopt='Apt::Install-Recommends "false"' "$suite" systemd.tar -
fi

printf '%s\n' "$sources" |
    mmdebstrap --quiet --mode=root --architectures="$architecture" --variant=minbase \
        --include="$system,$runtimes" --skip=cleanup/apt --aptopt='Apt::Install-Recommends "false"' \
        --customize-hook="$out/customize.sh \"\$1\" $suite $out" \
        --customize-hook="chroot \"\$1\" sh -c 'cd /root/debs && apt-get download $later'" \
        --customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
        "$suite" root -

cp root/boot/vmlinuz-* kernel
cp root/boot/initrd.img-* initrd
truncate -s 8G disk.img
mke2fs -q -t ext4 -E lazy_itable_init=0 -d root disk.img
rm -rf root systemd.tar customize.sh

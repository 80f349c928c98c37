#!/bin/busybox sh
# shellcheck shell=dash
# Process 1 of the virtual machine's initramfs (see boot.sh): makes the root file system out of the
# host's and an overlay in memory, mounts what a running system has, and goes on with the script
# of the run.
export PATH=/bin

/bin/busybox mkdir -p /dev /proc /sys /host /layer /keep /new
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

while read -r module; do
    insmod "/modules/$module"
done </modules/order

mount_9p() {
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}

mount_9p host /host cache=loose,ro
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work
# A vprocfs that the host runs shows through there, and nothing can be installed over it.
mkdir -p /layer/upper/var/lib
mknod /layer/upper/var/lib/vprocfs c 0 0
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /new
mount --bind /new /keep

mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t devtmpfs dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm /new/dev/mqueue
mount -t devpts -o mode=620,ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /new/dev/shm
mount -t mqueue mqueue /new/dev/mqueue
mount -t tmpfs -o mode=755 tmpfs /new/run
mount -t tmpfs -o mode=1777 tmpfs /new/tmp
mount -t bpf bpf /new/sys/fs/bpf
ln -sf /proc/self/fd /new/dev/fd
ln -sf /proc/self/fd/0 /new/dev/stdin
ln -sf /proc/self/fd/1 /new/dev/stdout
ln -sf /proc/self/fd/2 /new/dev/stderr
mkdir -p /new/run/lock

# The project, where one of the fresh mounts covers it.
project=$(sed -n 's/.*vprocfs\.project=\([^ ]*\).*/\1/p' /proc/cmdline)
if ! [ -d "/new$project" ]; then
    mkdir -p "/new$project"
    mount --bind "/keep$project" "/new$project"
fi
umount /keep

mkdir -p /new/run/vprocfs-vm
mount_9p run /new/run/vprocfs-vm cache=none,rw
if grep -q share /sys/bus/virtio/drivers/9pnet_virtio/*/mount_tag; then
    mkdir -p /new/mnt/share
    mount_9p share /new/mnt/share cache=none,rw
fi

cgroups=/new/sys/fs/cgroup
case $(cat /proc/cmdline) in
    *vprocfs.cgroup=v1*)
        mount -t tmpfs -o mode=755 tmpfs "$cgroups"
        mkdir "$cgroups/systemd"
        mount -t cgroup -o none,name=systemd cgroup "$cgroups/systemd"
        for controllers in cpu,cpuacct cpuset memory blkio devices freezer net_cls,net_prio \
            perf_event hugetlb pids rdma misc; do
            mkdir "$cgroups/$controllers"
            mount -t cgroup -o "$controllers" cgroup "$cgroups/$controllers"
            case $controllers in
                *,*)
                    ln -s "$controllers" "$cgroups/${controllers%,*}"
                    ln -s "$controllers" "$cgroups/${controllers#*,}"
                    ;;
            esac
        done
        ;;
    *)
        mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 "$cgroups"
        sed 's/[^ ]*/+&/g' "$cgroups/cgroup.controllers" >"$cgroups/cgroup.subtree_control"
        ;;
esac

! [ -e /dev/vda ] || swapon /dev/vda
hostname vprocfs-vm
ip link set lo up
ulimit -Hn 1048576
umount /dev /sys /proc
exec switch_root /new /bin/sh /run/vprocfs-vm/guest

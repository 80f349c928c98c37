// What a DaemonSet does to a node, without a cluster: its pod is a container of containerd's.

/** @type {import("./index.mjs").Scenario[]} */
export const agent = [
  {
    name: "agent",
    title:
      "the Kubernetes agent in a privileged container of containerd installs vprocfs on the node, where it continues without the agent's pod, and removes it again",
    from: "populated",
    impossible: (kind) =>
      kind.needsNode ? "the node's own Node.js, which the image would have, is too old" : undefined,
    async run(bed) {
      const took = await bed.sh(
        `# The image: programs of the node, and the package unpacked over them as the Dockerfile has it.
        image=/var/lib/roots/agent
        mkdir -p $image/package $image/root/{usr,etc/vprocfs-config,host,proc,sys,dev,tmp}
        dpkg-deb -x /root/packages/old/vprocfs_*.deb $image/package
        for name in bin sbin lib lib64; do ln -s usr/$name $image/root/$name; done
        mount -t overlay -o lowerdir=$image/package/usr:/usr overlay $image/root/usr
        program=/usr/share/vprocfs/kubernetes/agent
        pod() { # NAME ACTION
          ctr run -d --privileged --with-ns pid:/proc/1/ns/pid --env PATH=/usr/sbin:/usr/bin \\
            --mount type=bind,src=/,dst=/host,options=rbind:rw --rootfs $image/root "$1" $program "$2" \\
            >/tmp/start.log 2>&1 </dev/null || fail "containerd does not start the agent: $(cat /tmp/start.log)"
        }
        mkdir -p /etc/systemd/system/vprocfs.service.d
        printf '[Service]\\nTimeoutStartSec=900\\n' >/etc/systemd/system/vprocfs.service.d/emulated.conf

        pod agent run
        served
        own 30 $(everyone)
        [ -x /opt/vprocfs/bin/node ] || fail "no program of its own on the node"
        within 60 ctr task exec --exec-id check agent $program check || fail "the agent's check fails"

        stop containerd agent
        [ "$(systemctl is-active vprocfs)" = active ] || fail "the service has ended with the pod"
        start containerd after-agent
        own 20 containerd:after-agent

        pod away uninstall
        gone() { [ ! -e /opt/vprocfs ] && [ ! -e /etc/systemd/system/vprocfs.service ]; }
        within 120 gone || fail "still there: $(ls -d /opt/vprocfs /etc/systemd/system/vprocfs.service 2>&1)"
        stop containerd away
        [ "$(mounts_left)" = 0 ] || fail "$(mounts_left) processes still see our mounts"
        ! ls /etc/containers/oci/hooks.d /usr/share/containers/oci/hooks.d 2>/dev/null | grep vprocfs || fail "a hook is left"
        umount $image/root/usr`,
      );
      bed.note(took);
    },
  },
];

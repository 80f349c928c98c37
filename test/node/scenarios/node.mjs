// The node: what it starts at boot, what it enforces, what else is installed on it.

/** @type {import("./index.mjs").Scenario[]} */
export const node = [
  {
    name: "reboot",
    title: "a reboot with containers that start at boot: each sees its own",
    async run(bed) {
      await bed.sh(
        `MORE="--restart=always" start docker boot-docker
        MORE="--restart=always" start podman boot-podman
        systemctl enable -q podman-restart.service
        mkdir -p /etc/containers/systemd
        printf '[Container]\\nImage=localhost/bb:latest\\nPodmanArgs=-m 128m --cpus 1\\nNetwork=none\\nExec=sleep 1000000\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/containers/systemd/quadlet.container
        if [ -e /root/bed/runtimes ] && grep -qx incus /root/bed/runtimes; then incus config set incus0 boot.autostart=true; fi
        printf '\\nlxc.start.auto = 1\\n' >>/var/lib/lxc/lxc0/config
        systemctl enable -q lxc.service`,
      );
      await bed.machine.reboot();
      bed.note(
        await bed.sh(
          `systemctl is-system-running --wait >/dev/null || true
          served
          set -- docker:boot-docker podman:boot-podman lxc:lxc0
          # Since podman 4.4.
          ! [ -e /usr/lib/systemd/system-generators/podman-system-generator ] || set -- "$@" podman:systemd-quadlet
          ! grep -qx incus /root/bed/runtimes || set -- "$@" incus:incus0
          own 30 "$@"
          for unit in docker containerd incus incus-startup podman-restart lxc quadlet; do
              systemctl is-active -q $unit || continue
              at=$(systemctl show -p ExecMainStartTimestampMonotonic --value $unit)
              ours=$(systemctl show -p ActiveEnterTimestampMonotonic --value vprocfs)
              [ "\${at:-0}" -ge "$ours" ] || [ "\${at:-0}" = 0 ] || fail "$unit was started before vprocfs served"
          done >&2
          say "vprocfs served after $(($(systemctl show -p ActiveEnterTimestampMonotonic --value vprocfs) / 1000000)) s of the boot"`,
        ),
      );
    },
  },
  {
    name: "apparmor",
    title: "with AppArmor enforcing, nothing of vprocfs is denied",
    async run(bed) {
      await bed.sh(
        `aa-status --enabled || fail "AppArmor is off"
        pid_of docker:docker0
        grep -q docker-default /proc/$PID/attr/current || fail "Docker's container is not confined"
        start docker confined
        ! grep -qx lxc /root/bed/runtimes || start lxc confined
        own 20 docker:confined $(sed -n 's/^lxc$/lxc:confined/p' /root/bed/runtimes)
        # The hook runs with lxc-start's profile. Without the watcher nobody is quicker.
        printf 'watch = "off"\\n' >>/etc/vprocfs/vprocfs.toml
        systemctl reload vprocfs
        ! grep -qx lxc /root/bed/runtimes || { start lxc hooked; own 5 lxc:hooked; }
        ! dmesg | grep -i 'apparmor="DENIED"' | grep -i -m 1 vprocfs || fail "denied, see dmesg"`,
      );
    },
  },
  {
    name: "beside-lxcfs",
    title:
      "beside a running LXCFS: every container has files of one of the two, and ours when LXCFS stops",
    // It comes with Incus.
    impossible: (kind) => (kind.suite === "trixie" ? undefined : "no LXCFS on this node"),
    async run(bed) {
      await bed.sh(
        `rm -r /etc/systemd/system/lxcfs.service.d
        systemctl daemon-reload
        systemctl restart lxcfs
        within 60 mountpoint -q /var/lib/lxcfs || fail "LXCFS does not start"
        start lxc beside
        start docker beside
        own 20 docker:beside
        # As docs/guide/attach.md says for replace-lxcfs = "off", without which nothing is configured.
        files() { awk -v of="$2" '$5 ~ "^/(proc|sys)/" && / - fuse.lxcfs / && $(NF - 1) == of { print $5 }' "/proc/$1/mountinfo"; }
        pid_of lxc:beside
        [ -n "$(files $PID lxcfs)" ] || fail "LXCFS's hook has mounted nothing"
        [ -z "$(files $PID vprocfs)" ] || fail "files of both: $(files $PID vprocfs | head -n 3 | tr '\n' ' ')"
        vprocfs attach $PID >/dev/null || fail "vprocfs attach fails"
        own 20 lxc:beside
        [ -z "$(files $PID lxcfs)" ] || fail "LXCFS's after attach: $(files $PID lxcfs | head -n 3 | tr '\n' ' ')"
        [ -z "$(files $PID vprocfs | sort | uniq -d)" ] || fail "mounted twice: $(files $PID vprocfs | sort | uniq -d | head -n 3 | tr '\n' ' ')"
        start lxc last
        systemctl stop lxcfs
        own 20 lxc:last`,
      );
    },
  },
  {
    name: "in-place-of-lxcfs",
    title:
      "`vprocfs-lxcfs-compat` installed and removed: Incus stays, its containers see their own",
    impossible: (kind) => (kind.suite === "trixie" ? undefined : "no Incus on this node"),
    async run(bed) {
      const text = await bed.sh(
        `rm -r /etc/systemd/system/lxcfs.service.d
        pid_of docker:docker0
        # Reads until gap_end, which says how many saw another's figures.
        gap_begin() { rm -f /tmp/gap.in; mkfifo /tmp/gap.in; /root/bed/gap.py $PID $KIB </tmp/gap.in >/tmp/gap.out 2>&1 & exec 9>/tmp/gap.in; }
        gap_end() { exec 9>&-; wait $!; GAP=$(tail -n 1 /tmp/gap.out); }
        gap_begin
        apt-get install -y /root/packages/old/vprocfs-as-lxcfs_*.deb /root/packages/old/vprocfs-lxcfs-compat_*.deb >/tmp/apt.log 2>&1 </dev/null ||
            fail "apt install: $(grep -E '^(E:|dpkg: error)' /tmp/apt.log | head -n 2 | tr '\n' ' ')"
        here() { [ "$(dpkg-query -W -f '\${db:Status-Status}' incus-base)" = installed ]; }
        here || fail "apt install has removed Incus"
        within 100 mountpoint -q /var/lib/lxcfs || fail "nothing is mounted on /var/lib/lxcfs"
        [ "$(systemctl is-active vprocfs)" = inactive ] || fail "vprocfs.service is $(systemctl is-active vprocfs)"
        own 30 $(everyone)
        gap_end; there=$GAP
        gap_begin
        systemctl start incus
        incus_pid() { systemctl show --property=MainPID --value incus; }
        running=$(incus_pid)
        apt-get install -y --reinstall /root/packages/old/vprocfs-lxcfs-compat_*.deb /root/packages/new/vprocfs_*.deb >/tmp/apt.log 2>&1 </dev/null ||
            fail "apt upgrade: $(grep -E '^(E:|dpkg: error)' /tmp/apt.log | head -n 2 | tr '\n' ' ')"
        [ "$running" = "$(incus_pid)" ] || fail "the upgrade has restarted Incus"
        apt-get remove -y vprocfs-lxcfs-compat >/tmp/apt.log 2>&1 </dev/null || fail "apt remove: $(tail -n 1 /tmp/apt.log)"
        here || fail "apt remove has taken Incus along"
        [ "$running" = "$(incus_pid)" ] || fail "apt remove has stopped or restarted Incus"
        systemctl restart incus || fail "Incus does not start without vprocfs-lxcfs-compat"
        served
        own 30 $(everyone)
        gap_end
        say "$there $GAP"`,
      );
      const [reads, wrong, failed, , readsBack, wrongBack, failedBack] = text
        .split("\n")
        .pop()
        .split(" ")
        .map(Number);
      const told = (all, node, none) =>
        `${all} reads, ${node} saw the node's figures, ${none} failed`;
      const said = `giving way: ${told(reads, wrong, failed)}; back: ${told(readsBack, wrongBack, failedBack)}`;
      if (wrong + failed + wrongBack + failedBack > 0) {
        throw new Error(said);
      }
      bed.note(said);
    },
  },
];

// What the service is under systemd: its limits, what it tells the journal, and the node's sleep.

/** @type {import("./index.mjs").Scenario[]} */
export const service = [
  {
    name: "memory-limit",
    title: "`MemoryMax=` on the service ends a worker, which is replaced, and never the service",
    async run(bed) {
      await bed.sh(
        `before=$(status generation) keeper=$(keeper) worker=$(worker)
        gone() { [ ! -e "/proc/$worker" ]; }
        # Less than a worker has, and more than the keeper: the standby goes first, and is not enough.
        systemctl set-property --runtime vprocfs.service MemoryMax=12M MemorySwapMax=0
        within 60 gone || fail "it is not killed: $(cat /sys/fs/cgroup/vprocfs.service/memory.current) bytes in use"
        systemctl set-property --runtime vprocfs.service MemoryMax=infinity
        within 100 later_than "$before" || fail "no other worker"
        served
        [ "$(keeper)" = "$keeper" ] || fail "the keeper is another one"
        [ "$(systemctl show -p NRestarts --value vprocfs)" = 0 ] || fail "systemd has started the service again"
        own 30 $(everyone)`,
      );
    },
  },
  {
    name: "restart-without-device",
    title:
      "`systemctl restart` goes on with the mount where `/dev/fuse` is missing: no reader hangs",
    async run(bed) {
      await bed.sh(
        `before=$(status generation)
        mv /dev/fuse /dev/fuse.away
        systemctl restart vprocfs || fail "restart fails"
        active=$(systemctl is-active vprocfs || true)
        mv /dev/fuse.away /dev/fuse
        # Otherwise nobody could read, or end, what reads.
        [ "$active" = active ] || { systemctl start vprocfs; fail "after the restart the service is $active"; }
        within 100 later_than "$before" || fail "no other worker"
        served
        own 30 $(everyone)`,
      );
    },
  },
  {
    name: "journal",
    title: "`journalctl -p warning -u vprocfs` shows warnings and nothing else, as readable lines",
    async run(bed) {
      await bed.sh(
        `before=$(status generation) since=$(date '+%Y-%m-%d %H:%M:%S')
        kill -9 "$(worker)"
        within 100 later_than "$before" || fail "no other worker"
        journalctl --sync
        told() { journalctl -q -u vprocfs --since "$since" -o cat "$@"; }
        told -p warning | grep -q 'signal 9' || fail "no warning of the worker that ended: $(told | head -n 3)"
        told -p info..info | grep -q . || fail "nothing of priority 6"
        ! told | grep -m 1 '^[{<]' || fail "lines with a priority or in JSON: $(told | grep -m 1 '^[{<]')"
        ! told -p warning | grep -m 1 'serves' || fail "a warning that is none"`,
      );
    },
  },
  {
    name: "sleep",
    title:
      "systemd's suspend runs the hook of vprocfs: containers that wait for pressure are frozen meanwhile and continue afterwards",
    // The machine need not sleep itself: the kernel freezes everybody, which is what could fail.
    async run(bed) {
      await bed.sh(
        `hook=/usr/lib/systemd/system-sleep/vprocfs
        [ -x $hook ] || fail "no $hook"
        grep -q freezer /sys/power/pm_test || fail "this kernel cannot try to sleep"
        cat >/root/told <<'PROGRAM'
#!/bin/sh
/usr/bin/vprocfs "$@"
status=$?
echo "$* $status $(grep -lx 'frozen 1' $(cat /root/events) | wc -l)" >>/tmp/told
PROGRAM
        # Of all containers but those of users, whose slice systemd itself freezes.
        find /sys/fs/cgroup -name user.slice -prune -o -name cgroup.events -print >/root/events
        chmod +x /root/told
        mkdir -p /etc/systemd/system/systemd-suspend.service.d
        # A start of Node takes seconds on an emulated CPU.
        printf '[Service]\nEnvironment=VPROCFS=/root/told SLEEP_HOOK_SECONDS=600\n' >/etc/systemd/system/systemd-suspend.service.d/told.conf
        systemctl daemon-reload
        echo freezer >/sys/power/pm_test
        # Without the hook such a reader keeps the kernel from freezing it.
        docker exec -d docker0 sh -c 'while :; do cat /proc/pressure/memory /proc/meminfo >/dev/null; done'
        systemctl start systemd-suspend.service || fail "suspend: $(journalctl -b -u systemd-suspend -o cat | tail -n 2 | tr '\n' ' ')"
        [ "$(cat /sys/power/suspend_stats/fail)" = 0 ] || fail "the kernel has not suspended"
        read -r _ when status frozen </tmp/told
        [ "$when $status" = "pre 0" ] || fail "before: $(head -n 1 /tmp/told)"
        [ "$frozen" -gt 0 ] || fail "no container was frozen"
        within 60 grep -q '^sleep post 0' /tmp/told || fail "after: $(tail -n 1 /tmp/told)"
        ! grep -lx 'frozen 1' $(cat /root/events) || fail "containers are left frozen"
        own 30 $(everyone)`,
      );
    },
  },
];

// The service's own life: installed, restarted, killed, upgraded, removed, while containers run.

/** What eight readers in a container found while something was done to the service. */
async function underReaders(bed, done, { lossless = true } = {}) {
  const text = await bed.sh(
    `
    readers_start 8 docker:docker0
    before=$(status generation)
    ${done}
    served
    readers_end`,
  );
  const found = JSON.parse(text.split("\n").pop());
  const failures = Object.entries({ ...found.failures, ...(lossless ? found.inFlight : {}) });
  if (failures.length > 0 || found.hung > 0) {
    const list = failures.map(([what, count]) => `${count} × ${what}`).join(", ");
    throw new Error(`${list}${found.hung > 0 ? ` ${found.hung} readers hang` : ""}`);
  }
  const inFlight = Object.values(found.inFlight).reduce((sum, count) => sum + count, 0);
  bed.note(
    `${found.reads} reads, ${inFlight === 0 ? "none failed" : `${inFlight} in flight failed`}, ` +
      `longest wait ${(Math.max(found.stallMaxUs, found.longestUs) / 1e6).toFixed(1)} s`,
  );
  await bed.sh("own 30 $(everyone)");
}

/** Only a kernel that hands requests again saves those in flight. */
const kill = (which) => (bed) =>
  underReaders(
    bed,
    `pids=$(${which})
    readers_told before
    kill -9 $pids
    within 100 later_than "$before" || fail "no other worker"
    readers_told after`,
    { lossless: bed.kind.resends },
  );

/** @type {import("./index.mjs").Scenario[]} */
export const lifecycle = [
  {
    name: "install",
    title: "`apt install` with containers of every runtime running: each sees its own",
    from: "populated",
    short: true,
    async run(bed) {
      bed.note(
        await bed.sh(
          `install_package old
          served
          own 30 $(everyone)
          [ "$(systemctl is-active vprocfs)" = active ] || fail "the service is not active"
          weight=$(cat /sys/fs/cgroup/vprocfs.service/cpu.weight)
          [ "$weight" = 10000 ] || fail "its share of the CPUs is $weight"`,
        ),
      );
    },
  },
  {
    name: "new-containers",
    title: "containers that start later see their own",
    async run(bed) {
      await bed.sh(
        `for runtime in $(cat /root/bed/runtimes); do start $runtime new-$runtime; done
        own 20 $(sed 's/\\(.*\\)/\\1:new-\\1/' /root/bed/runtimes)`,
      );
    },
  },
  {
    name: "reload",
    title: "`systemctl reload` under readers",
    run: (bed) => underReaders(bed, "systemctl reload vprocfs"),
  },
  {
    name: "restart",
    title: "`systemctl restart` under readers",
    short: true,
    run: (bed) => underReaders(bed, "systemctl restart vprocfs"),
  },
  {
    name: "kill-worker",
    title: "kill -9 of the worker under readers",
    run: kill("worker"),
  },
  {
    name: "kill-keeper",
    title: "kill -9 of the keeper under readers",
    short: true,
    run: kill("keeper"),
  },
  {
    name: "kill-both",
    title: "kill -9 of keeper and worker at once, under readers",
    run: kill("keeper; worker"),
  },
  {
    name: "upgrade",
    title: "`apt install` of a later version under readers",
    run: (bed) =>
      underReaders(
        bed,
        `install_package new
        within 100 later_than "$before" || fail "the worker is the old one"`,
      ),
  },
  {
    name: "stop",
    title: "`systemctl stop` takes everything out of the containers, `start` gives it back",
    async run(bed) {
      await bed.sh(
        `systemctl stop vprocfs
        within 60 test "$(mounts_left)" = 0 || fail "$(mounts_left) processes still see our mounts"
        systemctl start vprocfs
        own 30 $(everyone)`,
      );
    },
  },
  {
    name: "remove",
    title:
      "`apt remove` and `purge` leave nothing behind; after a new installation every container is served",
    async run(bed) {
      await bed.sh(
        `apt-get remove -y vprocfs >/tmp/apt.log 2>&1 || fail "apt remove: $(tail -n 1 /tmp/apt.log)"
        [ "$(mounts_left)" = 0 ] || fail "$(mounts_left) processes still see our mounts after remove"
        install_package old
        own 30 $(everyone)
        node=$(dpkg-query -W -f '\${Package}' vprocfs-node 2>/dev/null || true)
        apt-get purge -y vprocfs $node >/tmp/apt.log 2>&1 || fail "apt purge: $(tail -n 1 /tmp/apt.log)"
        [ "$(mounts_left)" = 0 ] || fail "$(mounts_left) processes still see our mounts after purge"
        left=$(find /etc /run /usr /var/lib -xdev -name '*vprocfs*' -not -path '/etc/systemd/system/vprocfs.service.d' -not -path '/var/lib/systemd/*' -not -path /usr/libexec/vprocfs-hook | head -n 3 | tr '\\n' ' ')
        [ -z "$left" ] || fail "left after purge: $left"
        ! pgrep -x vprocfs-keeper || fail "a keeper is left"
        install_package old
        own 30 $(everyone)`,
      );
    },
  },
];

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

/** Only a kernel that resends requests saves those in flight. */
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
    name: "restart-anytime",
    title:
      "`systemctl restart` during a reload, while workers do not start, and while the configuration is wrong: containers keep their files; `systemctl stop` takes them out in each case",
    async run(bed) {
      await bed.sh(
        `mkdir -p /etc/systemd/system/vprocfs.service.d
        # A worker that fails where there is a mark, and time for what is done between two starts.
        printf '[Service]\\nEnvironment=NODE_OPTIONS=--require=/root/failing.cjs\\nRestartSec=20\\n' >/etc/systemd/system/vprocfs.service.d/failing.conf
        echo 'if (process.argv[2] === "worker" && require("fs").existsSync("/root/fails")) process.exit(1);' >/root/failing.cjs
        systemctl daemon-reload
        systemctl restart vprocfs
        served
        own 30 docker:docker0
        config=/etc/vprocfs/vprocfs.toml
        pid_of docker:docker0
        bind() { awk '$5 == "/proc/meminfo" { print $1 }' "/proc/$PID/mountinfo"; }
        of() { systemctl show -p "$1" --value vprocfs; }
        is() { [ "$(of "$1")" = "$2" ]; }
        reloads() {
            systemctl reload --no-block vprocfs
            within 30 is SubState reload || fail "it does not reload: $(of SubState)"
        }
        crashes() {
            keeper=$(of MainPID)
            kill -9 "$keeper"
            another() { ! is MainPID 0 && ! is MainPID "$keeper"; }
            within 30 another || fail "it is not started again"
        }
        fails() {
            touch /root/fails
            crashes
            within 30 grep -sqx vprocfs-keeper "/proc/$(of MainPID)/comm" || fail "no keeper"
            is SubState start || fail "workers fail, and it is in $(of SubState)"
        }
        holding() { grep -sq -- --hold-ms "/proc/$(of MainPID)/cmdline"; }
        holds() {
            cp $config /root/config
            echo no-such-key = 1 >>$config
            crashes
            within 60 holding || fail "readers wait: $(of SubState)"
        }
        waits() {
            holds
            within 60 is SubState auto-restart || fail "it is in $(of SubState)"
        }
        repaired() { rm -f /root/fails; [ ! -e /root/config ] || mv /root/config $config; }
        kept() { # WHEN
            served
            [ "$(bind)" = "$before" ] || fail "$1: other files are in the container"
            own 30 docker:docker0
        }
        gone() { # WHEN
            [ "$(mounts_left)" = 0 ] || fail "$1: $(mounts_left) processes still see our mounts"
            is NFileDescriptorStore 0 || fail "$1: descriptors are left"
            # Or failed: a stop kills the command of a reload.
            ! systemctl is-active -q vprocfs || fail "$1: it is $(of ActiveState)"
            [ -z "$(ls /run/vprocfs/*.attach 2>/dev/null)" ] || fail "$1: settings are left"
        }
        before=$(bind)
        [ -n "$before" ] || fail "there is nothing in the container"

        reloads
        systemctl restart vprocfs || fail "restart during a reload: $(of Result)"
        kept "restart during a reload"
        fails
        # As long as readers get errors it is up, too.
        systemctl restart vprocfs || fail "restart while workers fail: $(of Result)"
        [ "$(status state)" = refusing ] || fail "workers fail, and the state is $(status state)"
        repaired
        kept "restart while workers fail"
        holds
        repaired
        systemctl restart vprocfs || fail "restart while the configuration was wrong: $(of Result)"
        kept "restart while the configuration was wrong"
        waits
        repaired
        systemctl restart vprocfs || fail "restart between two starts: $(of Result)"
        kept "restart between two starts"

        for state in reloads fails holds; do
            $state
            systemctl stop vprocfs || fail "stop while it $state: $(of Result)"
            gone "stop while it $state"
            repaired
            systemctl start vprocfs
            own 30 docker:docker0
        done`,
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

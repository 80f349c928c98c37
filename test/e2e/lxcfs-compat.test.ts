// Where LXCFS was: its command line, its layout, its own hook's way to bind.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { filesOf, PLACES, report, statesOf } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { background, output, run } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, temporaryDirectory, VIEWS } from "../support/daemon.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OWN_POLICY } from "../support/policy.js";
import { memTotalKb } from "../support/procfile.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** Of Debian's package lxcfs. */
const HOOK = "/usr/share/lxcfs/lxc.mount.hook";

const wrapper = join(project, "packaging/lxcfs/lxcfs");

/** What the package installs as vprocfs. */
function environment(scope: Scope): NodeJS.ProcessEnv {
  const program = join(temporaryDirectory(scope, "bin"), "vprocfs");
  writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${cli} "$@"\n`, { mode: 0o755 });
  return {
    PATH: process.env.PATH ?? "",
    VPROCFS: program,
    VPROCFS_WATCH: "off",
    VPROCFS_METRICS: "off",
  };
}

/** A unit is enabled or active when a file in /run says so; what else is there says what becomes of a start. */
const SYSTEMCTL = `#!/bin/sh
for unit in "$@"; do :; done
case $1 in
--*) shift ;;
esac
case $1 in
enable) [ ! -e /run/masked ] && touch "/run/$unit.enabled" ;;
disable) rm -f "/run/$unit.enabled" ;;
is-enabled) test -e "/run/$unit.enabled" ;;
is-active) test -e "/run/$unit.active" ;;
restart)
  [ ! -e /run/fails ] || exit 1
  [ -e /run/starts ] || exit 0
  touch "/run/$unit.active"
  # As vprocfs-unit does for it.
  rm -f /run/vprocfs.service.active
  ;;
esac
`;

/** The package's postinst on a node with a vprocfs.service that serves; `before` makes the rest of the node. */
async function configured(scope: Scope, before: string): Promise<string[]> {
  const directory = temporaryDirectory(scope, "node");
  writeFileSync(join(directory, "systemctl"), SYSTEMCTL, { mode: 0o755 });
  const vprocfs = `#!/bin/sh
case $1 in
install-hooks) echo "$*" >/run/hooks ;;
run) [ ! -e /run/wrong ] ;;
esac
`;
  writeFileSync(join(directory, "vprocfs"), vprocfs, { mode: 0o755 });
  const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
${OWN_POLICY}
[ ! -d /var/lib/systemd ] || mount -t tmpfs tmpfs /var/lib/systemd
touch /run/vprocfs.service.enabled /run/vprocfs.service.active
${before}
${join(project, "packaging/debian/vprocfs-lxcfs-compat/postinst")} configure "" 2>/dev/null
cat /run/hooks
cd /run
echo *.enabled *.active`;
  const env = { PATH: `${directory}:${process.env.PATH}` };
  const text = await output(["unshare", "--mount", "sh", "-c", script], { env });
  return text.trimEnd().split("\n");
}

/** What Docker's wrapper tells the helper; `before` makes the node. */
async function toldByWrapper(scope: Scope, before: string, env = {}): Promise<string> {
  const directory = temporaryDirectory(scope, "wrapper");
  const helper = join(directory, "helper");
  writeFileSync(helper, '#!/bin/sh\necho "$@" >/run/told\n', { mode: 0o755 });
  const script = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/vprocfs /run/upper /run/work
mount -t overlay overlay -o lowerdir=/usr/lib,upperdir=/run/upper,workdir=/run/work /usr/lib
rm -f /usr/lib/vprocfs/in-place-of-lxcfs
serves() { printf 'polled %s-polled\\nmountpoint %s\\nend\\n' "$1" "$1" >"/run/vprocfs/$2.attach"; }
${before}
${join(project, "packaging/oci/vprocfs-runtime")} create --pid-file /run/pid name
cat /run/told`;
  const program = { VPROCFS_RUNTIME: "true", VPROCFS_ATTACH: helper };
  const options = { env: { PATH: process.env.PATH, ...program, ...env } };
  return (await output(["unshare", "--mount", "sh", "-c", script], options)).trimEnd();
}

describeLive("in the place of lxcfs", [], () => {
  it("serves with its command line, and reloads on SIGUSR1", { timeout: 60_000 }, async () => {
    const own = testScope();
    const env = environment(own);
    const directory = temporaryDirectory(own, "lxcfs");
    const pidFile = join(temporaryDirectory(own, "run"), "lxcfs.pid");
    const argv = ["-f", "-l", "--enable-cfs", "--enable-pidfd", "-u", "-o", "allow_other,foo"];
    const child = spawn(wrapper, [...argv, "-p", pidFile, directory], { env });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    own.defer(async () => {
      child.kill("SIGTERM");
      await ended;
    });
    await until("it serves", () => existsSync(join(directory, "proc/meminfo")));
    expect(Number(readFileSync(pidFile, "utf8"))).toBe(child.pid);
    expect(log).toContain("-u is not supported");
    expect(log).toContain("option -o foo is not supported");
    // What LXCFS's hook and -v options bind.
    for (const name of ["cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime"]) {
      expect(existsSync(join(directory, "proc", name)), name).toBe(true);
    }
    expect(existsSync(join(directory, "cgroup"))).toBe(true);
    expect(await output(["stat", "-f", "-c", "%b", directory])).toBe("0\n");
    const binds = [[join(directory, "proc/meminfo"), "/proc/meminfo"]] as const;
    const container = await Container.start(own, { memory: 64 * MIB, binds });
    expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(64 * 1024);
    child.kill("SIGUSR1");
    await until(
      "another worker serves",
      () => log.includes("generation 2") || log.includes("generation 3"),
    );
    expect(memTotalKb(await container.read("/proc/meminfo"))).toBe(64 * 1024);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  describeLive("before an LXCFS that is stopped", ["lxcfs"], () => {
    it.each([
      ["mounts our files in the place of its own", {}, true],
      ["leaves them when it is told to", { VPROCFS_REPLACE_LXCFS: "off" }, false],
    ])("%s", { timeout: 60_000 }, async (_, settings, replaces) => {
      const own = testScope();
      const daemon = await Daemon.start(own);
      const directory = temporaryDirectory(own, "lxcfs");
      const pidFile = join(temporaryDirectory(own, "run"), "lxcfs.pid");
      const lxcfs = background(own, ["lxcfs", "-f", "-p", pidFile, directory]);
      await until("LXCFS serves", () => existsSync(join(directory, "proc/meminfo")));
      const binds = [[join(directory, "proc/meminfo"), "/proc/meminfo"]] as const;
      const container = await Container.start(own, { memory: 64 * MIB, binds });
      // The only container, for this test.
      const attach = `exec ${process.execPath} ${cli} attach --mountpoint ${daemon.mountpoint} ${container.init}`;
      const program = join(temporaryDirectory(own, "bin"), "vprocfs");
      writeFileSync(program, `#!/bin/sh\n[ "$1 $2" != "attach --all" ] || ${attach}\n`, {
        mode: 0o755,
      });
      const env = {
        PATH: process.env.PATH,
        VPROCFS: program,
        MAINPID: `${lxcfs.pid}`,
        ...settings,
      };
      await output([join(project, "packaging/lxcfs/relieve-lxcfs")], { env });
      lxcfs.kill("SIGTERM");
      await once(lxcfs, "exit");
      const meminfo = container.read("/proc/meminfo");
      await (replaces
        ? expect(meminfo.then(memTotalKb)).resolves.toBe(64 * 1024)
        : expect(meminfo).rejects.toThrow("not connected"));
    });
  });

  describeLive("after an LXCFS that has stopped", ["lxcfs"], () => {
    it.each([
      ["gives containers files that answer", {}, true],
      ["leaves them as they are when it is told to", { VPROCFS_REPLACE_LXCFS: "off" }, false],
    ])("%s", { timeout: 60_000 }, async (_, settings, replaces) => {
      const own = testScope();
      const directory = temporaryDirectory(own, "lxcfs");
      const pidFile = join(temporaryDirectory(own, "run"), "lxcfs.pid");
      const lxcfs = background(own, ["lxcfs", "-f", "-p", pidFile, directory]);
      await until("LXCFS serves", () => existsSync(join(directory, "proc/meminfo")));
      const binds = [[join(directory, "proc/meminfo"), "/proc/meminfo"]] as const;
      const container = await Container.start(own, { memory: 64 * MIB, binds });
      lxcfs.kill("SIGTERM");
      await once(lxcfs, "exit");
      await expect(container.read("/proc/meminfo")).rejects.toThrow("not connected");
      const only = { VPROCFS_ATTACH_ONLY: `vprocfs-test-${process.pid}-*`, VPROCFS_WATCH: "on" };
      const env = { ...environment(own), ...only, ...settings };
      const child = spawn(wrapper, ["-p", pidFile, directory], { env });
      const ended = once(child, "exit");
      own.defer(async () => {
        child.kill("SIGTERM");
        await ended;
      });
      // A second one, which LXCFS has never seen, tells when the watcher has been here.
      const other = await Container.start(own, { memory: 64 * MIB });
      const has = (init: number): boolean => PLACES.every((path) => filesOf(init).includes(path));
      await until("the other has files", () => has(other.init));
      await until("it is as it is to be", () =>
        replaces ? has(container.init) : filesOf(container.init).length === 0,
      );
      const meminfo = container.read("/proc/meminfo");
      await (replaces
        ? expect(meminfo.then(memTotalKb)).resolves.toBe(64 * 1024)
        : expect(meminfo).rejects.toThrow("not connected"));
    });
  });

  describeLive("LXCFS's own hook", ["lxc-create", "lxc-start", "busybox"], () => {
    it.runIf(existsSync(HOOK))("binds its files in an LXC container", async () => {
      const own = testScope();
      const daemon = await Daemon.start(own);
      const container = await LxcContainer.start(own, {
        memory: 96 * MIB,
        swap: 0,
        quota: 1,
        lines: [`lxc.hook.mount = ${HOOK}`],
        seen: [[daemon.mountpoint, "/var/lib/lxcfs"]],
      });
      expect(memTotalKb(await container.output(["cat", "/proc/meminfo"]))).toBe(96 * 1024);
      expect(await container.output(["cat", "/sys/devices/system/cpu/online"])).toBe("0\n");
      const files = VIEWS.filter((view) => /^proc\/[a-z]+$/.test(view)).map((view) => `/${view}`);
      expect(filesOf(container.init)).toEqual(expect.arrayContaining(files));
      // What it has bound is taken for what it is, and given up like everything else.
      const again = await report(daemon, container.init);
      expect(statesOf(again)).toEqual(["attached", "present"]);
      // A directory of proc it binds as a whole.
      const places = new Set(PLACES.map((path) => path.replace(/^(\/proc\/\w+)\/.*/, "$1")));
      expect(filesOf(container.init)).toEqual([...places].sort());
      await report(daemon, container.init, ["--detach"]);
      expect(filesOf(container.init)).toEqual([]);
    });
  });

  describeLive("the package", ["unshare"], () => {
    const both = "lxcfs.service.enabled vprocfs.service.enabled vprocfs.service.active";
    const there = "install-hooks --mountpoint /var/lib/lxcfs";

    it.each([
      ["serves", "touch /run/starts", there, "lxcfs.service.enabled lxcfs.service.active"],
      ["is skipped", "", "install-hooks", both],
      ["fails", "touch /run/fails", "install-hooks", both],
      ["could not serve", "touch /run/starts /run/wrong", "install-hooks", both],
      [
        "is masked",
        "touch /run/masked /run/starts",
        "install-hooks",
        "vprocfs.service.enabled vprocfs.service.active",
      ],
      [
        "is to start at the first boot",
        "rmdir /run/systemd/system",
        there,
        "lxcfs.service.enabled vprocfs.service.active",
      ],
    ])(
      "has vprocfs.service give way only where lxcfs.service %s",
      async (_, node, hooks, units) => {
        expect(await configured(testScope(), node)).toEqual([hooks, units]);
      },
    );

    const marked = "mkdir -p /usr/lib/vprocfs && touch /usr/lib/vprocfs/in-place-of-lxcfs";
    const other = "serves /srv/a:b srv%2Fa%3Ab";

    it.each([
      ["nothing serves", "", "/var/lib/vprocfs", "var%2Flib%2Fvprocfs"],
      ["only the package is there", marked, "/var/lib/lxcfs", "var%2Flib%2Flxcfs"],
      ["one serves", other, "/srv/a:b", "srv%2Fa%3Ab"],
      [
        "one serves at an unusual place",
        "serves '/srv/a, b' of-some-name",
        "/srv/a, b",
        "of-some-name",
      ],
      // What the package has put there does not start.
      ["another one serves", `${marked}; ${other}`, "/srv/a:b", "srv%2Fa%3Ab"],
      [
        "two serve",
        `${marked}; ${other}; serves /var/lib/lxcfs var%2Flib%2Flxcfs`,
        "/var/lib/lxcfs",
        "var%2Flib%2Flxcfs",
      ],
    ])("Docker's wrapper finds vprocfs where %s", async (_, node, mountpoint, name) => {
      const settings = `/run/vprocfs/${name}.attach`;
      expect(await toldByWrapper(testScope(), node)).toBe(
        `--mountpoint ${mountpoint} --settings ${settings} --hook oci`,
      );
    });

    it("Docker's wrapper does not wait for a log that hangs", async () => {
      const directory = temporaryDirectory(testScope(), "wrapper");
      const [helper, told] = [join(directory, "helper"), join(directory, "told")];
      writeFileSync(helper, "#!/bin/sh\necho a problem >&2\n", { mode: 0o755 });
      const logger = `#!/bin/sh\necho "$@" >${told}\nexec sleep 1000\n`;
      writeFileSync(join(directory, "logger"), logger, { mode: 0o755 });
      const PATH = `${directory}:${process.env.PATH}`;
      const env = { PATH, VPROCFS_RUNTIME: "true", VPROCFS_ATTACH: helper };
      const pidFile = join(directory, "pid");
      const wrapped = join(project, "packaging/oci/vprocfs-runtime");
      const outcome = await run([wrapped, "create", "--pid-file", pidFile, "name"], { env });
      expect(outcome).toMatchObject({ status: 0, signal: null, stderr: "" });
      expect(readFileSync(told, "utf8")).toBe("-t vprocfs-runtime -- a problem\n");
    });

    it("Docker's wrapper goes by the mount point that it is given", async () => {
      const env = { VPROCFS_MOUNTPOINT: "/mnt/x" };
      expect(await toldByWrapper(testScope(), other, env)).toContain("--mountpoint /mnt/x ");
      const slash = { VPROCFS_MOUNTPOINT: "/mnt/x/" };
      expect(await toldByWrapper(testScope(), "serves /mnt/x of-some-name", slash)).toBe(
        "--mountpoint /mnt/x --settings /run/vprocfs/of-some-name.attach --hook oci",
      );
    });
  });

  it("starts also where its PID file cannot be written, and says so", async () => {
    const program = join(temporaryDirectory(testScope(), "bin"), "vprocfs");
    writeFileSync(program, '#!/bin/sh\necho "$*"\n', { mode: 0o755 });
    const env = { PATH: process.env.PATH, VPROCFS: program, VPROCFS_REPLACE_LXCFS: "off" };
    const pidFile = "/nonexistent/lxcfs.pid";
    const outcome = await run([wrapper, "-p", pidFile, "/srv/x"], { env });
    expect([outcome.status, `${outcome.stdout}`]).toEqual([0, "run /srv/x\n"]);
    // Below what the shell says is the reason.
    const said = `lxcfs (vprocfs): ${pidFile} cannot be written: going on without it\n`;
    expect(outcome.stderr).toContain(said);
  });

  it.each([
    [["-s", "-f", "--enable-psi-poll", "/x"], "run /x", ""],
    [["-fld", "/x"], "run /x --log-level debug", ""],
    [["-fp", "/dev/null", "/x"], "run /x", ""],
    [["-lp/dev/null", "-oallow_other,foo", "/x"], "run /x", "option -o foo is not supported"],
    [["--pidfile", "/dev/null", "--", "/x"], "run /x", ""],
    [["/x", "--pidfile=/dev/null", "--"], "run /x", ""],
    [["--enable-later", "/x"], "run /x", "--enable-later is not known: going on without it"],
    [["--disable-later", "/x"], "run /x", "--disable-later is not known: going on without it"],
  ])("lxcfs %j runs vprocfs as %j", async (argv, command, said) => {
    const env = { PATH: process.env.PATH, VPROCFS: "/bin/echo", VPROCFS_REPLACE_LXCFS: "off" };
    const outcome = await run([wrapper, "-p", "/dev/null", ...argv], { env });
    const stderr = said === "" ? "" : `lxcfs (vprocfs): ${said}\n`;
    expect(outcome).toMatchObject({ status: 0, stderr });
    expect(`${outcome.stdout}`).toBe(`${command}\n`);
  });

  it.each([
    [["--help"], 0, "Usage: lxcfs <directory>"],
    [["-v"], 0, ""],
    [["--nonsense", "/x"], 1, "unknown option --nonsense"],
    [[], 1, "Usage: lxcfs"],
    [["-fz", "/x"], 1, "unknown option -z"],
    [["-p"], 1, "-p needs a file"],
    [["-fp"], 1, "-p needs a file"],
    [["/a", "/b"], 1, "more than one directory"],
    [["/a", "--", "-f"], 1, "more than one directory"],
  ])("lxcfs %j: exit status %d", async (argv, status, text) => {
    const outcome = await run([wrapper, ...argv], { env: environment(testScope()) });
    expect(outcome.status).toBe(status);
    expect(`${outcome.stdout}${outcome.stderr}`).toContain(text);
  });
});

// Hooks of real runtimes: nothing is configured in a container, and its first instruction sees its
// own figures.

import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { HookOutcome } from "../../src/attach/hooks.js";
import { main } from "../../src/program.js";
import { attach, filesOf, helperPath, installedHooks, PLACES } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { background, haveProgram, runSync } from "../support/command.js";
import { Container } from "../support/container.js";
import { Daemon, temporaryDirectory } from "../support/daemon.js";
import { collecting } from "../support/fake-binding.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import { memTotalKb } from "../support/procfile.js";
import { project } from "../support/project.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const LIMITS = { memory: 96 * MIB, swap: 0, quota: 1 };
const FIRST = "/first";
/** The first program of a container says what it sees. */
const ARGS = ["/bin/sh", "-c", `cat /proc/meminfo >${FIRST}; exec sleep 1000000`];

/** The hook as config.json has it, out of the file for podman. */
function configHooks(path: string): object {
  const { hook } = JSON.parse(readFileSync(path, "utf8"));
  return { createRuntime: [hook] };
}

async function firstTotalKb(rootfs: string): Promise<number> {
  const path = join(rootfs, FIRST);
  return until("the first program has looked", () => {
    try {
      return memTotalKb(readFileSync(path, "utf8"));
    } catch {
      return undefined;
    }
  });
}

const LXC_HOOK = "/usr/share/lxc/config/common.conf.d/20-vprocfs.conf";

/** The commands below a directory of their own, where LXC, podman and the package are installed. */
function commandsBelow(scope: Scope) {
  const root = temporaryDirectory(scope, "root");
  for (const place of [dirname(LXC_HOOK), "/etc/containers", "/etc/vprocfs"]) {
    mkdirSync(join(root, place), { recursive: true });
  }
  writeFileSync(join(root, "etc/containers/seccomp.json"), '{"defaultAction":"SCMP_ACT_ERRNO"}');
  /** What the command says that it has done; `env` is that of a package's script. */
  const act = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}, warning = "") => {
    const outcome = { out: "", err: "", status: 0 };
    await main([...argv, "--json", "--root", root], collecting(outcome, undefined, env), (line) => {
      outcome.err += line;
    });
    expect([outcome.status, outcome.err]).toEqual([0, warning]);
    const said: HookOutcome[] = JSON.parse(outcome.out === "" ? "[]" : outcome.out);
    return said;
  };
  return { root, act };
}

describeLive("hooks", [], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let hooks: { lxc: string; oci: string };

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
    hooks = installedHooks(scope, daemon.mountpoint);
  });

  describeLive("LXC", ["lxc-create", "lxc-start", "busybox"], () => {
    const scripts = {
      "first-init": `#!/bin/sh
cat /proc/meminfo >${FIRST}
exec /sbin/init
`,
    };

    it.each([
      ["privileged", undefined],
      ["in a user namespace", 500_000],
    ])("%s: sees its own memory from its first instruction", async (_, userBase) => {
      const own = testScope();
      const container = await LxcContainer.start(own, {
        ...LIMITS,
        ...(userBase !== undefined && { userBase }),
        lines: [`lxc.include = ${hooks.lxc}`, "lxc.init.cmd = /first-init"],
        scripts,
      });
      expect(await firstTotalKb(container.rootfs)).toBe(96 * 1024);
      expect(filesOf(container.init)).toEqual(PLACES);
      const seen = await container.output(["grep", "-c", "fuse.lxcfs", "/proc/mounts"]);
      expect(Number(seen)).toBe(PLACES.length);
    });

    it("VPROCFS=off in its configuration leaves it alone", async () => {
      const own = testScope();
      const lines = [`lxc.include = ${hooks.lxc}`, "lxc.environment = VPROCFS=off"];
      const container = await LxcContainer.start(own, { ...LIMITS, lines });
      expect(filesOf(container.init)).toEqual([]);
    });

    it("a container starts without vprocfs", async () => {
      const own = testScope();
      const { lxc } = installedHooks(own, temporaryDirectory(own, "nothing"));
      const container = await LxcContainer.start(own, {
        ...LIMITS,
        lines: [`lxc.include = ${lxc}`],
      });
      expect(filesOf(container.init)).toEqual([]);
      expect(container.log).toContain("no vprocfs on");
    });

    it("one that ends has nobody forget whom to leave alone, if descriptors are short", () => {
      // Below a /run of its own. Its first process names itself as one to leave alone. No process has the other PID.
      const script = `
        mount -t tmpfs none /run && mkdir -p /run/vprocfs/left-alone && cd /run/vprocfs/left-alone || exit
        stat=$(cat /proc/$$/stat); set -- \${stat##*) }; touch $$-\${20} 4194305-1
        for n in 3 4 5 6 7 8 9; do
          (ulimit -n $n; exec "$0" --hook lxc name lxc post-stop) >/dev/null 2>&1 || :
          ls | wc -l
        done
        "$0" --hook lxc name lxc post-stop; test -e $$-\${20} && ls | wc -l`;
      const { stdout } = runSync(["unshare", "-m", "/bin/sh", "-c", script, helperPath()]);
      const counts = `${stdout}`.trim().split("\n").map(Number);
      expect(counts.length).toBe(8);
      expect(Math.min(...counts)).toBe(1);
      expect(counts.at(-1)).toBe(1);
    });

    it("a container starts when the helper has gone", async () => {
      const own = testScope();
      const { lxc } = installedHooks(own, daemon.mountpoint, "/nowhere/vprocfs-attach");
      const lines = [`lxc.include = ${lxc}`];
      const container = await LxcContainer.start(own, { ...LIMITS, lines });
      expect(filesOf(container.init)).toEqual([]);
    });

    it("a container starts when what its configuration includes has been taken away", async () => {
      const own = testScope();
      const { root, act } = commandsBelow(own);
      await act(["install-hooks", "--sysinfo", "chosen"]);
      const includes = [LXC_HOOK, "/etc/vprocfs/lxc-calls.conf"].map((path) => join(root, path));
      const lines = includes.map((path) => `lxc.include = ${path}`);
      const config = join(root, "var/lib/lxc/web1/config");
      mkdirSync(dirname(config), { recursive: true });
      writeFileSync(config, `${lines.join("\n")}\n`);
      const gone = await act(["uninstall-hooks"]);
      expect(
        gone.filter(({ state }) => state === "left").map(({ path }) => join(root, path)),
      ).toEqual(expect.arrayContaining(includes));
      expect(existsSync(join(root, "etc/vprocfs/calls.seccomp"))).toBe(false);
      const container = await LxcContainer.start(own, { ...LIMITS, lines });
      expect(filesOf(container.init)).toEqual([]);
      // What hands calls over stays off until it is asked for.
      await act(["install-hooks"]);
      const texts = () => includes.map((path) => readFileSync(path, "utf8").includes("\nlxc."));
      expect(texts()).toEqual([true, false]);
      await act(["install-hooks", "--sysinfo", "chosen"]);
      expect(texts()).toEqual([true, true]);
      rmSync(config);
      await act(["uninstall-hooks"]);
      expect(includes.map((path) => existsSync(path))).toEqual([false, false]);
    });

    it("a container starts when what answers its policy's calls has been taken away", async () => {
      const own = testScope();
      const { root, act } = commandsBelow(own);
      await act(["install-hooks", "--sysinfo", "chosen"]);
      const policy = join(root, "etc/vprocfs/calls.seccomp");
      const config = join(root, "etc/lxc/default.conf");
      mkdirSync(dirname(config));
      // The paths that LXC reads here, and those that the commands look for.
      writeFileSync(config, "lxc.seccomp.profile = /etc/vprocfs/calls.seccomp\n");
      const lines = [
        `lxc.seccomp.profile = ${policy}`,
        `lxc.seccomp.notify.proxy = unix:${join(root, "nobody.sock")}`,
      ];
      const whole = readFileSync(policy, "utf8");
      await act(["uninstall-hooks"]);
      const container = await LxcContainer.start(own, { ...LIMITS, lines });
      // LXC would end it as soon as it cannot connect.
      expect(await container.output(["/bin/busybox", "free"])).toContain("Mem:");
      expect(container.log).not.toContain("seccomp proxy");
      // What hands calls over stays off until it is asked for.
      await act(["install-hooks"]);
      expect(readFileSync(policy, "utf8")).not.toContain("notify");
      await act(["install-hooks", "--sysinfo", "chosen"]);
      expect(readFileSync(policy, "utf8")).toBe(whole);
      rmSync(config);
      await act(["uninstall-hooks"]);
      expect(existsSync(policy)).toBe(false);
    });

    it.each([
      ["there", true],
      ["gone", false],
    ])("a container starts with the hook for mounts as documented: %s", async (_, isThere) => {
      const own = testScope();
      const script = join(project, "packaging/lxc/vprocfs-mount-hook");
      const [, line = ""] =
        /^# +(lxc\.hook\.mount = .*)$/m.exec(readFileSync(script, "utf8")) ?? [];
      const hook = join(temporaryDirectory(own, "hook"), "vprocfs-mount-hook");
      if (isThere) {
        cpSync(script, hook);
      }
      const its = line.replace("/usr/share/vprocfs/lxc/vprocfs-mount-hook", hook);
      const lines = [`${its} ${daemon.mountpoint}`];
      const container = await LxcContainer.start(own, { ...LIMITS, lines });
      expect(filesOf(container.init).includes("/proc/meminfo")).toBe(isThere);
    });

    it("a container within a container mounts its own proc, and sees its own limits", async () => {
      const own = testScope();
      const nesting = "lxc.mount.entry = proc dev/.lxc/proc proc create=dir,optional 0 0";
      const lines = [`lxc.include = ${hooks.lxc}`, nesting];
      const container = await LxcContainer.start(own, { ...LIMITS, userBase: 500_000, lines });
      expect(filesOf(container.init)).toEqual(PLACES);
      const inner = ["unshare", "-U", "-r", "-m", "-p", "-f", "--mount-proc", "true"];
      await container.output(inner);
    });
  });

  describe("taken away by hand", () => {
    const byPackage = { DPKG_MAINTSCRIPT_PACKAGE: "vprocfs" };

    it("are not installed again by the package, but by hand", async () => {
      const { root, act } = commandsBelow(testScope());
      const marker = join(root, "etc/vprocfs/no-hooks");
      const remains = () => [existsSync(join(root, LXC_HOOK)), existsSync(marker)];
      await act(["install-hooks"]);
      await act(["uninstall-hooks", "--runtime", "lxc"]);
      expect(remains()).toEqual([false, false]);
      await act(["install-hooks"]);
      await act(["uninstall-hooks", "--dry-run"]);
      expect(remains()).toEqual([true, false]);
      await act(["uninstall-hooks"], byPackage);
      await act(["install-hooks"], byPackage);
      expect(remains()).toEqual([true, false]);
      await act(["uninstall-hooks"]);
      const again = ["install-hooks", "--mountpoint", "/var/lib/lxcfs"];
      const refusal = "no hooks are installed, because uninstall-hooks has removed them";
      expect(await act(again, byPackage, refusal)).toEqual([]);
      expect(remains()).toEqual([false, true]);
      await act(["install-hooks"]);
      expect(remains()).toEqual([true, false]);
    });

    it("leave nothing where there is no package", async () => {
      const { root, act } = commandsBelow(testScope());
      rmSync(join(root, "etc/vprocfs"), { recursive: true });
      await act(["uninstall-hooks"]);
      expect(existsSync(join(root, "etc/vprocfs"))).toBe(false);
    });
  });

  it("what hands system calls over is brought up to date where it is", async () => {
    const { root, act } = commandsBelow(testScope());
    const policy = join(root, "etc/vprocfs/calls.seccomp");
    await act(["install-hooks", "--sysinfo", "chosen"]);
    writeFileSync(join(root, "usr/share/lxc/config/common.seccomp"), "2\ndenylist\nnew errno 1\n");
    rmSync(join(root, "etc/containers/vprocfs-seccomp.json"));
    const outcomes = await act(["install-hooks"]);
    expect(outcomes.filter(({ state }) => state === "updated").map(({ path }) => path)).toEqual([
      "/etc/vprocfs/calls.seccomp",
    ]);
    expect(readFileSync(policy, "utf8")).toContain("new errno 1\n");
    expect(existsSync(join(root, "etc/containers/vprocfs-seccomp.json"))).toBe(false);
  });

  const runtimes = ["runc", "crun"].filter(haveProgram);

  describe.each(runtimes)("%s", (runtime) => {
    it.each([
      ["with the host's users", undefined],
      ["in a user namespace", 500_000],
    ])("%s: sees its own memory from its first instruction", async (_, userBase) => {
      const own = testScope();
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, {
        plain: true,
        args: ARGS,
        hooks: configHooks(hooks.oci),
        ...(userBase !== undefined && { userBase }),
      });
      expect(await firstTotalKb(container.rootfs)).toBe(96 * 1024);
      expect(filesOf(container.init)).toEqual(PLACES);
    });

    it.each([
      ["--attach-exclude", false],
      ["--attach-only", true],
    ])("%s matches its cgroup", async (setting, isServed) => {
      const own = testScope();
      const other = await Daemon.start(own, setting, `/vprocfs-test-${process.pid}-*`);
      const container = await OciContainer.start(own, runtime, other, LIMITS, {
        plain: true,
        hooks: configHooks(installedHooks(own, other.mountpoint).oci),
      });
      expect(filesOf(container.init)).toEqual(isServed ? PLACES : []);
    });

    it("an annotation leaves it alone", async () => {
      const own = testScope();
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, {
        plain: true,
        hooks: configHooks(hooks.oci),
        annotations: { "vprocfs.attach": "off" },
      });
      expect(filesOf(container.init)).toEqual([]);
    });

    it("starts with a hook of another version", async () => {
      const own = testScope();
      const { hook } = JSON.parse(readFileSync(hooks.oci, "utf8"));
      const its = { ...hook, args: [...hook.args, "--of-tomorrow"] };
      const variant = { plain: true, hooks: { createRuntime: [its] } };
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, variant);
      expect(filesOf(container.init)).toEqual([]);
    });

    it("starts without vprocfs", async () => {
      const own = testScope();
      const { oci } = installedHooks(own, temporaryDirectory(own, "nothing"));
      const variant = { plain: true, hooks: configHooks(oci) };
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, variant);
      expect(filesOf(container.init)).toEqual([]);
    });
  });

  // crun mounts a proc at the root only.
  it.each(runtimes.filter((one) => one === "runc"))(
    "%s: a chroot's proc is left alone",
    async (runtime) => {
      const own = testScope();
      const more = { destination: "/tmp/chroot/proc", type: "proc", source: "proc", options: [] };
      const variant = { plain: true, hooks: configHooks(hooks.oci), mounts: [more] };
      const container = await OciContainer.start(own, runtime, daemon, LIMITS, variant);
      expect(filesOf(container.init)).toEqual(PLACES);
    },
  );

  it.each(runtimes)("%s: a container starts when the helper has gone", async (runtime) => {
    const own = testScope();
    const { oci } = installedHooks(own, daemon.mountpoint, "/nowhere/vprocfs-attach");
    const variant = { plain: true, hooks: configHooks(oci) };
    const container = await OciContainer.start(own, runtime, daemon, LIMITS, variant);
    expect(filesOf(container.init)).toEqual([]);
  });

  const ofPodman = haveProgram("podman") ? inLong(runtimes.slice(0, 1), runtimes) : [];

  describe.each(ofPodman)("podman on %s", (runtime) => {
    it("sees its own memory from its first instruction", async () => {
      const own = testScope();
      const podman = ["--hooks-dir", join(hooks.oci, "..")];
      const variant = { plain: true, args: ARGS, podman };
      const container = await OciContainer.podman(own, runtime, daemon, LIMITS, variant);
      expect(await firstTotalKb(container.rootfs)).toBe(96 * 1024);
      expect(filesOf(container.init)).toEqual(PLACES);
    });

    /** The wrapper around the runtime, for the files of one daemon. */
    function wrapped(scope: Scope, mountpoint: string): string {
      const directory = temporaryDirectory(scope, "wrapper");
      const wrapper = join(directory, `vprocfs-${runtime}`);
      cpSync(join(project, "packaging/oci/vprocfs-runtime"), wrapper);
      // An engine passes on none of our variables.
      const program = join(directory, "runtime");
      const set = `VPROCFS_MOUNTPOINT=${mountpoint} VPROCFS_ATTACH=${helperPath()}`;
      writeFileSync(program, `#!/bin/sh\n${set} exec ${wrapper} "$@"\n`, { mode: 0o755 });
      return program;
    }

    it("by the wrapper around the runtime", async () => {
      const own = testScope();
      const variant = { plain: true, args: ARGS, program: wrapped(own, daemon.mountpoint) };
      const container = await OciContainer.podman(own, runtime, daemon, LIMITS, variant);
      expect(await firstTotalKb(container.rootfs)).toBe(96 * 1024);
    });

    it("the wrapper goes by the settings and by annotations", async () => {
      const own = testScope();
      const settings = ["--skip-files", "proc/uptime", "--attach-exclude", "oci:*"];
      const [skips, excludes] = [settings.slice(0, 2), settings.slice(2)];
      const start = (other: Daemon, ...podmanRun: string[]) => {
        const variant = { plain: true, program: wrapped(own, other.mountpoint), podmanRun };
        return OciContainer.podman(own, runtime, other, LIMITS, variant);
      };
      const skipped = await start(await Daemon.start(own, ...skips));
      expect(filesOf(skipped.init)).toEqual(PLACES.filter((path) => path !== "/proc/uptime"));
      const excluded = await start(await Daemon.start(own, ...excludes));
      expect(filesOf(excluded.init)).toEqual([]);
      const off = await start(daemon, "--annotation", "vprocfs.attach=off");
      expect(filesOf(off.init)).toEqual([]);
    });
  });

  describe("bad input", () => {
    it.each([
      ["nothing", "", "its stdin is not the JSON state"],
      ["garbage", "\0\xff{]", "its stdin is not the JSON state"],
      ["half a document", '{"pid": 12', "its stdin is not the JSON state"],
      ["deep nesting", "[".repeat(100_000), "its stdin is not the JSON state"],
      ["too much", " ".repeat(2 << 20), "too long"],
      ["a pid that is none", '{"pid": "1"}', "bad pid"],
      ["a negative pid", '{"pid": -5}', "bad pid"],
      ["a huge pid", '{"pid": 99999999999}', "bad pid"],
      [
        "a process of the host",
        `{"id": "x", "pid": ${process.pid}}`,
        "x: it is not in a container",
      ],
    ])("%s on the hook's stdin", (_, input, reason) => {
      const argv = ["--mountpoint", daemon.mountpoint, "--hook", "oci"];
      const { status, stderr } = runSync([helperPath(), ...argv, "--strict"], { input });
      expect(status).toBe(1);
      expect(stderr).toContain(reason);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    });

    it("the state of a container that has ended is no mistake", () => {
      const input = '{"id": "x", "status": "stopped"}';
      const result = runSync([helperPath(), "--hook", "oci"], { input });
      expect([result.status, result.stderr]).toEqual([0, ""]);
    });

    it("a container with the node's PID namespace is none, which is no mistake", async () => {
      const own = testScope();
      const script = "echo ready; exec sleep 1000000";
      const child = background(own, ["unshare", "--mount", "--cgroup", "sh", "-c", script]);
      await new Promise((ready) => child.stdout?.once("data", ready));
      const input = JSON.stringify({ id: "x", pid: child.pid });
      const hook = ["--mountpoint", daemon.mountpoint, "--hook", "oci", "--strict"];
      const { status, stderr } = runSync([helperPath(), ...hook], { input });
      expect([status, stderr]).toEqual([0, ""]);
      expect(filesOf(child.pid ?? 0)).toEqual([]);
      expect((await attach(daemon, child.pid ?? 0)).stderr).toContain("it is not in a container");
    });

    it("LXC's hook without a PID", () => {
      const result = runSync([helperPath(), "--hook", "lxc"], { env: {} });
      expect(result.status).toBe(0);
      expect(result.stderr).toContain("LXC_PID is not set");
    });

    it.each([
      ["lxc", [], 0, "vprocfs-attach: bad option --of-tomorrow\n"],
      ["oci", [], 0, ""],
      ["oci", ["--strict"], 2, "vprocfs-attach: bad option --of-tomorrow\n"],
      ["of-tomorrow", [], 0, "vprocfs-attach: bad option --hook\n"],
    ])("an option of another version, hook %s %j: exits with %i", (hook, more, status, stderr) => {
      const argv = ["--hook", hook, "--of-tomorrow", "x", ...more];
      const result = runSync([helperPath(), ...argv], { input: "{}" });
      expect([result.status, result.stderr]).toEqual([status, stderr]);
    });

    it.each([
      ["by its environment (lxc.hook.version = 1)", { LXC_HOOK_TYPE: "post-stop" }, []],
      ["by its arguments (lxc.hook.version = 0)", {}, ["x", "lxc", "post-stop"]],
    ])("LXC's hook after the end of a container forgets who has ended: %s", (_, told, given) => {
      const directory = "/run/vprocfs/left-alone";
      const text = readFileSync("/proc/self/stat", "utf8");
      const start = text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
      const [gone, lives] = [`${process.pid}-1`, `${process.pid}-${start}`];
      const own = testScope();
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      for (const name of [gone, lives]) {
        writeFileSync(join(directory, name), "");
        own.defer(() => rmSync(join(directory, name), { force: true }));
      }
      const env = { ...told, LXC_NAME: "x", LXC_PID: `${process.pid}` };
      const argv = ["--mountpoint", daemon.mountpoint, "--hook", "lxc", ...given];
      const result = runSync([helperPath(), ...argv], { env });
      expect([result.status, result.stderr]).toEqual([0, ""]);
      const marks = readdirSync(directory);
      expect([marks.includes(gone), marks.includes(lives)]).toEqual([false, true]);
    });

    it("says so in the system's log, and not on what is the container's stderr", async () => {
      // A file of it is on another file system: the others are mounted, which takes place inside.
      const own = testScope();
      const container = await Container.start(own, { memory: 64 * MIB });
      const other = temporaryDirectory(own, "pressure");
      writeFileSync(join(other, "cpu"), "");
      await container.shell(`mount --bind ${other} /proc/pressure`);
      const state = JSON.stringify({ id: "x", pid: container.init });
      // A /dev of its own, where the log is a socket that a reader has.
      const listen = `import os, socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
log.settimeout(20)
for text in sys.argv[2:]:
  argv = [sys.argv[1], "--mountpoint", "${daemon.mountpoint}", "--hook", "oci"]
  done = subprocess.run(argv, input=text.encode(), capture_output=True)
  print(done.returncode, done.stderr, log.recv(4096).decode())`;
      const script = 'mount -t tmpfs tmpfs /dev && exec python3 -c "$0" "$@"';
      const argv = ["--mount", "sh", "-c", script, listen, helperPath(), "x", state];
      const { stdout } = runSync(["unshare", ...argv]);
      const [bad = "", partly = ""] = stdout.split("\n");
      expect(bad).toMatch(/^0 b'' <28>.* vprocfs-attach\[\d+\]: .*not the JSON state/);
      expect(partly).toMatch(/^0 b'' <28>.*: x: \/proc\/pressure\/cpu: not on a procfs/);
      expect(filesOf(container.init)).toContain("/proc/meminfo");
    });

    it.each([
      ["hangs, and lets the container start", "SOCK_DGRAM", "hangs", "0 b''"],
      ["takes streams", "SOCK_STREAM", "reads", "0 b'' <28>"],
    ])("says so in a system's log that %s", (_, type, does, expected) => {
      const script = `import os, socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.${type})
log.bind("/dev/log")
if "${does}" == "reads":
  log.listen()
  log.settimeout(20)
else:
  full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
  full.setblocking(False)
  try:
    while True: full.sendto(b"x", "/dev/log")
  except BlockingIOError: pass
argv = [sys.argv[1], "--mountpoint", "${daemon.mountpoint}", "--hook", "oci"]
done = subprocess.run(argv, input=b"x", capture_output=True, timeout=20)
print(done.returncode, done.stderr, log.accept()[0].recv(4096).decode() if "${does}" == "reads" else "")`;
      const argv = ["sh", "-c", 'mount -t tmpfs tmpfs /dev && exec python3 -c "$0" "$@"', script];
      const { stdout, stderr } = runSync(["unshare", "--mount", ...argv, helperPath()]);
      expect(stderr).toBe("");
      expect(stdout.trim().startsWith(expected), stdout).toBe(true);
      if (does === "reads") {
        expect(stdout).toMatch(/vprocfs-attach\[\d+\]: .*not the JSON state[^\0]*\0\n$/);
      }
    });

    it("osctl's post-mount mounts nothing over files that are there", async () => {
      const own = testScope();
      const container = await Container.start(own, { memory: 64 * MIB });
      const directory = temporaryDirectory(own, "programs");
      // In the place of the node's, which would mount here.
      const told = join(directory, "told");
      const mount = `#!/bin/sh\necho "$*" >>${told}\n`;
      writeFileSync(join(directory, "mount"), mount, { mode: 0o755 });
      const mountedBy = (pid: number, helper = helperPath()): string => {
        writeFileSync(told, "");
        const env = {
          PATH: `${directory}:${process.env.PATH}`,
          OSCTL_CT_ID: "x",
          OSCTL_CT_NS_PID: `${pid}`,
          OSCTL_CT_ROOTFS_MOUNT: `/proc/${container.init}/root`,
          VPROCFS_ATTACH: helper,
          VPROCFS_MOUNTPOINT: daemon.mountpoint,
        };
        const script = join(project, "packaging/osctl/post-mount");
        expect(runSync(["unshare", "--mount", script], { env }).status).toBe(0);
        return readFileSync(told, "utf8");
      };
      const gone = 4_194_300;
      expect(mountedBy(gone)).toContain("/root/proc/meminfo");
      // One that is killed half-way, and what it leaves for mount(8).
      const killed = join(directory, "killed");
      const half = `#!/bin/sh\n${helperPath()} --skip proc/stat "$@" >/dev/null\nkill -KILL $$\n`;
      writeFileSync(killed, half, { mode: 0o755 });
      const stat = `${daemon.mountpoint}/proc/stat /proc/${container.init}/root/proc/stat`;
      expect(mountedBy(container.init, killed)).toBe(`-n --bind ${stat}\n`);
      const other = temporaryDirectory(own, "pressure");
      writeFileSync(join(other, "cpu"), "");
      await container.shell(`mount --bind ${other} /proc/pressure`);
      for (let times = 0; times < 2; times += 1) {
        expect(mountedBy(container.init)).toBe("");
        expect(filesOf(container.init)).toContain("/proc/meminfo");
      }
    });

    it.each([
      ["--attach-exclude", "lxc:x", []],
      ["--skip-files", "*/kmsg, sys/*", PLACES.filter((path) => /^\/proc\/(?!kmsg)/.test(path))],
    ])("osctl's post-mount heeds %s", async (setting, value, files) => {
      const own = testScope();
      const { mountpoint } = await Daemon.start(own, setting, value);
      const container = await Container.start(own, { memory: 64 * MIB });
      const env = {
        PATH: process.env.PATH,
        OSCTL_CT_ID: "x",
        OSCTL_CT_NS_PID: `${container.init}`,
        OSCTL_CT_ROOTFS_MOUNT: `/proc/${container.init}/root`,
        VPROCFS_ATTACH: helperPath(),
        VPROCFS_MOUNTPOINT: mountpoint,
      };
      const script = join(project, "packaging/osctl/post-mount");
      expect(runSync(["unshare", "--mount", script], { env }).status).toBe(0);
      expect(filesOf(container.init)).toEqual(files);
    });

    it("settings that it may not read: leaves the container to the watcher", async () => {
      const own = testScope();
      const directory = temporaryDirectory(own, "settings");
      const file = join(directory, "x.attach");
      writeFileSync(file, `mountpoint ${daemon.mountpoint}\nskip proc/uptime\nend\n`);
      const container = await Container.start(own, { memory: 64 * MIB });
      const input = JSON.stringify({ id: "x", pid: container.init });
      const places = ["--mountpoint", daemon.mountpoint, "--settings", file];
      const argv = [helperPath(), ...places, "--hook", "oci", "--strict"];
      // Without the right to read everything, as root of a user namespace has none.
      const denied = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--", ...argv];
      chownSync(directory, 65_534, 65_534);
      chmodSync(directory, 0o700);
      const { status, stderr } = runSync(denied, { input });
      expect([status, stderr]).toEqual([1, "vprocfs-attach: no permission to read the settings\n"]);
      expect(runSync(denied.slice(0, -1), { input })).toMatchObject({ status: 0, stderr: "" });
      expect(filesOf(container.init)).toEqual([]);
      expect(runSync(argv, { input })).toMatchObject({ status: 0, stderr: "" });
      expect(filesOf(container.init)).toContain("/proc/meminfo");
      expect(filesOf(container.init)).not.toContain("/proc/uptime");
    });

    it("half-written settings count for nothing", async () => {
      const own = testScope();
      const file = join(temporaryDirectory(own, "settings"), "x.attach");
      writeFileSync(file, "mountpoint /nowhere\nexclude *\n");
      const container = await Container.start(own, { memory: 64 * MIB });
      const argv = ["--mountpoint", daemon.mountpoint, "--settings", file, `${container.init}`];
      expect(runSync([helperPath(), ...argv]).stderr).toBe("");
      // It was not told of the second mount, which alone has these.
      const others = PLACES.filter((path) => !path.endsWith("/kmsg"));
      expect(filesOf(container.init)).toEqual(others);
      writeFileSync(file, "mountpoint /nowhere\nend\n");
      const whole = runSync([helperPath(), ...argv]);
      expect(whole.stderr).toContain("no vprocfs on /nowhere");
    });
  });
});

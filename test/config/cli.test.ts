import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { mountNamespaceOf } from "../../src/attach/namespaces.js";
import { CONFIG_KEYS, kebabOf } from "../../src/config.js";
import { figuresSocketOf } from "../../src/figures.js";
import type { NativeBinding } from "../../src/native/binding.js";
import { main } from "../../src/program.js";
import { collecting, container, fakeBinding, type Outcome } from "../support/fake-binding.js";
import { until } from "../support/wait.js";

async function cli(argv: string[], binding?: NativeBinding, env?: NodeJS.ProcessEnv) {
  const outcome: Outcome = { out: "", err: "", status: 0 };
  await main(argv, collecting(outcome, binding, env), (line) => {
    outcome.err += line;
  });
  return outcome;
}

const two = fakeBinding(
  [
    container(),
    container({
      id: "3c4d",
      name: "evil\x1b[31m\nname",
      runtime: "",
      cgroup: "/a b\x07",
      memoryLimit: null,
      cpuQuota: null,
      swapLimit: 0,
    }),
  ],
  (pid) => {
    if (pid === 1) {
      return null;
    }
    throw Object.assign(new Error("gone"), { code: "ESRCH" });
  },
);

describe("help and version", () => {
  it("lists the commands with a summary", async () => {
    const { out, err, status } = await cli(["--help"]);
    for (const text of ["run", "ls", "show", "Examples:", "VPROCFS_WATCH=off"]) {
      expect(out).toContain(text);
    }
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect({ err, status }).toEqual({ err: "", status: 0 });
  });

  it("shows what most people need, and says where the rest is", async () => {
    const { out } = await cli(["run", "--help"]);
    const options = out.split("\n").filter((line) => /^ +-/.test(line));
    expect(options.length).toBeLessThanOrEqual(16);
    for (const text of ["--watch <", "--attach-exclude <", "--metrics <", "--help-all"]) {
      expect(out).toContain(text);
    }
    expect(out).not.toContain("--max-threads");
  });

  it("shows every command with every option on request", async () => {
    const { out, err, status } = await cli(["--help-all"]);
    for (const text of [
      "vprocfs run",
      "--watchdog-ms <",
      "vprocfs uninstall-hooks",
      "--no-keeper",
    ]) {
      expect(out).toContain(text);
    }
    expect({ err, status }).toEqual({ err: "", status: 0 });
  });

  it.each([
    [["help"], ["--help"]],
    [
      ["help", "run"],
      ["run", "--help"],
    ],
  ])("%j is another way to ask for %j", async (argv, same) => {
    const { out } = await cli(same);
    expect(out).toContain("Usage: vprocfs ");
    expect(await cli(argv)).toEqual({ out, err: "", status: 0 });
  });

  it("has a flag for every key of the configuration", async () => {
    const { out } = await cli(["run", "--help-all"]);
    for (const key of CONFIG_KEYS.filter((name) => name !== "mountpoint")) {
      expect(out).toContain(`--${kebabOf(key)} <`);
    }
    expect(out).toContain("MOUNTPOINT");
  });

  it.each(["top", "status"])(
    "accepts --metrics for %s, which does nothing with it",
    async (name) => {
      expect((await cli([name, "--help"])).out).not.toContain("--metrics");
      const { err } = await cli([name, "--metrics", "off", "--tik-ms", "3"]);
      expect(err).toContain("unknown option '--tik-ms'");
    },
  );

  it.each([
    ["run", "--help-all"],
    ["ls", "--help"],
    ["show", "--help"],
  ])("offers --json for %s", async (...argv) => {
    expect((await cli(argv)).out).toContain("--json");
  });

  it("prints the version", async () => {
    expect((await cli(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("wrong command lines", () => {
  it.each([
    [[], "a command is needed"],
    [["rnu"], "unknown command 'rnu' (Did you mean run?)"],
    [["stop"], "unknown command 'stop': use 'systemctl stop vprocfs', or the service manager that"],
    [["run", "--tik-ms", "3"], "unknown option '--tik-ms' (Did you mean --tick-ms?)"],
    [["run", "--tick-ms", "3x"], "option --tick-ms: expected an integer from 1 to 1000"],
    [["run", "--tick-ms"], "option '--tick-ms <MS>' argument missing"],
    [["run", "a", "b"], "too many arguments"],
    [["show"], "missing required argument 'CONTAINER'"],
    [
      ["attach", "--all", "--in-place-of", "lxcfs"],
      "--in-place-of: expected an absolute path, found 'lxcfs'",
    ],
    [["run", "--config", "/nonexistent/a.toml"], "/nonexistent/a.toml: no such file"],
    [["run", "--config", "/proc/self/exe/a"], "/proc/self/exe/a: ENOTDIR"],
    [["help", "shwo"], "unknown command 'shwo' (Did you mean show?)"],
  ])("%j ends with status 2 and one line", async (argv, line) => {
    const { out, err, status } = await cli(argv);
    expect(err).toContain(line);
    expect(err).not.toContain("\n");
    expect({ out, status }).toEqual({ out: "", status: 2 });
  });
});

describe("not run as root", () => {
  /** As a user whom /proc tells of no container. */
  async function asUser(argv: string[], binding = fakeBinding([])) {
    const uid = vi.spyOn(process, "getuid").mockReturnValue(1000);
    try {
      return await cli(argv, binding);
    } finally {
      uid.mockRestore();
    }
  }

  it.each([[["doctor"]], [["sleep", "pre"]], [["sleep", "post"]], [["attach", "--all"]]])(
    "%j says that it must be",
    async (argv) => {
      const { out, err, status } = await asUser(argv);
      expect({ out, err, status }).toEqual({ out: "", err: "must be run as root", status: 1 });
    },
  );

  it("a check knows nothing", async () => {
    const { out, status } = await asUser(["check"]);
    expect({ out, status }).toEqual({
      out: "VPROCFS UNKNOWN - must be run as root\n",
      status: 3,
    });
  });

  it("a list does not pass for that of all containers", async () => {
    const { out, err, status } = await asUser(["ls"]);
    expect(out).toBe("no containers\n");
    expect(err).toContain("not run as root: containers of others are left out");
    expect(status).toBe(0);
  });

  it("does not deny a container that may be there", async () => {
    const { err, status } = await asUser(["explain", "web1", "MemTotal"]);
    expect(err).toBe("no container 'web1' that is yours: to find all of them, run this as root");
    expect(status).toBe(1);
  });

  it("says why a process cannot be looked at", async () => {
    const hidden = fakeBinding([], () => {
      throw Object.assign(new Error("4711/ns/pid: Permission denied"), { code: "EACCES" });
    });
    const { err, status } = await asUser(["explain", "4711", "MemTotal"], hidden);
    expect(err).toBe("process 4711: must be run as root");
    expect(status).toBe(1);
  });
});

describe("run --print-config", () => {
  it("shows what would be used", async () => {
    const argv = ["run", "/mnt/x/../y", "--max-threads", "3", "--print-config", "--json"];
    const env = { VPROCFS_TICK_MS: "7", VPROCFS_MOUNTPOINT: "/z" };
    const { out, err, status } = await cli(argv, two, env);
    expect(status).toBe(0);
    expect(err).toContain("option --json is now called '--log-format json'");
    expect(JSON.parse(out)).toMatchObject({
      mountpoint: "/mnt/y",
      "max-threads": 3,
      "tick-ms": 7,
      "log-format": "json",
    });
  });

  it.each([
    [["--metrics-web-config", "/nonexistent/web.yml"], "/nonexistent/web.yml: no such file"],
    [["--engine", "fuse-native", "--consistency", "tick"], "does not support consistency tick"],
  ])("shows what could not be served too, and fails: %j", async (more, line) => {
    const { out, err, status } = await cli(["run", "/mnt", ...more, "--print-config"]);
    expect(JSON.parse(out)).toMatchObject({ mountpoint: "/mnt" });
    expect(err).toContain(line);
    expect(status).toBe(2);
  });

  it("shows it where the addon does not load, and fails", async () => {
    const { out, err, status } = await cli(["run", "/mnt", "--print-config"]);
    expect(JSON.parse(out)).toMatchObject({ mountpoint: "/mnt" });
    expect({ err, status }).toEqual({ err: "the addon was loaded", status: 1 });
  });
});

describe("ls", () => {
  it("prints a table that no name can break", async () => {
    const { out } = await cli(["ls"], two);
    const lines = out.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^ID +NAME +RUNTIME +INIT +CPUS +QUOTA +MEMORY +SWAP +CGROUP$/);
    expect(lines[1]).toMatch(/^1a2b +web1 +lxc +4711 +2 +1\.5 +256 MiB +- +\/lxc\.payload\.web1$/);
    expect(lines[2]).toMatch(/^3c4d +evil\\x1b\[31m\\x0aname +- .* - +- +0 B +\/a b\\x07$/);
  });

  it("prints JSON, and says when there are none", async () => {
    const { out } = await cli(["ls", "--json"], two);
    const all = two.scanContainers().map((one) => ({ ...one, givenName: null }));
    expect(JSON.parse(out)).toEqual(all);
    expect((await cli(["ls"], fakeBinding([]))).out).toBe("no containers\n");
    expect((await cli(["ls", "--json"], fakeBinding([]))).out).toBe("[]\n");
  });

  it("leaves out a container whose figures cannot be read, says so and fails", async () => {
    const { memoryLimit: _, swapLimit: _1, cpus: _2, cpuQuota: _3, ...unread } = container();
    const problem = "/sys/fs/cgroup/lxc.payload.web1: Too many open files";
    const read = container({ id: "3c4d", name: "db" });
    const scanContainers = () => [{ ...unread, problem }, read];
    const { out, err, status } = await cli(["ls"], { ...two, scanContainers });
    expect(err).toContain(`web1 is left out: ${problem}`);
    expect(out).toMatch(/^ID .*\n3c4d +db .*\n$/);
    expect(status).toBe(1);
  });
});

describe.runIf(process.getuid?.() === 0)("attach and detach", () => {
  it("attach fails when nothing of a container can be, and detach has nothing to do", async () => {
    const nothing = { out: "no containers\n", err: "", status: 0 };
    expect(await cli(["detach", "web1", "--for-now"], two)).toEqual(nothing);
    const { out, err, status } = await cli(["attach", "web1"], two);
    expect(err).toBe("container 'web1': no process in it has its own mount and PID namespaces");
    expect({ out, status }).toEqual({ out: "", status: 1 });
  });

  it("do nothing when there are no containers", async () => {
    expect(await cli(["detach", "--all"], two)).toEqual({
      out: "no containers\n",
      err: "",
      status: 0,
    });
  });
});

describe.runIf(process.getuid?.() === 0)("while a file of a cgroup does not answer", () => {
  /** Counts who waits for such a file, and processes that are looked at without. */
  function slow() {
    const asked = { waiting: 0, others: 0 };
    const waits = (): never => {
      asked.waiting += 1;
      throw new Error("it does not answer");
    };
    const other = (): null => {
      asked.others += 1;
      return null;
    };
    const binding = { ...fakeBinding([], other), scanContainers: waits, containerOf: waits };
    return { asked, binding };
  }

  /** A process in namespaces of its own. */
  async function inNamespaces(): Promise<number> {
    const argv = ["--pid", "--mount", "--fork", "--kill-child", "sleep", "1000"];
    const child = spawn("unshare", argv, { stdio: "ignore" });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    const own = mountNamespaceOf(process.pid);
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    return until("it runs in namespaces of its own", () => {
      const pid = Number(readFileSync(children, "utf8"));
      return pid > 0 && mountNamespaceOf(pid) !== own && pid;
    });
  }

  it("containers are attached and detached all the same", async () => {
    await inNamespaces();
    const { asked, binding } = slow();
    const { out } = await cli(["detach", "--all", "--for-now"], binding);
    expect(out).toBe("no containers\n");
    expect(asked.others).toBeGreaterThan(0);
    expect(asked.waiting).toBe(0);
  });

  it("what was done in them is told without figures", async () => {
    const init = await inNamespaces();
    const { asked, binding } = slow();
    const locationOf = (pid: number) => (pid === init ? container({ init }) : null);
    const argv = ["detach", "--all", "--for-now", "--json"];
    const { out } = await cli([...argv, "--no-figures"], { ...binding, locationOf });
    expect(JSON.parse(out)).toMatchObject([{ container: { init } }]);
    expect(asked.waiting).toBe(0);
    await cli(argv, { ...binding, locationOf });
    expect(asked.waiting).toBeGreaterThan(0);
  });

  it("containers are frozen before a suspend all the same", async () => {
    const mountpoint = `/nonexistent/cli-test-${process.pid}`;
    const path = figuresSocketOf(mountpoint);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const answer = JSON.stringify({ version: "0.1.0", resources: {}, containers: {} });
    const server = createServer((socket) => socket.end(answer)).listen(path);
    onTestFinished(() => {
      server.close();
    });
    await once(server, "listening");
    const { asked, binding } = slow();
    const argv = ["sleep", "pre", "--mountpoint", mountpoint];
    expect(await cli(argv, binding)).toEqual({ out: "frozen: 0\n", err: "", status: 0 });
    expect(asked.waiting).toBe(0);
  });
});

describe("show", () => {
  it("needs a mounted tree", async () => {
    const argv = ["show", "web1", "--mountpoint", "/nonexistent/tree"];
    const { err, status } = await cli(argv, two);
    expect(err).toMatch(/^\/nonexistent\/tree: no vprocfs is mounted here: start it with/);
    expect(status).toBe(1);
  });

  it("suggests a file that is there", async () => {
    const { err, status } = await cli(["show", "web1", "proc/memifno"], two);
    expect(err).toContain("did you mean 'proc/meminfo'?");
    expect(status).toBe(2);
  });
});

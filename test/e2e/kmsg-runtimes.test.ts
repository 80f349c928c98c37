// Kernel logs of containers of real runtimes, and the programs that read one in them.

import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { filesOf, report } from "../support/attach.js";
import { hierarchyOf, MIB } from "../support/cgroups.js";
import { type Outcome, output } from "../support/command.js";
import { Daemon, withStandby } from "../support/daemon.js";
import { unpacked } from "../support/debian.js";
import { hasBanner } from "../support/follow.js";
import { LOGGERS, type Logger, startLine } from "../support/loggers.js";
import { LxcContainer } from "../support/lxc.js";
import { describeLive } from "../support/needs.js";
import { OciContainer } from "../support/oci.js";
import type { Scope } from "../support/scope.js";
import { inLong } from "../support/size.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { servingAfter, statusOf } from "./never-down-support.js";

withStandby();

const PLACES = ["/dev/kmsg", "/proc/kmsg"];
const BANNER = 4;
const LIMITS = { memory: 96 * MIB, swap: 0, quota: 1 };
const STARVE = ["/bin/sh", "-c", "echo $$; exec tail /dev/zero"];
const CAP_SYSLOG = "CAP_SYSLOG";

/** A container of a real runtime. */
interface Real {
  readonly init: number;
  readonly rootfs: string;
  output(argv: readonly string[]): Promise<string>;
  run(argv: readonly string[]): Promise<Outcome>;
  background(scope: Scope, argv: readonly string[]): void;
}

interface Kind {
  readonly name: string;
  readonly needs: readonly string[];
  /** Its root has CAP_SYSLOG without being told to. */
  readonly privileged?: boolean;
  start(scope: Scope, daemon: Daemon, mayRead: boolean): Promise<Real>;
}

function lxc(name: string, userBase?: number): Kind {
  const user = userBase === undefined ? {} : { userBase };
  return {
    name,
    needs: ["lxc-create", "lxc-start"],
    privileged: true,
    start: (scope) => LxcContainer.start(scope, { ...LIMITS, ...user, hostUsr: true }),
  };
}

function oci(name: "runc" | "crun"): Kind {
  return {
    name,
    needs: [name],
    start: (scope, daemon, mayRead) => {
      const capabilities = mayRead ? { capabilities: [CAP_SYSLOG] } : {};
      return OciContainer.start(scope, name, daemon, LIMITS, { plain: true, ...capabilities });
    },
  };
}

const LXC = lxc("LXC");
const MAPPED_LXC = lxc("LXC in a user namespace", 500_000);
const RUNC = oci("runc");
const CRUN = oci("crun");
const PODMAN: Kind = {
  name: "podman",
  needs: ["podman", "crun"],
  start: (scope, daemon, mayRead) => {
    const podmanRun = mayRead ? ["--cap-add", CAP_SYSLOG] : [];
    return OciContainer.podman(scope, "crun", daemon, LIMITS, { plain: true, podmanRun });
  },
};

/** Has one use more memory than its container has; returns its PID there. */
async function starve(container: Real): Promise<string> {
  const outcome = await container.run(STARVE);
  expect(outcome.status).not.toBe(0);
  return `${outcome.stdout}`.trim();
}

/** What a program of the container writes to a file there while it runs. */
function followIn(scope: Scope, container: Real, name: string, command: string): () => string {
  // Runtimes that end leave what they have started.
  scope.defer(async () => {
    await container.run(["/bin/sh", "-c", `kill -9 $(cat /tmp/${name}.pid)`]);
  });
  const script = `echo $$ >/tmp/${name}.pid; exec ${command} >/tmp/${name} 2>&1`;
  container.background(scope, ["/bin/sh", "-c", script]);
  const path = join(container.rootfs, "tmp", name);
  return () => (existsSync(path) ? readFileSync(path, "utf8") : "");
}

/** The daemon's program and configuration are in /tmp/NAME; returns what it has written down. */
function startLogger(scope: Scope, container: Real, logger: Logger, files: string): () => string {
  const seen = `/tmp/${logger.name}`;
  const work = `${seen}/work`;
  const inside = (path: string) => join(container.rootfs, path);
  cpSync(files, inside(seen), { recursive: true, verbatimSymlinks: true });
  mkdirSync(inside(work));
  const place = { files, seen, work };
  writeFileSync(inside(`${work}/conf`), logger.configuration(place));
  const said = followIn(
    scope,
    container,
    `said-by-${logger.name}`,
    startLine(logger, place).join(" "),
  );
  const out = inside(`${work}/out`);
  return () => (existsSync(out) ? readFileSync(out, "utf8") : said());
}

const occurrences = (text: string, part: string): number => text.split(part).length - 1;

/** Those that may: every way to read it, before and after what is written and what is killed. */
async function isReadByPrograms(scope: Scope, daemon: Daemon, container: Real): Promise<void> {
  const following = followIn(scope, container, "followed", "dmesg -w");
  const reading = followIn(scope, container, "read", "cat /dev/kmsg");
  await until("both read", () => [following, reading].every((text) => hasBanner(text())));
  await container.output(["/bin/sh", "-c", "echo '<29>written inside' >/dev/kmsg"]);
  const { workerPid, generation } = await statusOf(daemon);
  process.kill(workerPid, "SIGKILL");
  await servingAfter(daemon, generation);
  const kill = `Killed process ${await starve(container)} (tail)`;
  await until("both are told of the kill", () =>
    [following, reading].every((text) => text().includes(kill)),
  );
  for (const text of [following(), reading()]) {
    expect(
      ["Linux version", "written inside", kill].map((part) => occurrences(text, part)),
    ).toEqual([1, 1, 1]);
  }
  const messages: string[] = JSON.parse(await container.output(["dmesg", "-J"])).dmesg.map(
    ({ msg }: { msg: string }) => msg,
  );
  expect(messages[0]).toMatch(/^Linux version /);
  expect(messages.filter((text) => text.includes(kill))).toHaveLength(1);
  const dated = (await container.output(["dmesg", "-T"])).split("\n");
  const date = /^\[(.*?)\]/.exec(dated.find((line) => line.includes(kill)) ?? "")?.[1] ?? "";
  expect(Math.abs(Date.parse(`${date} UTC`) - Date.now())).toBeLessThan(60_000);
  const large = await container.output(["dd", "if=/dev/kmsg", "bs=64k", `count=${BANNER}`]);
  expect(large.trimEnd().split("\n")).toHaveLength(BANNER);
  const small = await container.run(["dd", "if=/dev/kmsg", "bs=1", "count=1"]);
  expect([small.status, `${small.stdout}`]).toEqual([1, ""]);
  expect(`${small.stderr}`).toContain("Invalid argument");
  expect(await container.output(["dd", "if=/proc/kmsg", "bs=1", "count=3"])).toMatch(/^<\d>$/);
}

describeLive("kernel logs of real runtimes", ["dmesg"], () => {
  const scope = fileScope();
  let daemon: Daemon;

  beforeAll(async () => {
    daemon = await Daemon.start(scope);
  });

  for (const kind of [LXC, MAPPED_LXC, RUNC, CRUN, PODMAN]) {
    describeLive(kind.name, kind.needs, () => {
      it("has in its log what it writes there, and what the kernel tells of it", async () => {
        const container = await kind.start(testScope(), daemon, false);
        await report(daemon, container.init);
        expect(filesOf(container.init)).toEqual(expect.arrayContaining(PLACES));
        // root of the node, which has every capability.
        const enter = ["-t", `${container.init}`, "-m", "-p", "-C", "--", "dmesg"];
        const log = () => output(["nsenter", ...enter]);
        expect((await log()).trim().split("\n")).toHaveLength(BANNER);
        await container.output(["/bin/sh", "-c", "echo '<29>written inside' >/dev/kmsg"]);
        const kill = `Killed process ${await starve(container)} (tail)`;
        const text = await until("the kill is told", async () => {
          const now = await log();
          return now.includes(kill) && now;
        });
        expect(text).toContain("Linux version");
        expect(text).toContain("written inside");
        expect(text).not.toContain(basename(hierarchyOf(container.init, "memory")));
        if (kind.privileged === true) {
          expect(await container.output(["dmesg"])).toBe(text);
          return;
        }
        // These give no CAP_SYSLOG.
        const restricted = readFileSync("/proc/sys/kernel/dmesg_restrict", "utf8") !== "0\n";
        expect((await container.run(["cat", "/proc/kmsg"])).stderr).toContain("not permitted");
        const head = await container.run(["head", "-c", "10", "/dev/kmsg"]);
        expect(head.status === 0).toBe(!restricted);
      });
    });
  }

  for (const kind of inLong([LXC, RUNC], [LXC, MAPPED_LXC, RUNC, CRUN, PODMAN])) {
    describeLive(kind.name, kind.needs, () => {
      it("programs read it, over workers", async () => {
        const own = testScope();
        const container = await kind.start(own, daemon, true);
        await report(daemon, container.init);
        await isReadByPrograms(own, daemon, container);
      });
    });
  }

  const [rsyslog, syslogNg] = LOGGERS as [Logger, Logger];
  // Both read a container's own log in kmsg-daemons.test.ts.
  const short: readonly (readonly [Kind, Logger])[] = [[LXC, rsyslog]];
  const more: readonly (readonly [Kind, Logger])[] = [
    [RUNC, syslogNg],
    [PODMAN, rsyslog],
  ];
  const others = [MAPPED_LXC, CRUN].flatMap((kind) =>
    LOGGERS.map((logger) => [kind, logger] as const),
  );
  for (const [kind, logger] of inLong(short, [...short, ...more, ...others])) {
    describeLive(kind.name, kind.needs, () => {
      it(`${logger.name} has each record once`, async ({ skip }) => {
        const files = await unpacked(logger.name, logger.packages);
        if (files === undefined) {
          return skip(`Debian's ${logger.name} is not to be had`);
        }
        const own = testScope();
        const container = await kind.start(own, daemon, true);
        await report(daemon, container.init);
        const logged = startLogger(own, container, logger, files);
        const written = async (text: string) => {
          await until(`it has ${text}`, () => logged().includes(text)).catch((error) => {
            throw new Error(`${logged()}`, { cause: error });
          });
        };
        await written("Linux version");
        const kill = `Killed process ${await starve(container)} (tail)`;
        await written(kill);
        expect(occurrences(logged(), "Linux version")).toBe(1);
        expect(occurrences(logged(), kill)).toBe(1);
      });
    });
  }
});

// What operators' tools see of real containers: the exporter, and a real Prometheus behind it.

import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, it } from "vitest";
import { errnoOf } from "../../src/errors.js";
import { totalsOf } from "../../src/metrics/survey.js";
import { hierarchyOf, isV2, MIB } from "../support/cgroups.js";
import { haveProgram, run, runSync } from "../support/command.js";
import { bindsOf, Container } from "../support/container.js";
import { Daemon, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { deviceOf, diskOf } from "../support/disks.js";
import { testName } from "../support/names.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";
import {
  figureOf,
  freePort,
  Prometheus,
  type Served,
  serveMetrics,
} from "../support/prometheus.js";
import { fileScope, testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";
import { replaceWorker } from "./never-down-support.js";

const MONITORING = join(project, "packaging/monitoring");
const RULES = join(MONITORING, "vprocfs.rules.yml");
const BLKIO_BYTES = "blkio.throttle.io_service_bytes_recursive";

/** True when it is gone. */
function rmdir(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EBUSY") {
      return false;
    }
    throw error;
  }
}

async function idOf(container: Container, daemon: Daemon): Promise<string> {
  return await container.id(daemon);
}

describeLive("metrics", [], () => {
  const scope = fileScope();
  /** For tests that leave it as it is, and look at containers of their own. */
  let served: Served;

  beforeAll(async () => {
    served = await serveMetrics(scope);
  });

  it("tell of a container what its cgroup tells", async () => {
    const own = testScope();
    const { daemon, scrape } = served;
    const container = await Container.start(own, { memory: 64 * MIB, quota: 1.5 });
    const id = await idOf(container, daemon);
    await container.shell("head -c 8388608 /dev/zero >/dev/null; cat /proc/self/status >/dev/null");
    const text = await scrape();
    expect(figureOf(text, "memory_limit_bytes", id)).toBe(64 * MIB);
    expect(figureOf(text, "memory_total_bytes", id)).toBe(64 * MIB);
    expect(figureOf(text, "cpu_limit_cores", id)).toBe(1.5);
    expect(figureOf(text, "cpus", id)).toBe(2);
    expect(figureOf(text, "memory_usage_bytes", id)).toBeGreaterThan(0);
    expect(figureOf(text, "memory_available_bytes", id)).toBeLessThanOrEqual(64 * MIB);
    // Page cache can be dropped, and the node has more than that.
    const headroom = figureOf(text, "memory_headroom_bytes", id) ?? 0;
    expect(headroom).toBeGreaterThan(32 * MIB);
    expect(headroom).toBeLessThan(64 * MIB);
    // Its own use and what its limits leave are the whole.
    const usage = figureOf(text, "memory_usage_bytes", id) ?? 0;
    const held = usage - (figureOf(text, "memory_reclaimable_bytes", id) ?? 0);
    expect(Math.abs(64 * MIB - headroom - held)).toBeLessThanOrEqual(MIB);
    expect(figureOf(text, "pids", id)).toBeGreaterThanOrEqual(1);
    expect(figureOf(text, "oom_kills_total", id)).toBe(0);
    const started = figureOf(text, "start_time_seconds", id) ?? 0;
    expect(Math.abs(Date.now() / 1000 - started)).toBeLessThan(120);
    expect(figureOf(await scrape(), "start_time_seconds", id)).toBe(started);
  });

  it("count requests by file, result and container", async () => {
    const own = testScope();
    const { daemon, scrape } = served;
    const container = await Container.start(own, { memory: 64 * MIB });
    const id = await idOf(container, daemon);
    const requests = (text: string): number =>
      Number(
        /^vprocfs_requests_total\{file="proc\/meminfo",result="ok"\} (\d+)$/m.exec(text)?.[1] ?? 0,
      );
    const before = await scrape();
    await container.read(daemon.path("proc/meminfo"));
    const after = await scrape();
    expect(requests(after)).toBeGreaterThanOrEqual(requests(before) + 3);
    expect(figureOf(after, "requests_total", id) ?? 0).toBeGreaterThan(
      figureOf(before, "requests_total", id) ?? 0,
    );
    const opens = /^vprocfs_request_duration_seconds_count\{operation="open"\} (\d+)$/m;
    expect(Number(opens.exec(after)?.[1])).toBeGreaterThan(0);
    expect(after).toMatch(/^vprocfs_worker_generation 1$/m);
  });

  it("date a kill for want of memory and name its victim", async () => {
    const own = testScope();
    const { daemon, scrape } = served;
    const container = await Container.start(own, { memory: 16 * MIB, swap: 0 });
    const id = await idOf(container, daemon);
    const begun = Date.now() / 1000;
    const hog = await run(container.command(["tail", "/dev/zero"]));
    expect(hog.signal ?? hog.status).not.toBe(0);
    const text = await until("the kill is counted", async () => {
      const now = await scrape();
      return (figureOf(now, "oom_kills_total", id) ?? 0) >= 1 && now;
    });
    expect(figureOf(text, "memory_events_total", id, 'event="oom_kill"')).toBeGreaterThanOrEqual(1);
    const time = figureOf(text, "last_oom_kill_timestamp_seconds", id) ?? 0;
    // The kernel's log is dated by a clock of its own.
    expect(time).toBeGreaterThan(begun - 5);
    expect(time).toBeLessThan(Date.now() / 1000 + 5);
  });

  it("count kills of a container that has ended before a scrape", async () => {
    const own = testScope();
    // Only this test scrapes it.
    const { daemon, scrape } = await serveMetrics(own);
    const counted = async () => {
      const found = /^vprocfs_ended_container_oom_kills_total (\d+)$/m.exec(await scrape());
      return Number(found?.[1] ?? Number.NaN);
    };
    const container = await Container.start(own, { memory: 16 * MIB, swap: 0 });
    await idOf(container, daemon);
    const before = await counted();
    await run(container.command(["tail", "/dev/zero"]));
    await container.kill();
    // Containers of other tests may end by a kill meanwhile.
    await until("the kill is counted", async () => (await counted()) > before);
  });

  it.skipIf(isV2)("count on what the kernel does not keep", async (context) => {
    const device = deviceOf("/var/tmp");
    context.skip(!existsSync(`/sys/dev/block/${device}`), "/var/tmp is on no block device");
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own, "--standby", "on");
    const container = await Container.start(own, { memory: 64 * MIB });
    const id = await idOf(container, daemon);
    // v1 counts on devices that have a limit.
    const limit = `${diskOf(device).number} ${1024 * MIB}`;
    container.cgroup.write("blkio", "blkio.throttle.write_bps_device", limit);
    const inner = join(container.cgroup.directory("blkio"), "inner");
    const written = join("/var/tmp", testName("written"));
    own.defer(() => rmSync(written, { force: true }));
    mkdirSync(inner);
    const write =
      'echo $$ >"$1/cgroup.procs"; exec dd if=/dev/zero of="$2" bs=1M count=4 oflag=direct';
    expect((await run(["sh", "-c", write, "sh", inner, written])).status).toBe(0);
    const figures = async (): Promise<{ writtenBytes: number; throttled: number }> =>
      until("the container is told", async () => {
        const text = await scrape().catch(() => "");
        const writtenBytes = figureOf(text, "written_bytes_total", id);
        const throttled = figureOf(text, "cpu_throttled_seconds_total", id);
        return writtenBytes !== undefined && throttled !== undefined && { writtenBytes, throttled };
      });
    const before = await figures();
    expect(before.writtenBytes).toBeGreaterThanOrEqual(4 * MIB);
    await until("nobody is in it", () => rmdir(inner));
    const counts = join(container.cgroup.directory("blkio"), BLKIO_BYTES);
    await until("the kernel has taken its part out", () => {
      return Number(/Write (\d+)/.exec(readFileSync(counts, "utf8"))?.[1] ?? 0) < 4 * MIB;
    });
    expect((await figures()).writtenBytes).toBeGreaterThanOrEqual(before.writtenBytes);
    const file = `${totalsOf(daemon.mountpoint)}.counters`;
    const text = readFileSync(file, "utf8");
    const line = new RegExp(`^(${id} \\d+) 0 (\\d+ \\d+ \\d+ [1-9]\\d*)$`, "m");
    expect(text).toMatch(line);
    await replaceWorker(daemon, "kill");
    expect((await figures()).writtenBytes).toBeGreaterThanOrEqual(before.writtenBytes);
    // As if quotas above it had taken seven seconds, which the kernel tells since 6.6.
    writeFileSync(file, text.replace(line, "$1 7000000 $2"));
    await replaceWorker(daemon, "reload");
    const after = await figures();
    expect(after.throttled).toBeGreaterThanOrEqual(before.throttled + 7);
    expect(after.writtenBytes).toBeGreaterThanOrEqual(before.writtenBytes);
    // Half a file is none, and another life's counts are nobody's.
    for (const bad of ["vprocfs-counters 1\nhalf", text.replace(line, `${id} 1 7000000 0 0 0 0`)]) {
      writeFileSync(file, bad);
      await replaceWorker(daemon, "kill");
      expect((await figures()).throttled).toBe(before.throttled);
    }
  });

  it.skipIf(isV2)("count on when a worker ends whose kills the log has forgotten", async () => {
    const own = testScope();
    const { daemon, scrape } = await serveMetrics(own, "--standby", "on");
    const file = `${totalsOf(daemon.mountpoint)}.kills`;
    own.defer(() => rmSync(file, { force: true }));
    const container = await Container.start(own, { memory: 16 * MIB, swap: 0 });
    const id = await idOf(container, daemon);
    const below = join(hierarchyOf(container.init, "memory"), "below");
    mkdirSync(below);
    own.defer(() => until("nobody is in it", () => rmdir(below)));
    const kill = () => run(["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec tail /dev/zero', below]);
    const counted = (kills: number) =>
      until(`${kills} kills are counted`, async () => {
        const text = await scrape().catch(() => "");
        return figureOf(text, "oom_kills_total", id) === kills;
      });
    const reload = async (generation: number) => {
      expect((await vprocfs("reload", "--mountpoint", daemon.mountpoint)).status).toBe(0);
      await until("the next worker serves metrics", async () => {
        const text = await scrape().catch(() => "");
        return text.includes(`vprocfs_worker_generation ${generation}\n`);
      });
    };
    await kill();
    await counted(1);
    await reload(2);
    await counted(1);
    // As if six more had been counted before.
    const text = readFileSync(file, "utf8");
    expect(text).toMatch(new RegExp(`^${id} 1 \\d+$`, "m"));
    writeFileSync(file, text.replace(`${id} 1 `, `${id} 7 `));
    await reload(3);
    await counted(7);
    await kill();
    await counted(8);
    // Commands of an operator go on from there too, and leave it to the worker to keep that.
    const kept = readFileSync(file, "utf8");
    await kill();
    const words = ["top", "--json", "--interval", "0.01", "--filter", id];
    const top = await vprocfs(...words, "--mountpoint", daemon.mountpoint);
    expect(JSON.parse(`${top.stdout}`)).toMatchObject([{ id, oomKills: 9 }]);
    expect(readFileSync(file, "utf8")).toBe(kept);
    await counted(9);
    writeFileSync(file, `vprocfs-kills 1\n${id} 9 9\n`);
    await reload(4);
    // Half a file is none: the log still has all three.
    await counted(3);
  });

  it("are said to be missing by a reload while another program has the address", async () => {
    const own = testScope();
    const other = createServer().listen(0, "127.0.0.1");
    own.defer(() => void other.close());
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const daemon = await Daemon.start(own, "--metrics", `127.0.0.1:${port}`, "--standby", "on");
    const reload = async () => (await vprocfs("reload", "--mountpoint", daemon.mountpoint)).stderr;
    expect(await reload()).toContain("it serves without metrics: the address is in use");
    other.close();
    expect(await reload()).toBe("");
  });

  it("keep names apart whatever is in them", async () => {
    const own = testScope();
    const { daemon, scrape } = served;
    const odd = 'qu"o\\te-größe-\u65e5{id="1"}';
    const container = await Container.start(own, { name: odd, memory: 64 * MIB });
    const id = await idOf(container, daemon);
    const text = await scrape();
    const escaped = container.cgroup.name.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    expect(text).toContain(`id="${id}",name="${escaped}"`);
    if (haveProgram("promtool")) {
      const checked = runSync(["promtool", "check", "metrics"], { input: text });
      expect(`${checked.stdout}${checked.stderr}`).toBe("");
    }
  });

  it("count the files that are mounted inside", async () => {
    const own = testScope();
    const { daemon, scrape } = served;
    const bound = await Container.start(own, { name: "bound", binds: bindsOf(daemon) });
    const bare = await Container.start(own, { name: "bare" });
    const [first, second] = [await idOf(bound, daemon), await idOf(bare, daemon)];
    const text = await scrape();
    expect(figureOf(text, "mounted_files", first)).toBe(bindsOf(daemon).length);
    expect(figureOf(text, "mounted_files", second)).toBe(0);
    expect(figureOf(text, "lxcfs_files", second)).toBeUndefined();
    // Its watcher is off.
    expect(figureOf(text, "wanted", second)).toBe(0);
    expect(figureOf(text, "dead_files", first)).toBeUndefined();
  });

  it("count the files of a vprocfs that has ended apart", async () => {
    const own = testScope();
    // Of their own: daemons of other tests take dead files of the usual name out of all containers when they stop.
    const identity = ["--fs-type", "fuse.dead", "--source", testName("dead")];
    const { daemon, scrape } = await serveMetrics(own, ...identity);
    const ended = await Daemon.start(own, ...identity);
    const binds = bindsOf(ended);
    const container = await Container.start(own, { name: "dead", binds });
    const id = await idOf(container, daemon);
    await ended.stop();
    const text = await scrape();
    expect(figureOf(text, "mounted_files", id)).toBe(0);
    expect(figureOf(text, "dead_files", id)).toBe(binds.length);
  });

  it("vanish with their container, many of which may come and go", async () => {
    const { daemon, scrape } = served;
    const life = testScope();
    const ids: string[] = [];
    for (let batch = 0; batch < 3; batch += 1) {
      const started = Array.from({ length: 10 }, async (_, i) => {
        const options = { name: `brief${batch}-${i}`, memory: 16 * MIB };
        return idOf(await Container.start(life, options), daemon);
      });
      ids.push(...(await Promise.all(started)));
      const text = await scrape();
      expect(ids.filter((id) => figureOf(text, "memory_limit_bytes", id) === undefined)).toEqual(
        [],
      );
    }
    await life.close();
    const text = await scrape();
    expect(ids.filter((id) => text.includes(`id="${id}"`))).toEqual([]);
  });

  it("stay whole over reloads and crashes of the worker", async () => {
    const own = testScope();
    const { daemon, port, scrape } = await serveMetrics(own, "--standby", "on");
    const container = await Container.start(own, { memory: 64 * MIB });
    const id = await idOf(container, daemon);
    // Counted by the kernel, and by a worker that may be a new one.
    const [used, asked] = ["cpu_seconds_total", "requests_total"];
    let [scrapes, before] = [0, 0];
    let isOver = false;
    container.start(own, [
      "sh",
      "-c",
      `while :; do cat ${daemon.path("proc/stat")} >/dev/null; done`,
    ]);
    const scraper = (async () => {
      while (!isOver) {
        // What the worker that ends has accepted is cut off; nobody is refused.
        const text = await scrape().catch((error: Error) => {
          expect(`${error.cause}`).not.toContain("ECONNREFUSED");
          return undefined;
        });
        if (text !== undefined) {
          scrapes += 1;
          expect(figureOf(text, "memory_limit_bytes", id)).toBe(64 * MIB);
          expect(text).toMatch(/^vprocfs_worker_generation \d+$/m);
          const now = figureOf(text, used, id, 'mode="user"') ?? Number.NaN;
          expect(now).toBeGreaterThanOrEqual(before);
          before = now;
          const requests = figureOf(text, asked, id) ?? Number.NaN;
          expect(Number.isSafeInteger(requests) && requests >= 0 && requests < 1e7).toBe(true);
        }
        await sleep(20);
      }
    })();
    for (let generation = 2; generation <= 4; generation += 1) {
      if (generation === 3) {
        const status = JSON.parse(
          `${(await vprocfs("status", "--json", "--mountpoint", daemon.mountpoint)).stdout}`,
        );
        process.kill(status.workerPid, "SIGKILL");
      } else {
        expect((await vprocfs("reload", "--mountpoint", daemon.mountpoint)).status).toBe(0);
      }
      await until("the next worker serves metrics", async () => {
        const text = await scrape().catch(() => "");
        return text.includes(`vprocfs_worker_generation ${generation}\n`);
      });
    }
    isOver = true;
    await scraper;
    expect(scrapes).toBeGreaterThan(0);
    expect(daemon.logs).not.toContain("the address is in use");
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  });

  it("leave an address as soon as it is not theirs any more", async () => {
    const own = testScope();
    const file = join(temporaryDirectory(own, "config"), "vprocfs.toml");
    const [before, after] = [await freePort(), await freePort()];
    const configure = (metrics: string) => writeFileSync(file, `metrics = "${metrics}"\n`);
    const answers = async (port: number) => {
      const page = await fetch(`http://127.0.0.1:${port}/healthz`).catch((error) => error.cause);
      return page.code ?? page.status;
    };
    configure(`127.0.0.1:${before}`);
    const daemon = await Daemon.start(own, "--config", file);
    await until("metrics are served", () => daemon.logs.includes("serving metrics"));
    const reload = async (metrics: string) => {
      configure(metrics);
      expect((await vprocfs("reload", "--mountpoint", daemon.mountpoint)).status).toBe(0);
      await until("the old worker ends", async () => (await answers(before)) === "ECONNREFUSED");
    };
    await reload(`127.0.0.1:${after}`);
    expect(await until("they are there", () => answers(after))).toBe(200);
    await reload("off");
    await until("nobody listens", async () => (await answers(after)) === "ECONNREFUSED");
  });

  it("do not keep files from being served when their port is taken", async () => {
    const own = testScope();
    const first = await serveMetrics(own);
    const second = await Daemon.start(own, "--metrics", `127.0.0.1:${first.port}`);
    await until("it warns", () => second.logs.includes("cannot serve metrics yet, retrying"));
    expect(second.logs.match(/cannot serve metrics yet/g)).toHaveLength(1);
    expect(await second.read("proc/meminfo")).toContain("MemTotal");
  });
});

/** The expressions of a dashboard with its variables set to anything. */
function queriesOf(dashboard: string): string[] {
  const found: string[] = [];
  JSON.parse(dashboard, (key, value: unknown) => {
    if (typeof value === "string" && (key === "expr" || key === "query")) {
      found.push(value);
    }
    return value;
  });
  return found
    .map((query) => /^label_values\((.*), \w+\)$/.exec(query)?.[1] ?? query)
    .filter((query) => query !== "prometheus")
    .map((query) =>
      query.replaceAll("$__rate_interval", "10s").replaceAll(/\$\{?\w+(:\w+)?\}?/g, ".*"),
    );
}

describeLive("a real Prometheus", ["prometheus", "promtool"], () => {
  const scope = fileScope();
  let daemon: Daemon;
  let prometheus: Prometheus;

  beforeAll(async () => {
    const served = await serveMetrics(scope);
    daemon = served.daemon;
    prometheus = await Prometheus.start(scope, served.port, [RULES]);
  });

  it("answers what a container under load does, until it ends", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB, quota: 0.2 });
    const id = await idOf(container, daemon);
    container.start(own, ["sh", "-c", "while :; do :; done"]);
    const select = `{id="${id}"}`;
    await until("it is seen to use CPU time and to be throttled", async () => {
      const busy = await prometheus.value(
        `sum(rate(vprocfs_container_cpu_seconds_total${select}[5s]))`,
      );
      const throttled = await prometheus.value(
        `rate(vprocfs_container_cpu_throttled_periods_total${select}[5s])`,
      );
      return (busy ?? 0) > 0 && (throttled ?? 0) > 0;
    });
    expect(await prometheus.value(`vprocfs_container_cpu_limit_cores${select}`)).toBe(0.2);
    expect(await prometheus.value(`vprocfs_container_memory_limit_bytes${select}`)).toBe(64 * MIB);
    const busy = await prometheus.value(`sum(vprocfs_container_cpu_seconds_total${select})`);
    // Read later: what the cgroup has used since is at most what it uses now. Ticks are 10 ms.
    expect(busy).toBeLessThanOrEqual(container.cgroup.cpuSeconds + 0.02);
    await container.kill();
    await until("its series end", async () => {
      return (await prometheus.query(`vprocfs_container_info${select}`)).length === 0;
    });
    expect(await prometheus.query(`{__name__=~"vprocfs_container_.*",id="${id}"}`)).toEqual([]);
    expect(await prometheus.value('up{job="vprocfs"}')).toBe(1);
  });

  it("runs every rule and every query of the dashboards", async () => {
    const own = testScope();
    const container = await Container.start(own, { memory: 64 * MIB, quota: 0.2 });
    container.start(own, [
      "sh",
      "-c",
      `while :; do cat ${daemon.path("proc/meminfo")} >/dev/null; done`,
    ]);
    await until("rules have been evaluated", async () => {
      return (await prometheus.query("vprocfs:container_memory_used:ratio")).length > 0;
    });
    const failing = await (await fetch(`${prometheus.url}/api/v1/rules`)).text();
    expect(failing).not.toContain('"health":"err"');
    const dashboards = readdirSync(MONITORING).filter((name) => name.endsWith(".json"));
    expect(dashboards.length).toBeGreaterThan(0);
    for (const name of dashboards) {
      const queries = queriesOf(readFileSync(join(MONITORING, name), "utf8"));
      expect(queries.length).toBeGreaterThan(10);
      for (const query of queries) {
        await until(`an answer to: ${query}`, async () => {
          // What counts failures may have nothing to tell.
          const isRare = /oom|restart|refused|errors|pressure|late|dead/.test(query);
          return (await prometheus.query(query)).length > 0 || isRare;
        });
      }
    }
  });

  it("finds the rules good, and their tests pass", async () => {
    const rules = await run(["promtool", "check", "rules", RULES]);
    expect(rules.status, rules.stderr).toBe(0);
    const tests = join(MONITORING, "vprocfs.rules.test.yml");
    const tested = await run(["promtool", "test", "rules", tests]);
    expect(tested.status, tested.stdout.toString() + tested.stderr).toBe(0);
  });
});

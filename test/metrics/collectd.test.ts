// What collectd is handed, by each awk that is installed.

import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { haveProgram, output, run } from "../support/command.js";
import { project } from "../support/project.js";

const SCRIPT = join(project, "packaging/monitoring/vprocfs-collectd");
const awks = ["mawk", "gawk", "busybox"].filter(haveProgram);
const missing = haveProgram("curl") ? "" : " (skipped: no curl)";

/** Served at a unix socket until the test ends; and a directory for programs that the script shall find first. */
async function serving(metrics: string) {
  const directory = mkdtempSync(join(tmpdir(), "vprocfs-collectd-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const bin = join(directory, "bin");
  mkdirSync(bin);
  const slept = join(directory, "slept");
  writeFileSync(slept, "");
  writeFileSync(join(bin, "sleep"), `#!/bin/sh\necho "$1" >>'${slept}'\n`);
  chmodSync(join(bin, "sleep"), 0o755);
  const socket = join(directory, "socket");
  const server = createServer((_, response) => response.end(metrics));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(() => {
    server.close();
  });
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, COLLECTD_HOSTNAME: "h" };
  return { bin, slept, socket, env };
}

interface Options {
  readonly awk?: string;
  readonly interval?: string;
  readonly rounds?: number;
}

/** What the script prints of these metrics, and how long it sleeps between its rounds. */
async function collected(metrics: string, { awk, interval = "10", rounds = 1 }: Options = {}) {
  const { bin, slept, socket, env: some } = await serving(metrics);
  if (awk !== undefined) {
    symlinkSync((await output(["sh", "-c", `command -v ${awk}`])).trim(), join(bin, "awk"));
  }
  const env = { ...some, COLLECTD_INTERVAL: interval };
  const lines = (await output([SCRIPT, socket, String(rounds)], { env })).trim().split("\n");
  return { lines, slept: readFileSync(slept, "utf8").trim().split("\n") };
}

describe.runIf(missing === "")(`vprocfs-collectd${missing}`, () => {
  it.each(awks)("counts in whole milliseconds, however many, with %s", async (awk) => {
    const seconds = ["0", "1.5", "2147483.647", "2147483.649", "123456789.25", "9007199254741.5"];
    const text = seconds.map(
      (value, index) =>
        `vprocfs_container_cpu_seconds_total{mode="user",id="${index}",name="c${index}",runtime=""} ${value}\n`,
    );
    const { lines } = await collected(text.join(""), { awk });
    expect(lines).toEqual(
      ["0", "1500", "2147483647", "2147483649", "123456789250", "9007199254741500"].map(
        (value, index) => `PUTVAL "h/vprocfs-c${index}/derive-cpu_user_ms" interval=10 N:${value}`,
      ),
    );
  });

  it.each(awks)("keeps a nested container apart from a neighbour, with %s", async (awk) => {
    const text = ["web1/inner", "web1_inner", "web1~inner"].map(
      (name, index) => `vprocfs_container_pids{id="${index}",name="${name}",runtime="lxc"} 3\n`,
    );
    const { lines } = await collected(text.join(""), { awk });
    expect(lines).toEqual(
      ["web1~inner", "web1_inner~~1", "web1_inner~~2"].map(
        (name) => `PUTVAL "h/vprocfs-${name}/gauge-tasks" interval=10 N:3`,
      ),
    );
  });

  it.each(awks)("keeps two containers with one name apart, with %s", async (awk) => {
    const figure = (name: string, labels: string, value: number) =>
      `vprocfs_container_${name}{${labels}} ${value}\n`;
    const [lxc, docker, db] = [
      'id="5a",name="web1",runtime="lxc"',
      'id="6b",name="web1",runtime="docker"',
      'id="7c",name="db",runtime="lxc"',
    ] as const;
    const text = [
      figure("pids", lxc, 1),
      figure("pids", docker, 2),
      figure("pids", db, 3),
      figure("cpu_seconds_total", `mode="user",${lxc}`, 4),
    ];
    expect((await collected(text.join(""), { awk })).lines).toEqual(
      [
        "web1~~5a/gauge-tasks 1",
        "web1~~6b/gauge-tasks 2",
        "db/gauge-tasks 3",
        "web1~~5a/derive-cpu_user_ms 4000",
      ].map((one) => {
        const [name, value] = one.split(" ");
        return `PUTVAL "h/vprocfs-${name}" interval=10 N:${value}`;
      }),
    );
  });

  it.each(awks)(
    "cuts names that collectd does not take, and keeps them apart, with %s",
    async (awk) => {
      const longest = "n".repeat(127);
      const names = [longest, `${longest}n`, `${longest}x/é`, "o".repeat(125), "o".repeat(125)];
      const text = names.map(
        (name, index) => `vprocfs_container_pids{id="5${index}",name="${name}",runtime="lxc"} 3\n`,
      );
      const instances = (await collected(text.join(""), { awk })).lines.map(
        (line) => /^PUTVAL "h\/vprocfs-(.*)\/gauge-tasks" interval=10 N:3$/.exec(line)?.[1],
      );
      expect(instances).toEqual([
        longest,
        ...["n", "n", "o", "o"].map((letter, index) => `${letter.repeat(123)}~~5${index + 1}`),
      ]);
    },
  );

  it("tells CPU time of all modes", async () => {
    const text = ["user", "nice", "system"].map(
      (mode, index) =>
        `vprocfs_container_cpu_seconds_total{mode="${mode}",id="1",name="c",runtime=""} ${index}\n`,
    );
    expect((await collected(text.join(""))).lines).toEqual(
      ["user", "nice", "system"].map(
        (mode, index) => `PUTVAL "h/vprocfs-c/derive-cpu_${mode}_ms" interval=10 N:${1000 * index}`,
      ),
    );
  });

  it.each([
    ["0.5", "1"],
    [".5", "1"],
    ["0", "1"],
    ["2.500", "2"],
  ])("sleeps at an interval of %s for %s s", async (interval, expected) => {
    const text = 'vprocfs_container_pids{id="1",name="c",runtime=""} 3\n';
    const { lines, slept } = await collected(text, { interval, rounds: 3 });
    expect(slept).toEqual([expected, expected]);
    expect(lines[0]).toBe(`PUTVAL "h/vprocfs-c/gauge-tasks" interval=${expected} N:3`);
  });

  const cases = awks.flatMap((awk) => ["", "trap '' PIPE; "].map((trap) => [awk, trap] as const));
  it.each(cases)("ends when nobody takes its values any more, with %s; %s", async (awk, trap) => {
    const { bin, slept, socket, env } = await serving(
      'vprocfs_container_pids{id="1",name="c",runtime=""} 3\n',
    );
    symlinkSync((await output(["sh", "-c", `command -v ${awk}`])).trim(), join(bin, "awk"));
    const alone = `${trap}{ ${SCRIPT} ${socket} 40; echo "ended with $?" >&2; } | :`;
    const { stderr } = await run(["sh", "-c", alone], { env });
    // By SIGPIPE, unless it is ignored.
    expect(`${stderr}`).toContain(`ended with ${trap === "" ? 128 + 13 : 1}\n`);
    expect(readFileSync(slept, "utf8").split("\n").length).toBeLessThan(40);
  });

  it("says why it has no values, and goes on", async () => {
    const { socket, env } = await serving("");
    const { status, stderr } = await run([SCRIPT, `${socket}.none`, "2"], { env });
    expect(status).toBe(0);
    expect(`${stderr}`.match(/^curl: \(7\)/gm)).toHaveLength(2);
  });
});

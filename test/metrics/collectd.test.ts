// What collectd is handed, by each awk that is installed.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { haveProgram, output } from "../support/command.js";
import { project } from "../support/project.js";

const SCRIPT = join(project, "packaging/monitoring/vprocfs-collectd");
const awks = ["mawk", "gawk", "busybox"].filter(haveProgram);
const missing = haveProgram("curl") ? "" : " (skipped: no curl)";

describe.runIf(missing === "")(`vprocfs-collectd${missing}`, () => {
  it.each(awks)("counts in whole milliseconds, however many, with %s", async (awk) => {
    const directory = mkdtempSync(join(tmpdir(), "vprocfs-collectd-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    mkdirSync(join(directory, "bin"));
    const program = (await output(["sh", "-c", `command -v ${awk}`])).trim();
    symlinkSync(program, join(directory, "bin/awk"));
    const seconds = ["0", "1.5", "2147483.647", "2147483.649", "123456789.25", "9007199254741.5"];
    const text = seconds.map(
      (value, index) =>
        `vprocfs_container_cpu_seconds_total{mode="user",id="${index}",name="c${index}",runtime=""} ${value}\n`,
    );
    const socket = join(directory, "socket");
    const server = createServer((_, response) => response.end(text.join("")));
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    onTestFinished(() => {
      server.close();
    });
    const path = `${join(directory, "bin")}:${process.env.PATH}`;
    const env = { ...process.env, PATH: path, COLLECTD_HOSTNAME: "h", COLLECTD_INTERVAL: "10" };
    const lines = (await output([SCRIPT, socket, "1"], { env })).trim().split("\n");
    expect(lines).toEqual(
      ["0", "1500", "2147483647", "2147483649", "123456789250", "9007199254741500"].map(
        (value, index) => `PUTVAL "h/vprocfs-c${index}/derive-cpu_user_ms" interval=10 N:${value}`,
      ),
    );
  });
});

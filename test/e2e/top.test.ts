// What top shows of real containers.

import { expect, it } from "vitest";
import { MIB } from "../support/cgroups.js";
import { background, haveProgram } from "../support/command.js";
import { Container } from "../support/container.js";
import { cli, Daemon, vprocfs } from "../support/daemon.js";
import { describeLive } from "../support/needs.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

describeLive("vprocfs top", [], () => {
  it("prints what containers do", async () => {
    const own = testScope();
    const daemon = await Daemon.start(own, "--metrics", "off");
    const container = await Container.start(own, { name: "busy", memory: 64 * MIB, quota: 0.2 });
    const id = await container.id(daemon);
    container.start(own, ["sh", "-c", "while :; do :; done"]);
    const place = ["--mountpoint", daemon.mountpoint];
    const row = await until("its work is seen", async () => {
      const args = ["--json", "--interval", "0.5", "--filter", id];
      const [found] = JSON.parse(`${(await vprocfs("top", ...args, ...place)).stdout}`);
      return found?.cpu > 0 && found.throttled > 0 && found;
    });
    expect(row).toMatchObject({ id, memoryTotal: 64 * MIB, oomKills: 0 });
    expect(row.memory).toBeGreaterThan(0);
    expect(row.requests).not.toBeNull();
    expect(row.figures.cpuLimit).toBe(0.2);
    const plain = `${(await vprocfs("top", "--interval", "0.1", "--filter", id)).stdout}`;
    expect(plain).toMatch(/^NAME +CPU +THROTTLED +MEM +USED/);
    expect(plain.trimEnd().split("\n")).toHaveLength(2);
  });

  it.each([
    [["--sort", "memry"], "no column 'memry', did you mean 'memory'?"],
    [["--interval", "0"], "expected a number"],
    [["--iterations", "x"], "expected a number"],
  ])("refuses %j in one line", async (args, message) => {
    const outcome = await vprocfs("top", ...args);
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toMatch(/^vprocfs: [^\n]*\n$/);
    expect(outcome.stderr).toContain(message);
  });

  it.runIf(haveProgram("script")).each([
    "cols 80 rows 24",
    // One that does not know its size.
    "cols 0 rows 0",
  ])("is live on a terminal with %s, and gives it back", async (size) => {
    const own = testScope();
    const container = await Container.start(own, { name: "shown", memory: 64 * MIB });
    // Of names only both ends are there where there is little room.
    const name = container.cgroup.name.slice(-4);
    const command = `stty ${size}; exec '${process.execPath}' '${cli}' top --interval 0.2 --metrics off`;
    const child = background(own, ["script", "-qec", command, "/dev/null"]);
    let screen = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      screen += text;
    });
    await until("a table is there", () => screen.includes("NAME") && screen.includes(name));
    expect(screen).toContain("\u001b[?1049h");
    child.stdin?.write("/nowhere\r");
    await until("it filters", () => screen.includes(" 0 of "));
    child.stdin?.write("q");
    await until("it ends", () => child.exitCode !== null);
    expect(child.exitCode).toBe(0);
    expect(screen).toContain("\u001b[?1049l");
  });

  it.runIf(haveProgram("script"))("gives the terminal back after a signal", async () => {
    const own = testScope();
    const command = `echo $$; exec '${process.execPath}' '${cli}' top --metrics off`;
    const child = background(own, ["script", "-qec", command, "/dev/null"]);
    let screen = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      screen += text;
    });
    await until("a table is there", () => screen.includes("NAME"));
    process.kill(Number.parseInt(screen, 10), "SIGINT");
    await until("it ends", () => child.exitCode !== null);
    expect(child.exitCode).toBe(0);
    expect(screen).toContain("\u001b[?1049l");
  });
});

// The command line as a program: what it prints reaches whoever reads it.

import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { background, closed, finished, output, run } from "../support/command.js";
import { cli, temporaryDirectory, vprocfs } from "../support/daemon.js";
import { Fifo } from "../support/fifo.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

/** More than a pipe has room for. */
const LONG = `/${"x".repeat(100_000)}`;
const LARGE = ["run", LONG, "--print-config"];
const PIPE_BYTES = 64 * 1024;

/** Runs it with its output into a pipe, and resolves when that is full or it has ended. */
async function filling(fifo: Fifo, argv = LARGE) {
  const fd = openSync(fifo.path, "w");
  const child = spawn(process.execPath, [cli, ...argv], { stdio: ["ignore", fd, "pipe"] });
  closeSync(fd);
  const end = finished(child);
  await until("the pipe is full", () => {
    if (child.exitCode !== null) {
      return true;
    }
    const [, bytes] = /^wchar: (\d+)$/m.exec(readFileSync(`/proc/${child.pid}/io`, "utf8")) ?? [];
    return Number(bytes) >= PIPE_BYTES;
  });
  return { child, end };
}

describe("a command line", () => {
  it("may give the configuration in a pipe of the shell's", async () => {
    const script = 'exec "$0" "$1" run --config <(echo "tick-ms = 0") --print-config';
    const { status, stderr } = await run(["bash", "-c", script, process.execPath, cli]);
    expect(stderr).toMatch(/^vprocfs: \/dev\/fd\/\d+: tick-ms: expected an integer/);
    expect(status).toBe(2);
  });

  it("does not serve with one in a pipe, of which its workers would get nothing", async () => {
    const script = 'exec "$0" "$1" run --config <(echo "watch = \'off\'") /nowhere';
    const { status, stderr } = await run(["bash", "-c", script, process.execPath, cli]);
    expect(stderr).toMatch(
      /^vprocfs: \/dev\/fd\/\d+: is a pipe, which each worker would read again$/m,
    );
    expect(status).toBe(2);
  });

  it.each([
    [["bench", "--nonsense"], 2],
    [["bench", "--trials", "some"], 2],
    [["bench", "--help"], 0],
    [["help", "bench"], 0],
  ])("%j ends with %i", async (argv, status) => {
    expect((await vprocfs(...argv)).status).toBe(status);
  });
});

it("a command that has loaded the addon ends without Node's own end, which may hang", async () => {
  const directory = temporaryDirectory(testScope(), "at-exit");
  const atExit = join(directory, "at-exit.cjs");
  writeFileSync(atExit, 'process.on("exit", () => { process.exitCode = 99; });');
  const status = async (...argv: readonly string[]) => {
    const command = [process.execPath, "--require", atExit, cli, ...argv];
    return (await run(command)).status;
  };
  expect(await status("--help")).toBe(99);
  expect(await status("check", "no-such-container")).toBe(3);
  expect(await status("show", "no-such-container")).toBe(1);
});

/** The only child of a process that has a file open; undefined: there is none yet. */
function childWith(path: string, pid = 0): number | undefined {
  try {
    const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8"));
    const links = readdirSync(`/proc/${child}/fd`).map((fd) =>
      readlinkSync(`/proc/${child}/fd/${fd}`),
    );
    return child > 0 && links.includes(path) ? child : undefined;
  } catch {
    return undefined;
  }
}

it("a signal to vprocfs bench reaches the benchmark, whose end it waits for", async () => {
  const own = testScope();
  const { path } = new Fifo(own);
  const wrapper = background(own, [process.execPath, cli, "bench", "--show", path]);
  const end = finished(wrapper);
  const child = await until("it reads", () => childWith(path, wrapper.pid));
  wrapper.kill("SIGINT");
  wrapper.kill("SIGTERM");
  expect(await end).toMatchObject({ status: 1, signal: null });
  expect(existsSync(`/proc/${child}`)).toBe(false);
});

describe("the output of a command", () => {
  const LOST = /^(?:vprocfs|bench): cannot write to stdout: [^\n]*ENOSPC[^\n]*\n$/;

  it.each([
    [["--help"]],
    [["run", "--print-config"]],
    [["ls", "--json"]],
    [["top", "--json", "--interval", "0.1", "--iterations", "1000000"]],
    [["bench", "--list"]],
  ])("of %j is an error if it cannot be written", async (argv) => {
    const script = 'exec "$@" >/dev/full';
    const { status, stderr } = await run(["sh", "-c", script, "-", process.execPath, cli, ...argv]);
    expect(stderr).toMatch(LOST);
    expect(status).toBe(1);
  });

  it("is an error too if only its beginning can be written", async () => {
    const place = temporaryDirectory(testScope(), "full");
    const script = `mount -t tmpfs -o size=64k tmpfs ${place} && exec "$@" >${place}/output`;
    const command = ["sh", "-c", script, "-", process.execPath, cli, ...LARGE];
    const { status, stderr } = await run(["unshare", "--mount", ...command]);
    expect(stderr).toMatch(LOST);
    expect(status).toBe(1);
  });

  it("keeps the exit status if nobody reads it", async () => {
    const own = testScope();
    const fifo = new Fifo(own);
    const { child, end } = await filling(fifo, ["check", "--mountpoint", LONG]);
    fifo.close();
    await closed(child, end);
    // Nothing is mounted there, which is critical.
    expect(await end).toMatchObject({ status: 2, stderr: "" });
  });

  it("is whole, however late it is read", async () => {
    const fifo = new Fifo(testScope());
    const { child, end } = await filling(fifo);
    let text = "";
    await until("it has ended", () => {
      text += fifo.drain();
      return child.exitCode !== null;
    });
    expect(await end).toMatchObject({ status: 0, stderr: "" });
    expect(text + fifo.drain()).toBe(await output([process.execPath, cli, ...LARGE]));
  });

  it("is waited for only while somebody may read it", async () => {
    const own = testScope();
    const fifo = new Fifo(own);
    const { child, end } = await filling(fifo);
    fifo.close();
    await closed(child, end);
    expect(await end).toMatchObject({ status: 0, stderr: "" });
  });
});

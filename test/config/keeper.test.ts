import fs, { existsSync, mkdtempSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { askSocket } from "../../src/keeper.js";
import { nativeCandidates } from "../../src/layout.js";
import { within } from "../../src/within.js";
import { runSync } from "../support/command.js";
import { testName } from "../support/names.js";
import { DEADLINE_MS } from "../support/wait.js";

/** A keeper that hangs up on so many who ask, and answers all later ones. */
async function keeper(deaf: number): Promise<{ path: string; asked: () => number }> {
  const directory = mkdtempSync(join(tmpdir(), testName("keeper-")));
  const path = join(directory, "sock");
  let asked = 0;
  const server = createServer((client) => {
    client.on("error", () => {});
    asked += 1;
    if (asked <= deaf) {
      client.destroy();
      return;
    }
    client.once("data", (text) => client.end(`heard ${text}`));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { path, asked: () => asked };
}

/** A keeper that takes a command and is silent. */
async function silentKeeper(): Promise<{ path: string; heard: Promise<Socket> }> {
  const directory = mkdtempSync(join(tmpdir(), testName("keeper-")));
  const path = join(directory, "sock");
  const server = createServer();
  const heard = new Promise<Socket>((resolve) => {
    server.on("connection", (client) => {
      client.once("data", () => resolve(client));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  return { path, heard };
}

describe("a command to the keeper", () => {
  it("is said again when the keeper has hung up before it was said", async () => {
    const { path, asked } = await keeper(3);
    expect(await askSocket(path, "/mnt", "reload")).toBe("heard reload");
    expect(asked()).toBe(4);
  });

  it("says that nobody serves, and what tells more", async () => {
    await expect(askSocket("/nonexistent/sock", "/mnt", "status")).rejects.toThrow(
      "/mnt: no vprocfs with a keeper serves here: see 'vprocfs doctor'",
    );
  });

  it("is not said for ever", async () => {
    const { path, asked } = await keeper(1000);
    await expect(askSocket(path, "/mnt", "status", undefined, 5)).rejects.toThrow(
      /^\/mnt: cannot ask its keeper \((EPIPE|ECONNRESET)\)$/,
    );
    expect(asked()).toBe(5);
  });

  it("is given up on when the keeper is silent for as long as it may be", async () => {
    const { path } = await silentKeeper();
    await expect(
      within(askSocket(path, "/mnt", "status", 100), DEADLINE_MS, "late"),
    ).rejects.toThrow("/mnt: its keeper does not answer");
  });

  it("waits on while it cannot be found out whether the keeper is stopped", async () => {
    const { path, heard } = await silentKeeper();
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const { readdirSync } = fs;
    const restore = (): void => {
      fs.readdirSync = readdirSync;
      syncBuiltinESMExports();
      vi.useRealTimers();
    };
    onTestFinished(restore);
    const asked = askSocket(path, "/mnt", "status");
    const client = await heard;
    fs.readdirSync = () => {
      throw Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE" });
    };
    syncBuiltinESMExports();
    vi.advanceTimersByTime(2000);
    restore();
    client.end("late");
    expect(await asked).toBe("late");
  });
});

it("the keeper tells who asks what it is where the command is", () => {
  const path = nativeCandidates("vprocfs-keeper").find(existsSync) ?? "";
  for (const word of ["--help", "-h"]) {
    const { status, stdout, stderr } = runSync([path, word]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^vprocfs-keeper holds the mount of .*: see vprocfs --help\n$/);
  }
  expect(runSync([path, "--help", "--type"]).status).toBe(2);
});

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { askSocket } from "../../src/keeper.js";
import { nativeCandidates } from "../../src/layout.js";
import { runSync } from "../support/command.js";
import { testName } from "../support/names.js";

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
    await expect(askSocket(path, "/mnt", "status", 5)).rejects.toThrow(
      /^\/mnt: cannot ask its keeper \((EPIPE|ECONNRESET)\)$/,
    );
    expect(asked()).toBe(5);
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

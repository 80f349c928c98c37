// A container that forges records of the host's kernel log by all means at once: the log of another one
// stays as it is, and tells of that one's own kill afterwards.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { report } from "../support/attach.js";
import { MIB } from "../support/cgroups.js";
import { Container } from "../support/container.js";
import { Daemon } from "../support/daemon.js";
import { type Followed, follow } from "../support/follow.js";
import { printAllFaults } from "../support/kernel-log.js";
import { describeLive } from "../support/needs.js";
import { program } from "../support/programs.js";
import { Scope } from "../support/scope.js";
import { sized } from "../support/size.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

const FOR_MS = sized("VPROCFS_FORGE_MS", 2_000, 300_000);
const FORGERS = 2;
/**
 * Is killed for want of memory, in a cgroup of its own: else the kernel may kill a forger while this one's memory
 * is still being freed.
 */
const STARVE = 'echo 0 >"$1/cgroup.procs" && exec tail /dev/zero';
const READ_ALL = ["dd", "if=/dev/kmsg", "bs=64k", "iflag=nonblock"];

const logOf = async (container: Container): Promise<string> =>
  `${(await container.run(READ_ALL)).stdout}`;

function hasWords(pid: string, ...words: readonly string[]): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(words.join("\0"));
  } catch {
    return false;
  }
}

/** Has one of `from` crash, and one of `by` take its PID in the same moment. */
async function passOn(from: Container, by: Container, name: string): Promise<void> {
  const scope = new Scope();
  try {
    const waits = ["sh", "-c", `read go; exec ${program("fault")} ${name} segfault`];
    const crashing: Followed = follow(scope, from, waits);
    const pid = await until("the one that is to crash waits", () =>
      from.cgroup
        .read("memory", "cgroup.procs")
        .split("\n")
        .find((one) => one !== "" && hasWords(one, "sh", "-c", "read go")),
    );
    const taking = follow(scope, by, [program("taken"), pid, name, "lives"]);
    await until("somebody wants its PID", () => taking.text.startsWith("ready\n"));
    crashing.child.stdin?.end("go\n");
    await crashing.ended;
    await until("its PID is taken", () => taking.text.endsWith("taken\n"));
  } finally {
    await scope.close();
  }
}

describeLive("a container that forges records", ["dd"], () => {
  it("changes nobody else's kernel log", { timeout: FOR_MS + 60_000 }, async () => {
    const scope = testScope();
    const daemon = await Daemon.start(scope);
    const attached = async (): Promise<Container> => {
      const container = await Container.start(scope, { memory: 64 * MIB, swap: 0 });
      await report(daemon, container.init);
      return container;
    };
    const [hostile, victim] = [await attached(), await attached()];
    const asleep = victim.start(scope, ["sleep", "1000000"]);
    await until("the victim's process runs", () => asleep.pid !== undefined);
    const before = await logOf(victim);
    const limitAgain = printAllFaults(scope);
    const path = hostile.cgroup.directory("memory").replace(/^.*\/memory(?=\/)/, "");
    const target = path.replace(hostile.cgroup.name, victim.cgroup.name);
    const argv = [program("forger"), `${FOR_MS}`, `${victim.init}`, target];
    const forgers = Array.from({ length: FORGERS }, () => follow(scope, hostile, argv));
    const starving = hostile.cgroup.child(scope, "starving");
    starving.limit({ memory: 32 * MIB, swap: 0 });
    const starve = ["sh", "-c", STARVE, "sh", starving.directory("memory")];
    let passedOn = 0;
    for (const begun = Date.now(); Date.now() - begun < FOR_MS; passedOn += 1) {
      await passOn(hostile, victim, `gone${passedOn}`);
      await hostile.run(starve);
      expect(await logOf(victim)).toBe(before);
    }
    for (const forger of forgers) {
      expect([await forger.ended, forger.errors]).toEqual([[0, null], ""]);
    }
    const rounds = forgers.reduce((sum, { text }) => sum + Number(text), 0);
    console.log(JSON.stringify({ ms: FOR_MS, rounds, passedOn }));
    limitAgain();
    // The kernel tells the details of ten kills in five seconds, and the hostile one may have had more:
    // without them a kill is only told of a process that was known by then.
    const killed: string[] = [];
    const after = await until("the victim is told of a kill of its own", async () => {
      const text = await logOf(victim);
      if (killed.some((pid) => text.includes(`Killed process ${pid} (tail)`))) {
        return text;
      }
      const starved = await victim.run(["sh", "-c", "echo $$; exec tail /dev/zero"]);
      killed.push(`${starved.stdout}`.trim());
      return undefined;
    });
    expect(after.startsWith(before)).toBe(true);
    const others = /segfault|traps:|netlink|audit|fork rejected|Code:/;
    expect(after.slice(before.length)).not.toMatch(others);
  });
});

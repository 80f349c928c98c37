import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readKernelLog } from "../../src/klog/client.js";
import { loadAddon } from "../../src/native/addon.js";
import type { KernelLogRecord } from "../../src/native/session.js";
import type { Daemon } from "./daemon.js";
import { testName } from "./names.js";
import type { Scope } from "./scope.js";

const RATE_LIMIT = "/proc/sys/kernel/printk_ratelimit";
const RATE_LIMIT_OF_KERNELS = "5\n";

/**
 * Has the kernel print every fault, of which it lets ten in five seconds through, of the whole node, until the scope
 * ends or what this returns is called; after an interrupted run until somebody cleans up after it.
 */
export function printAllFaults(scope: Scope): () => void {
  const found = readFileSync(RATE_LIMIT, "utf8");
  // None is what another run has set, which may end before this one.
  const limit = found === "0\n" ? RATE_LIMIT_OF_KERNELS : found;
  // leftovers.mjs looks for it.
  const kept = join(tmpdir(), testName("ratelimit"));
  writeFileSync(kept, limit);
  const restore = (): void => {
    writeFileSync(RATE_LIMIT, limit);
    rmSync(kept, { force: true });
  };
  scope.defer(restore);
  writeFileSync(RATE_LIMIT, "0");
  return restore;
}

/** What `vprocfs dmesg` prints of the container that a process is in; tests that wait for a record ask often. */
export async function kernelLogOf(
  { mountpoint }: Pick<Daemon, "mountpoint">,
  pid: number,
): Promise<KernelLogRecord[]> {
  const container = loadAddon().locationOf(pid);
  if (container === null) {
    throw new Error(`process ${pid} is not in a container`);
  }
  const records: KernelLogRecord[] = [];
  await readKernelLog(mountpoint, container.id, false, (record) => records.push(record));
  return records;
}

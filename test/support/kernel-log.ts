import { readKernelLog } from "../../src/klog/client.js";
import { loadAddon } from "../../src/native/addon.js";
import type { KernelLogRecord } from "../../src/native/session.js";
import type { Daemon } from "./daemon.js";

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

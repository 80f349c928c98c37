// All six files of a container at once, each checked for what must hold whatever the limits are.

import assert from "node:assert/strict";
import {
  checkMeminfo,
  checkStat,
  cpuinfoIds,
  cpuList,
  type Meminfo,
  type Stat,
  statIds,
  swaps,
  uptime,
  value,
} from "./procfile.js";

export interface Sight {
  /** kB */
  readonly total: number;
  /** kB */
  readonly swap: number;
  readonly online: readonly number[];
  readonly up: number;
  readonly memory: Meminfo;
  readonly stat: Stat;
}

/** `read` gives a view by its path in the tree; `most` is how many CPUs it may ever have had. */
export async function look(read: (view: string) => Promise<string>, most: number): Promise<Sight> {
  const memory = checkMeminfo(await read("proc/meminfo"));
  const space = swaps(await read("proc/swaps"));
  const swap = space.reduce((sum, line) => sum + line.size, 0);
  const stat = checkStat(await read("proc/stat"));
  const online = cpuList(await read("sys/devices/system/cpu/online"));
  assert.deepEqual(statIds(stat), online);
  assert.deepEqual(cpuinfoIds(await read("proc/cpuinfo")), online);
  assert.equal(swap, value(memory, "SwapTotal"));
  const { up, idle } = uptime(await read("proc/uptime"));
  // What CPUs were idle that a smaller quota has taken away since is not taken back.
  assert.ok(idle <= (up + 0.02) * most, `idle ${idle} s of ${up} s`);
  return { total: value(memory, "MemTotal"), swap, online, up, memory, stat };
}

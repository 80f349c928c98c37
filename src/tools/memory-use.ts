import type { Figures } from "../metrics/survey.js";

/** Memory in use that cannot be dropped, in bytes. */
export interface MemoryUse {
  readonly used: number;
  readonly total: number;
}

/**
 * What a container uses of its memory limit; undefined: it has none, or its memory is not accounted. MemAvailable is
 * also bounded by what the node has left, which says nothing of the container: it never uses more than it is charged.
 */
export function memoryUse(figures: Figures): MemoryUse | undefined {
  const [limit, total] = [figures.get("memoryLimit"), figures.get("memoryTotal")];
  const [available, usage] = [figures.get("memoryAvailable"), figures.get("memoryUsage")];
  if (limit === undefined || available === undefined || usage === undefined || !total) {
    return undefined;
  }
  return { used: Math.min(total - available, usage), total };
}

/** The same of the node, from its /proc/meminfo; undefined if that does not say. */
export function memoryUseOfNode(meminfo: string): MemoryUse | undefined {
  const bytesOf = (label: string): number | undefined => {
    const digits = new RegExp(`^${label}: +(\\d+) kB$`, "m").exec(meminfo)?.[1];
    return digits === undefined ? undefined : Number(digits) * 1024;
  };
  const [total, available] = [bytesOf("MemTotal"), bytesOf("MemAvailable")];
  return !total || available === undefined ? undefined : { used: total - available, total };
}

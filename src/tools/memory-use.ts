import type { Figures } from "../metrics/survey.js";
import type { NodeMemory } from "../native/binding.js";

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

/** What is in use of the node's memory; undefined: the node does not say. */
export function memoryUseOfNode(memory: NodeMemory | null): MemoryUse | undefined {
  return memory === null || memory.total === 0
    ? undefined
    : { used: Math.max(memory.total - memory.available, 0), total: memory.total };
}

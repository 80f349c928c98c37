import type { Figures } from "../metrics/survey.js";
import type { NodeMemory } from "../native/binding.js";

/** Memory in use that cannot be dropped, in bytes. */
export interface MemoryUse {
  readonly used: number;
  readonly total: number;
}

/**
 * What is used up of the memory that a container's limits allow, by itself or by others below the same limit;
 * memory.high counts. undefined: no limit is below the node's memory, or its memory is not accounted. What the node has
 * left says nothing of a container. The alert VprocfsContainerMemoryNearLimit computes the same.
 */
export function memoryUse(figures: Figures): MemoryUse | undefined {
  const [limit, total] = [figures.get("memoryLimit"), figures.get("memoryCeiling")];
  const headroom = figures.get("memoryHeadroom");
  if (limit === undefined || headroom === undefined || !total) {
    return undefined;
  }
  return { used: Math.max(total - headroom, 0), total };
}

/** What a container itself holds and cannot be dropped, in bytes; undefined: its memory is not accounted. */
export function ownMemory(figures: Figures): number | undefined {
  const [usage, reclaimable] = [figures.get("memoryUsage"), figures.get("memoryReclaimable")];
  return usage === undefined ? undefined : Math.max(usage - (reclaimable ?? 0), 0);
}

/** What is in use of the node's memory; undefined: the node does not say. */
export function memoryUseOfNode(memory: NodeMemory | null): MemoryUse | undefined {
  return memory === null || memory.total === 0
    ? undefined
    : { used: Math.max(memory.total - memory.available, 0), total: memory.total };
}

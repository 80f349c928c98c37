import { printable } from "../text.js";

/** Exit statuses of a plug-in (Monitoring Plugins Development Guidelines). */
export const PluginStatus = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;
export type PluginLevel = keyof typeof PluginStatus;

/** One figure of the performance data. */
export interface PerformanceValue {
  readonly label: string;
  readonly value: number;
  /** "", "%", "s", "B" or "c" (a counter). */
  readonly unit: string;
  readonly warning?: number | undefined;
  readonly critical?: number | undefined;
  readonly max?: number | undefined;
}

/** One value. The label is in single quotes: quotes in it are doubled, and it must not have "=". */
function performance({ label, value, unit, warning, critical, max }: PerformanceValue): string {
  const name = printable(label).replaceAll("'", "''").replaceAll("=", "_");
  const number = Number(value.toFixed(3));
  const limits = [warning, critical, max === undefined ? undefined : 0, max];
  const text = limits.map((limit) => limit ?? "").join(";");
  return `'${name}'=${number}${unit};${text}`.replace(/;+$/, "");
}

/** The line of a plug-in. "|" separates the performance data, so it is replaced in the text. */
export function pluginLine(
  level: PluginLevel,
  text: string,
  values: readonly PerformanceValue[] = [],
): string {
  const line = `VPROCFS ${level.toUpperCase()} - ${printable(text).replaceAll("|", "/")}`;
  return values.length === 0 ? line : `${line} | ${values.map(performance).join(" ")}`;
}

/** The worst of some levels. Unknown is better than warning: what was seen counts, if that is not ok. */
export function worst(levels: readonly PluginLevel[]): PluginLevel {
  const order: readonly PluginLevel[] = ["critical", "warning", "unknown", "ok"];
  return order.find((level) => levels.includes(level)) ?? "ok";
}

/**
 * A label for each container, unique because performance data may have a label only once. Of several that are named alike
 * the only one that `isFirst` keeps its name.
 */
export function uniqueLabels<T extends { readonly name: string; readonly id: string }>(
  containers: readonly T[],
  isFirst: (container: T) => boolean,
): string[] {
  const byName = new Map<string, T[]>();
  for (const one of containers) {
    byName.set(one.name, [...(byName.get(one.name) ?? []), one]);
  }
  const called = new Set<T>();
  for (const alike of byName.values()) {
    const [first, second] = alike.length === 1 ? alike : alike.filter(isFirst);
    if (first !== undefined && second === undefined) {
      called.add(first);
    }
  }
  return containers.map((one) => (called.has(one) ? one.name : `${one.name} ${one.id}`));
}

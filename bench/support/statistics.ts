/** Statistics of results. */

/**
 * The value below which the share `p` (0..1) of the values lies: one of them, or the mean of two. Throws if
 * there are none.
 */
export function quantile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number): number => {
    const value = sorted[Math.min(Math.max(index, 0), sorted.length - 1)];
    if (value === undefined) {
      throw new RangeError("a quantile of no values");
    }
    return value;
  };
  const rank = sorted.length * p;
  if (p >= 1 || !Number.isInteger(rank)) {
    return at(Math.ceil(rank) - 1);
  }
  return sorted.length % 2 === 0 && p > 0 ? (at(rank - 1) + at(rank)) / 2 : at(rank);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

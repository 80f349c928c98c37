/** Runs `work` for every item, `concurrency` at a time, and resolves to the results in order. */
export async function mapLimited<T, R>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  const entries = items.entries();
  const workers = Array.from({ length: Math.min(concurrency, items.length) }, async () => {
    for (const [index, item] of entries) {
      results[index] = await work(item);
    }
  });
  await Promise.all(workers);
  return results;
}

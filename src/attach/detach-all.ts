import type { Logger } from "../log.js";
import type { NativeBinding } from "../native/binding.js";
import { FairQueue, ONCE_FOR_ALL } from "./bounds.js";
import { countOf, type HelperSettings, helperAbort, type RunHelper } from "./helper.js";
import { listNamespaces, runInside } from "./namespaces.js";

/** How long one helper may take, and all together. The keeper kills a worker that has not stopped after 20 s. */
const STOP = { detachMs: 5000, detachAllMs: 10_000 } as const;

interface DetachAllOptions {
  readonly binding: Pick<NativeBinding, "identityOf">;
  readonly settings: HelperSettings;
  readonly log: Logger;
  readonly tenantOf: (pid: number) => number;
  readonly run: RunHelper;
  readonly onError: (error: unknown) => void;
}

/**
 * Unmounts the files, or only those of kernel logs, in all containers; also in containers that attach-exclude
 * matches, because hooks may have mounted them there. Resolves to the number of unmounted files. Only a
 * container that takes too long keeps its files. `seen` has the mount namespaces to leave alone; those that
 * are worked on are added to it.
 */
export async function detachAll(
  options: DetachAllOptions,
  onlyLogs: boolean,
  seen: Set<number>,
): Promise<number> {
  const { binding, settings, log, tenantOf, run, onError } = options;
  const queue = new FairQueue<number, number>({ ...ONCE_FOR_ALL, onError });
  const abort = helperAbort();
  let files = 0;
  for (const namespace of listNamespaces(binding.identityOf)) {
    const { key, pids, container } = namespace;
    if (seen.has(key)) {
      continue;
    }
    seen.add(key);
    queue.add(tenantOf(pids[0] ?? 0), key, async () => {
      const { name } = container;
      const what = { action: "detach", onlyLogs, name, timeoutMs: STOP.detachMs } as const;
      // Awaited before `files` is read, because other jobs add to it meanwhile.
      const report = await runInside(namespace, (pid) =>
        run(settings, { ...what, pid }, abort.signal),
      );
      files += countOf(report, "detached");
      return 0;
    });
  }
  if (!(await queue.idleWithin(STOP.detachAllMs))) {
    const { waiting, running } = queue.state();
    queue.drop();
    abort.abort();
    log.warn({ namespaces: waiting + running }, "some namespaces were not detached in time");
  }
  return files;
}

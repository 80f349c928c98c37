import { SkipError, type Trial } from "../case.js";
import type { Container } from "./containers.js";
import type { FileName } from "./files.js";
import type { RunningPeer } from "./peers/peer.js";

/** Starts the peer and `count` containers that see its files. */
export async function startCrowd(
  trial: Trial,
  count: number,
  files: readonly FileName[],
): Promise<{
  readonly pid: number;
  readonly containers: readonly Container[];
  readonly source: RunningPeer["source"];
}> {
  const { pid, source } = await trial.startPeer();
  if (pid === undefined) {
    throw new SkipError("there is no daemon");
  }
  const containers: Container[] = [];
  while (containers.length < count) {
    containers.push(await trial.container(files));
  }
  return { pid, containers, source };
}

/**
 * Runs one trial in a process of its own: `node trial.js REQUEST`; request and result are JSON. On SIGTERM,
 * or when its standard input ends, it cleans up and ends.
 */

import { mkdirSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchCase, SkipError, type Trial, UnavailableError } from "./case.js";
import { caseNamed } from "./cases/index.js";
import { ContainerMaker } from "./support/containers.js";
import { FILES } from "./support/files.js";
import { startLoad } from "./support/load.js";
import { NAME_PREFIX } from "./support/paths.js";
import { peerNamed } from "./support/peers/index.js";
import type { RunningPeer } from "./support/peers/peer.js";
import { favour } from "./support/priority.js";
import { Stage } from "./support/stage.js";
import { type TrialRequest, type TrialResult, trialRequestSchema } from "./trial-protocol.js";

function makeTrial(request: TrialRequest, stage: Stage, directory: string): Trial {
  const maker = new ContainerMaker(stage, cpus().length, request.favoured);
  let peer: RunningPeer | undefined;
  let checked = false;
  return {
    scale: request.scale,
    stage,
    programs: request.programs,
    directory,
    cli: request.cli,
    startPeer: async ({ metrics = false } = {}) => {
      const own = join(directory, request.peer);
      mkdirSync(own);
      const { cli, favoured, programs } = request;
      peer = await peerNamed(request.peer).start({
        stage,
        programs,
        directory: own,
        cli,
        favoured,
        metrics,
      });
      return peer;
    },
    container: async (files, options) => {
      const container = await maker.make(options);
      const sources = await Promise.all(
        files.map(async (file) => ({ file, source: await peer?.source(container, file) })),
      );
      for (const { file, source } of sources) {
        if (source !== undefined) {
          await stage.run("bind", container.name, source, `/${FILES[file]}`);
        }
      }
      if (peer?.pid !== undefined && peer.alike !== true && !checked && files.includes("meminfo")) {
        await maker.checkView(container);
        checked = true;
      }
      return container;
    },
    removeContainer: (container) => maker.remove(container),
    load: (options) => startLoad(request.programs.load, options).result,
    startLoad: (options) => startLoad(request.programs.load, options),
  };
}

async function measure(
  scenario: BenchCase,
  request: TrialRequest,
  stage: Stage,
): Promise<TrialResult> {
  const directory = join(tmpdir(), `${NAME_PREFIX}${process.pid}`);
  try {
    await stage.run("directory", directory);
    await stage.run("tmpfs", directory);
    const trial = makeTrial(request, stage, directory);
    return { samples: [...(await scenario.measure(trial, request.variant))] };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UnavailableError) {
      return { unavailable: message };
    }
    return error instanceof SkipError ? { skipped: message } : { failed: message };
  }
}

async function main(argument: string): Promise<void> {
  const request = trialRequestSchema.parse(JSON.parse(argument));
  if (request.favoured) {
    favour(process.pid);
  }
  const stage = new Stage(request.programs.stage);
  const abandon = (): void => {
    stage.close().finally(() => process.exit(1));
  };
  process.once("SIGTERM", abandon);
  process.stdin.once("end", abandon).resume();
  const result = await measure(caseNamed(request.case), request, stage);
  await stage.close();
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

await main(process.argv[2] ?? "");

import type { BenchCase } from "../case.js";
import { churn } from "./churn.js";
import { cost } from "./cost.js";
import { cpus } from "./cpus.js";
import { density } from "./density.js";
import { depth } from "./depth.js";
import { goReader } from "./go-reader.js";
import { hammer } from "./hammer.js";
import { idle } from "./idle.js";
import { kernelLog } from "./kernel-log.js";
import { latency } from "./latency.js";
import { memory } from "./memory.js";
import { pss } from "./pss.js";
import { readers } from "./readers.js";
import { start } from "./start.js";
import { takeover } from "./takeover.js";

/** All scenarios, in the order in which they are run and reported. */
export const CASES: readonly BenchCase[] = [
  latency,
  readers,
  goReader,
  hammer,
  cost,
  depth,
  cpus,
  density,
  idle,
  kernelLog,
  memory,
  pss,
  churn,
  start,
  takeover,
];

export function caseNamed(name: string): BenchCase {
  const found = CASES.find((candidate) => candidate.name === name);
  if (found === undefined) {
    throw new Error(`no case ${name}; there are ${CASES.map((one) => one.name).join(", ")}`);
  }
  return found;
}

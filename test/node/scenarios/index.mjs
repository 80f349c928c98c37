// All scenarios, in the order of docs/reference/support.md.

import { agent } from "./agent.mjs";
import { containers } from "./containers.mjs";
import { crowd } from "./crowd.mjs";
import { kernelLog } from "./kernel-log.mjs";
import { lifecycle } from "./lifecycle.mjs";
import { node } from "./node.mjs";
import { service } from "./service.mjs";

/**
 * @typedef {object} Scenario
 * @property {string} name   What `--scenario` calls it.
 * @property {string} title  What is promised, as docs/reference/support.md says it.
 * @property {"populated" | "installed"} [from]  The state of the node at its beginning: with a running
 *   container of each runtime, and then with the package installed, too (that one, unless told).
 * @property {boolean} [short]  Part of the short form.
 * @property {(kind: import("../nodes.mjs").NodeKind) => string | undefined} [impossible]
 *   Why it cannot be had on a node.
 * @property {(bed: any) => Promise<void>} run  Throws when the promise is broken.
 */

/** @type {Scenario[]} */
export const SCENARIOS = [
  ...lifecycle,
  ...service,
  ...containers,
  ...kernelLog,
  ...node,
  ...crowd,
  ...agent,
];

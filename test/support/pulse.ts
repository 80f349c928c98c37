// What a victim's reads cost while another container does its worst.

import { expect } from "vitest";
import type { Container } from "./container.js";
import { program } from "./programs.js";
import { Scope } from "./scope.js";
import { until } from "./wait.js";

/** What a busy machine adds to the slowest of a hundred reads. */
export const NOISE_US = 5_000;

/** How many reads, how many failed, and how long they took, µs. */
export interface Pulse {
  readonly count: number;
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Has a container read a file for a while. */
export async function pulseOf(victim: Container, forMs: number, file: string): Promise<Pulse> {
  const text = await victim.output([program("pulse"), `${forMs}`, file]);
  const [count = 0, failed = 0, p50 = 0, p99 = 0, max = 0] = text.trim().split(" ").map(Number);
  return { count, failed, p50, p99, max };
}

/** Begins something, which ends with the scope. */
export type Attack = (scope: Scope) => Promise<void>;

/**
 * What `take` measures is less than is allowed. It may be more when the machine does more than before: its scope
 * is closed, what is allowed is measured again, and only the last try counts.
 */
export async function expectWithin(
  allowed: number,
  take: (scope: Scope) => Promise<number>,
  measure: () => Promise<number>,
  tries = 3,
): Promise<void> {
  const own = new Scope();
  let took: number;
  try {
    took = await take(own);
  } finally {
    await own.close();
  }
  if (took >= allowed && tries > 1) {
    await expectWithin(await measure(), take, measure, tries - 1);
  } else {
    expect(took).toBeLessThan(allowed);
  }
}

/** Measures a victim, and says what its reads may cost. */
export class Watch {
  readonly #pulse: (file?: string) => Promise<Pulse>;
  readonly #burn: Attack;
  #allowed = 0;

  /** `burn`: what takes as much CPU time as the attacks, and asks for nothing. */
  constructor(victim: Container, forMs: number, file: string, burn: Attack) {
    this.#pulse = (other = file) => pulseOf(victim, forMs, other);
    this.#burn = burn;
  }

  /** The slowest of a hundred may take twice what it takes beside nothing, and its share of the CPUs. */
  async measure(): Promise<number> {
    const quiet = await this.#pulse();
    const burning = new Scope();
    try {
      await this.#burn(burning);
      this.#allowed = 2 * quiet.p99 + (await this.#pulse()).p99 + NOISE_US;
    } finally {
      await burning.close();
    }
    return this.#allowed;
  }

  /** The first of a few that is within what is allowed, else the last: other work only adds. */
  async #best(file?: string): Promise<Pulse> {
    let best = await this.#pulse(file);
    for (let more = 0; more < 3 && best.failed === 0 && best.p99 >= this.#allowed; more += 1) {
      best = await this.#pulse(file);
    }
    return best;
  }

  /** Reads go on under an attack; what else the machine does may be more than at first. */
  async expectPulse(attack: Attack, file?: string): Promise<void> {
    const take = async (own: Scope): Promise<number> => {
      await attack(own);
      const { failed, p99 } = await this.#best(file);
      expect(failed).toBe(0);
      return p99;
    };
    await expectWithin(this.#allowed, take, () => this.measure());
  }
}

/** Starts a hostile program; resolves to what it says once it has begun. */
export async function attackFrom(
  scope: Scope,
  from: Container,
  argv: readonly string[],
): Promise<string> {
  const child = from.start(scope, argv);
  let text = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    errors += chunk;
  });
  await until(`${argv.join(" ")} has begun`, () => {
    if (child.exitCode !== null && !text.includes("\n")) {
      throw new Error(`it has ended with ${child.exitCode}: ${errors}`);
    }
    return text.includes("\n");
  });
  return text;
}

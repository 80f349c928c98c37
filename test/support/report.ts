// What test/check.mjs counts: one line of JSON for each test that has ended, and one at the end of
// the run. A run without the last line has crashed.

import { appendFileSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestCase, TestModule, TestSpecification, Vitest } from "vitest/node";

/** A test that has ended. */
interface TestLine {
  readonly file: string;
  readonly name: string;
  readonly state: "passed" | "failed" | "skipped";
  /** Milliseconds. */
  readonly duration: number;
  /** How many times it failed before it ended like this. */
  readonly retries: number;
  /** What the failures said, also those of tries before one that passed. */
  readonly errors: readonly string[];
}

/** A file that is to be run, one that is run now, and one whose tests have all ended. */
type FileLine =
  | { readonly planned: string }
  | { readonly begun: string }
  | { readonly done: string; readonly isBroken: boolean };

/** The last line. */
interface EndLine {
  readonly ended: true;
  /** Failures outside of any test: files that cannot be loaded, hooks, unhandled errors. */
  readonly errors: number;
}

export class Report implements Reporter {
  readonly #path: string;
  #root = "";

  constructor(path: string) {
    this.#path = path;
  }

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
    writeFileSync(this.#path, "");
  }

  onTestRunStart(files: readonly TestSpecification[]): void {
    for (const file of files) {
      this.#write({ planned: this.#nameOf(file) });
    }
  }

  onTestModuleQueued(module: TestModule): void {
    this.#write({ begun: this.#nameOf(module) });
  }

  onTestModuleEnd(module: TestModule): void {
    this.#write({ done: this.#nameOf(module), isBroken: isBroken(module) });
  }

  onTestCaseResult(test: TestCase): void {
    const { state } = test.result();
    const diagnostic = test.diagnostic();
    if (state === "pending") {
      return;
    }
    this.#write({
      file: this.#nameOf(test.module),
      name: test.fullName,
      state,
      duration: Math.round(diagnostic?.duration ?? 0),
      retries: diagnostic?.retryCount ?? 0,
      errors: (test.result().errors ?? []).map(({ message }) => message),
    });
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const broken = modules.filter((module) => isBroken(module));
    this.#write({ ended: true, errors: broken.length + unhandled.length });
  }

  #nameOf(module: TestModule | TestSpecification): string {
    return relative(this.#root, module.moduleId);
  }

  #write(line: TestLine | FileLine | EndLine): void {
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
  }
}

/** A file that failed, or that did not end, although none of its tests says so. */
function isBroken(module: TestModule): boolean {
  const tests = [...module.children.allTests()];
  const isPending = tests.some((test) => test.result().state === "pending");
  const hasFailed = tests.some((test) => test.result().state === "failed");
  return isPending || (module.state() === "failed" && !hasFailed) || module.state() === "pending";
}

import type { VmResult } from "./vm.js";

/** Throws unless a script of checks came to its end; what did not hold is the first line of the error. */
export function expectAllChecks({ code, stdout }: VmResult): void {
  if (code !== 0 || !stdout.includes("all checks hold")) {
    const failure = /^FAIL: .*$/m.exec(stdout)?.[0];
    throw new Error(`${failure ?? `no check failed, exit status ${code}`}\n${stdout}`);
  }
}

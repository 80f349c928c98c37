/**
 * Runs top(1) of procps, which ends with any signal that it does not know. runc (here up to 1.1) passes
 * on to what it executes SIGURG, by which the runtime of Go wakes its own threads: the shell takes it.
 */
export function top(...args: string[]): readonly string[] {
  return ["sh", "-c", 'top "$@"; exit $?', "top", ...args];
}

/** What native/drain.c and native/threads.c print: each round's bytes, or "-ERRNO" for a failure. */
export function readRounds(output: Buffer): string[] {
  const rounds: string[] = [];
  for (let at = 0; at < output.length; ) {
    const end = output.indexOf("\n", at);
    const head = output.subarray(at, end).toString();
    if (!/^-?\d+$/.test(head)) {
      throw new Error(`expected a length, found '${head}'`);
    }
    const length = Math.max(Number(head), 0);
    const body = output.subarray(end + 1, end + 1 + length).toString();
    rounds.push(head.startsWith("-") ? head : body);
    at = end + 1 + length;
  }
  return rounds;
}

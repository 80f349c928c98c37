/** CPU time in /proc/PID/stat, whose text this is: clock ticks of 10 ms. */
export function ticksOf(stat: string): number {
  // The name before it may hold blanks and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** A shell pattern as fnmatch(3) without flags reads it: *, ? and [...] match slashes too. */
function toRegExp(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at] ?? "";
    const close = char === "[" ? pattern.indexOf("]", at + 2) : -1;
    if (char === "*") {
      source += "[^]*";
    } else if (char === "?") {
      source += "[^]";
    } else if (close > 0) {
      const body = pattern
        .slice(at + 1, close)
        .replace(/^!/, "^")
        .replaceAll(/[\\[]/g, "\\$&");
      source += `[${body}]`;
      at = close;
    } else {
      source += char.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    }
  }
  return new RegExp(`^${source}$`);
}

/** "web*, lxc:db?" as a list. */
export function patternsOf(list: string): string[] {
  return list
    .split(",")
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== "");
}

/** True when any of the patterns matches any of the names. */
export function matchesAny(patterns: readonly string[], names: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const expression = toRegExp(pattern);
    return names.some((name) => expression.test(name));
  });
}

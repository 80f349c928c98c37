import { closest, distance } from "fastest-levenshtein";

/** Text that needs no escapes, which is the usual case. */
const PLAIN = /^[ -[\]-~]*$/;

/** Made on first use: Unicode's classes take a megabyte, and a daemon seldom needs them. */
let unprintable: RegExp | undefined;

/**
 * Text that came from a container or a file, fit for a terminal: control characters are written as
 * \xNN or \uNNNN, so that a name can neither forge a line nor send escape sequences.
 */
export function printable(text: string): string {
  if (PLAIN.test(text)) {
    return text;
  }
  unprintable ??= /[\\\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
  return text.replaceAll(unprintable, (character) => {
    if (character === "\\") {
      return "\\\\";
    }
    const code = character.codePointAt(0) ?? 0;
    if (code <= 0xff) {
      return `\\x${code.toString(16).padStart(2, "0")}`;
    }
    return `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** A word that no shell interprets. */
const PLAIN_WORD = /^[\w./:@-]+$/;

/**
 * A word of a shell command for an operator to copy. It is quoted without backslashes, which printable()
 * would double.
 */
export function shellWord(text: string): string {
  return PLAIN_WORD.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** Whether some character is a control character (Unicode's class Cc). */
export function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) {
      return true;
    }
  }
  return false;
}

/** A name that a runtime made of 64 random hexadecimal digits. */
const HASH = /^[\da-f]{64}$/;
const SHORT_HASH = 12;

/** A container's name as `podman ps` shows it: a hash is shortened. */
export function shortName(name: string): string {
  return HASH.test(name) ? name.slice(0, SHORT_HASH) : printable(name);
}

/** Whether `word` is the beginning of a name that is a hash. */
export function isShortFor(word: string, name: string): boolean {
  return HASH.test(name) && word.length >= 4 && name.startsWith(word);
}

/** `, did you mean 'x'?` when a known name is near, otherwise nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  if (known.length === 0) {
    return "";
  }
  const best = closest(word, known);
  const near = distance(word, best) <= Math.max(2, Math.floor(best.length / 3));
  return near ? `, did you mean '${printable(best)}'?` : "";
}

/** "1 warning", "2 warnings". */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** Bytes in the largest unit in which the figure is at least 1: "256 MiB", "1.5 GiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = Number.isInteger(value) || value >= 100 ? 0 : 1;
  return `${Number(value.toFixed(digits))} ${UNITS[unit] ?? ""}`;
}

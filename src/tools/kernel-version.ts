import { release } from "node:os";

/** Whether a kernel is of that version or a later one; `text` is as of uname(2), "6.18.44-x". */
export function isAtLeast(major: number, minor: number, text = release()): boolean {
  const [own = 0, ownMinor = 0] = text.split(".").map((part) => Number.parseInt(part, 10));
  return own > major || (own === major && ownMinor >= minor);
}

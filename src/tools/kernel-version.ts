import { release } from "node:os";

/** Whether a kernel is of that version or a later one; `text` is as of uname(2), "6.18.44-x". */
export function isAtLeast(major: number, minor: number, text = release()): boolean {
  const [own = 0, ownMinor = 0] = text.split(".").map((part) => Number.parseInt(part, 10));
  return own > major || (own === major && ownMinor >= minor);
}

/**
 * Whether a system call that was handed over can be left to the kernel (SECCOMP_USER_NOTIF_FLAG_CONTINUE). On kernels
 * that cannot, its caller would wait until nobody holds the listener.
 */
export function leavesCallsToKernel(version = release()): boolean {
  return isAtLeast(5, 5, version);
}

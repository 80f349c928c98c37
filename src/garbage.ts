import type { NativeBinding } from "./native/binding.js";

/** So long after the last of a start there is nothing more to load. */
const SETTLED_MS = 1000;

/**
 * Makes what gives memory back soon that only a start needed: it would stay, since nothing that follows
 * makes enough garbage for V8 to look. V8's is collected where Node was started with `--expose-gc`.
 */
export function garbageCollector(binding: Pick<NativeBinding, "trimMemory">): () => void {
  let timer: NodeJS.Timeout | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      globalThis.gc?.();
      binding.trimMemory();
    }, SETTLED_MS).unref();
  };
}

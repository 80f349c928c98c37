import type { NativeBinding } from "./native/binding.js";

/** By then nothing more is loaded for the start. */
const SETTLED_MS = 1000;

/**
 * Returns a function that soon frees the memory that only the start needed. Without it the memory would stay,
 * because a worker makes too little garbage for V8 to collect. V8's part needs `node --expose-gc`.
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

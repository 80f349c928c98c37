import type { NativeBinding } from "../native/binding.js";
import type { Engine, EngineFactory } from "./engine.js";

/** The default engine: native threads answer the kernel, no JavaScript runs for a request. */
export function nativeEngine(binding: Pick<NativeBinding, "Session">): EngineFactory {
  return (options): Engine => {
    const session = new binding.Session(options);
    return {
      name: "native",
      start: () => session.start(),
      stop: (unmount) => session.stop(unmount),
      counters: () => session.counters(),
      measures: () => session.measures(),
      containers: (those) =>
        session.containers(
          those.map(({ id }) => id),
          those.map(({ init = 0 }) => init),
        ),
      features: () => session.features(),
      moreCpus: () => session.moreCpus(),
      files: () => session.files(),
      session,
    };
  };
}

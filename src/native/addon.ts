import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { messageOf, VprocfsError } from "../errors.js";
import { nativeCandidates } from "../layout.js";
import type { NativeBinding } from "./binding.js";

const EXPORTS = [
  "Session",
  "Renderer",
  "Surveyor",
  "Watch",
  "scanContainers",
  "locateContainers",
  "containerOf",
  "locationOf",
  "identityOf",
  "nodeMemory",
  "views",
  "run",
  "unmount",
] as const;

function isBinding(value: unknown): value is NativeBinding {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const exported = new Map(Object.entries(value));
  return EXPORTS.every((name) => typeof exported.get(name) === "function");
}

function requireAddon(path: string): unknown {
  try {
    return createRequire(import.meta.url)(path);
  } catch (error) {
    const message = messageOf(error);
    const forOther = /NODE_MODULE_VERSION|different Node|self-register|N-API|napi_/i.test(message);
    const reason = forOther ? "was built for another Node" : `cannot be loaded (${message})`;
    throw new VprocfsError("ADDON", `the native addon ${reason}: run 'npm run build'`, {
      cause: error,
    });
  }
}

/** Loads the native addon. Throws a VprocfsError that says what to do. */
export function loadAddon(candidates = nativeCandidates("vprocfs.node")): NativeBinding {
  const path = candidates.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new VprocfsError("ADDON", "the native addon is not built: run 'npm run build'");
  }
  const binding = requireAddon(path);
  if (!isBinding(binding)) {
    throw new VprocfsError(
      "ADDON",
      "the native addon belongs to another vprocfs version: run 'npm run build'",
    );
  }
  return binding;
}

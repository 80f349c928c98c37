import { readFileSync } from "node:fs";
import * as z from "zod/mini";
import { installed } from "./layout.js";

const Manifest = z.object({ version: z.string() });

/** The oldest Node that everything here works with, as in package.json. */
const OLDEST_NODE = [20, 17] as const;

/** Why a version of Node ("18.19.0") is too old; undefined: it is not. */
export function nodeProblem(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldest, oldestMinor] = OLDEST_NODE;
  const isOld = major < oldest || (major === oldest && minor < oldestMinor);
  return isOld
    ? `needs Node.js ${OLDEST_NODE.join(".")} or later; ${process.execPath} is ${version}`
    : undefined;
}

/** The version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(installed("package.json"), "utf8");
  return Manifest.parse(JSON.parse(text)).version;
}

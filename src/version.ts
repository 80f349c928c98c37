import { readFileSync } from "node:fs";
import * as z from "zod/mini";
import { installed } from "./layout.js";

const Manifest = z.object({ version: z.string() });

/** The version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(installed("package.json"), "utf8");
  return Manifest.parse(JSON.parse(text)).version;
}

import { readFileSync } from "node:fs";
import { z } from "zod";
import { installed } from "./layout.js";

const Manifest = z.object({ version: z.string() });

/** The version in package.json. */
export function packageVersion(): string {
  const text = readFileSync(installed("package.json"), "utf8");
  return Manifest.parse(JSON.parse(text)).version;
}

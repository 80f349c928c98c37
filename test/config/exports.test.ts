// What a module exports, another one imports: what nobody imports is private, so that a reader need not look for users.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, it } from "vitest";
import { project } from "../support/project.js";

const texts = new Map(
  ["src", "bench", "test", "docs", "packaging"]
    .flatMap((directory) =>
      readdirSync(join(project, directory), { recursive: true, encoding: "utf8" })
        .filter((name) => /\.m?ts$|\.mjs$/.test(name) && !name.includes("node_modules"))
        .map((name) => join(directory, name)),
    )
    .map((path) => [path, readFileSync(join(project, path), "utf8")] as const),
);

/** The file that an import in `importer` names, by what is in the repository and not by what it is compiled to. */
function moduleOf(importer: string, specifier: string): string {
  const path = normalize(join(dirname(importer), specifier));
  const source = path.replace(/\.js$/, ".ts");
  return texts.has(source) ? source : path;
}

/** The names before "as" in a list such as "a, type B, c as d", or before ":" in one that is destructured. */
function namesOf(list: string): string[] {
  return list
    .split(",")
    .map((one) => /^\s*(?:type\s+)?(\w+)/.exec(one)?.[1] ?? "")
    .filter((name) => name !== "");
}

const STATIC = /(?:im|ex)port\s+(?:type\s+)?\{([^}]*)\}\s*from\s*"([^"]+)"/g;
const NAMESPACE = /import\s+(?:type\s+)?\*\s+as\s+(\w+)\s+from\s+"([^"]+)"/g;
const DYNAMIC = /import\("([^"]+)"\)/g;
/** Of a module whose path is made at run time. */
const DESTRUCTURED = /\{([^{}]*)\}\s*=\s*await/g;
const DECLARED =
  /^export (?:declare |abstract |async )*(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;

/** "FILE NAME" of what some file imports, and names that it takes from a module that is known at run time only. */
function imports(): { named: Set<string>; loose: Set<string> } {
  const named = new Set<string>();
  const loose = new Set<string>();
  for (const [path, text] of texts) {
    const add = (specifier: string, names: readonly string[]): void => {
      for (const name of names) {
        named.add(`${moduleOf(path, specifier)} ${name}`);
      }
    };
    for (const [, list = "", specifier = ""] of text.matchAll(STATIC)) {
      add(specifier, namesOf(list));
    }
    for (const [, space = "", specifier = ""] of text.matchAll(NAMESPACE)) {
      const uses = text.matchAll(new RegExp(`\\b${space}\\.(\\w+)`, "g"));
      add(
        specifier,
        [...uses].map(([, name = ""]) => name),
      );
    }
    // What is done with the module follows in the same file.
    for (const [, specifier = ""] of text.matchAll(DYNAMIC)) {
      add(specifier, text.match(/\w+/g) ?? []);
    }
    for (const [, list = ""] of text.matchAll(DESTRUCTURED)) {
      for (const name of namesOf(list)) {
        loose.add(name);
      }
    }
  }
  return { named, loose };
}

it("every export is imported somewhere", () => {
  const { named, loose } = imports();
  const unused = [...texts]
    .filter(([path]) => !/\.d\.m?ts$/.test(path))
    .flatMap(([path, text]) =>
      [...text.matchAll(DECLARED)]
        .map(([, name = ""]) => name)
        .filter((name) => !loose.has(name) && !named.has(`${path} ${name}`))
        .map((name) => `${path}: ${name}`),
    );
  expect(unused).toEqual([]);
});

#!/usr/bin/env node
// Compiles *.bpf.c and writes what is loaded of each into NAME.skel.h, which is in the repository:
// who builds vprocfs needs no clang. Run it after a change: node native/bpf/make.mjs (clang 14 or
// later, headers of Linux).
//
//   --check   says, with exit status 1, which is not made from the sources as they are

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const ELF_SECTIONS_AT = 0x28;
const ELF_SECTION_SIZE = 64;
const ELF_SYMBOL_SIZE = 24;
const ELF_RELOCATION_SIZE = 16;
const R_BPF_64_64 = 1;
const INSTRUCTION_SIZE = 8;

/** Sections of a little-endian ELF file of 64 bits, by name. */
function sectionsOf(elf) {
  const begin = Number(elf.readBigUInt64LE(ELF_SECTIONS_AT));
  const count = elf.readUInt16LE(0x3c);
  const names = elf.readUInt16LE(0x3e);
  const sections = Array.from({ length: count }, (_, i) => {
    const at = begin + i * ELF_SECTION_SIZE;
    const offset = Number(elf.readBigUInt64LE(at + 24));
    const size = Number(elf.readBigUInt64LE(at + 32));
    return { nameAt: elf.readUInt32LE(at), bytes: elf.subarray(offset, offset + size) };
  });
  const text = sections[names].bytes;
  return new Map(sections.map(({ nameAt, bytes }) => [textAt(text, nameAt), bytes]));
}

function textAt(strings, at) {
  return strings.toString("latin1", at, strings.indexOf(0, at));
}

/** The program's instructions as numbers, and which of them refer to which object. */
function programOf(elf) {
  const sections = sectionsOf(elf);
  const code = sections.get("program");
  const symbols = sections.get(".symtab");
  const strings = sections.get(".strtab");
  const relocations = sections.get(".relprogram") ?? Buffer.alloc(0);
  const references = [];
  for (let at = 0; at < relocations.length; at += ELF_RELOCATION_SIZE) {
    if (relocations.readUInt32LE(at + 8) !== R_BPF_64_64) {
      throw new Error("a relocation that the loader does not know");
    }
    const symbol = relocations.readUInt32LE(at + 12) * ELF_SYMBOL_SIZE;
    const instruction = Number(relocations.readBigUInt64LE(at)) / INSTRUCTION_SIZE;
    references.push({ instruction, name: textAt(strings, symbols.readUInt32LE(symbol)) });
  }
  const instructions = Array.from({ length: code.length / INSTRUCTION_SIZE }, (_, i) =>
    code.readBigUInt64LE(i * INSTRUCTION_SIZE),
  );
  return { instructions, references };
}

/** A file and all that it includes of ours. */
function withIncludes(file, seen = new Set()) {
  seen.add(file);
  for (const [, name] of readFileSync(join(here, file), "utf8").matchAll(
    /^#include "bpf\/(.+)"/gm,
  )) {
    if (!seen.has(name)) {
      withIncludes(name, seen);
    }
  }
  return [...seen].sort();
}

/** Of all that a program is compiled from. */
function digestOf(source) {
  const hash = createHash("sha256");
  for (const file of withIncludes(source)) {
    hash.update(readFileSync(join(here, file)));
  }
  return hash.digest("hex");
}

function compile(source, directory) {
  const object = join(directory, "program.o");
  const machine = spawnSync("gcc", ["-dumpmachine"], { encoding: "utf8" }).stdout.trim();
  const flags = ["-O2", "-target", "bpf", "-mcpu=v2", "-ffreestanding"];
  const strict = ["-Wall", "-Wextra", "-Werror"];
  const include = ["-I", dirname(here), "-idirafter", `/usr/include/${machine}`];
  const argv = [...flags, ...strict, ...include, "-c", join(here, source), "-o", object];
  const { status, error } = spawnSync("clang", argv, { stdio: "inherit" });
  if (status === 0) {
    return readFileSync(object);
  }
  const why =
    error?.code === "ENOENT" ? "it is not installed" : (error?.message ?? `exit status ${status}`);
  console.error(`make.mjs: clang cannot compile ${source}: ${why}`);
  return undefined;
}

function skeletonOf(name, { instructions, references }, digest) {
  const Name = name[0].toUpperCase() + name.slice(1);
  const numbers = instructions.map((one) => `0x${one.toString(16).padStart(16, "0")}`);
  const rows = [];
  for (let i = 0; i < numbers.length; i += 4) {
    rows.push(`    ${numbers.slice(i, i + 4).join(", ")},`);
  }
  const names = references.map((one) => `    {${one.instruction}, "${one.name}"},`);
  return `// Made from ${name}.bpf.c by make.mjs.
// sha256 of its sources: ${digest}
// clang-format off
#pragma once

#include "bpf/skeleton.h"

namespace vprocfs {

inline constexpr uint64_t k${Name}Instructions[] = {
${rows.join("\n")}
};
inline constexpr BpfReference k${Name}References[] = {
${names.join("\n")}
};

}  // namespace vprocfs
`;
}

const sources = readdirSync(here).filter((name) => name.endsWith(".bpf.c"));
const directory = mkdtempSync(join(tmpdir(), "vprocfs-bpf-"));
try {
  for (const source of sources) {
    const name = source.slice(0, -".bpf.c".length);
    const skeleton = join(here, `${name}.skel.h`);
    const digest = digestOf(source);
    if (!process.argv.includes("--check")) {
      const object = compile(source, directory);
      if (object === undefined) {
        process.exitCode = 1;
        break;
      }
      writeFileSync(skeleton, skeletonOf(name, programOf(object), digest));
    } else if (!readFileSync(skeleton, "utf8").includes(digest)) {
      console.error(
        `${name}.skel.h is not made from the sources as they are: run native/bpf/make.mjs`,
      );
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

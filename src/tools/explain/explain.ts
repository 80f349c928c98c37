import { CPU_FIELDS } from "./cpu.js";
import { MEMORY_FIELDS } from "./memory.js";
import type { Field, Inputs, SourceValue } from "./parts.js";

export interface Explanation {
  readonly field: string;
  /** The file of the container that shows it. */
  readonly file: string;
  readonly formula: string;
  readonly sources: readonly SourceValue[];
  /** The cgroup directory whose limit decides the figure; undefined: no limit does. */
  readonly decidedBy: string | undefined;
  /** What the container reads. */
  readonly result: string;
}

const FIELDS: readonly Field[] = [...MEMORY_FIELDS, ...CPU_FIELDS];

/** Every name that explain() knows. */
export const FIELD_NAMES = FIELDS.flatMap(({ names }) => names);

/** Explains a field; undefined: there is no such field. Upper and lower case are the same. */
export function explain(inputs: Inputs, name: string): Explanation | undefined {
  const key = name.toLowerCase();
  const field = FIELDS.find(({ names }) => names.some((one) => one.toLowerCase() === key));
  if (field === undefined) {
    return undefined;
  }
  const parts = field.parts(inputs);
  return {
    field: field.names[0] ?? name,
    file: field.file,
    formula: field.formula,
    sources: parts.flatMap(({ sources }) => sources),
    decidedBy: parts.find(({ decidedBy }) => decidedBy !== undefined)?.decidedBy,
    result: field.result(inputs.read(field.file)) ?? "not shown by this kernel",
  };
}

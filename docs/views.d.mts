/** A file of the tree and what its description says. */
export interface DescribedView {
  readonly index: string;
  /** With a leading slash. */
  readonly path: string;
  /** Octal. */
  readonly mode: string;
  readonly changes: string;
  /** Of the file of native/view/ that describes it. */
  readonly name: string;
  readonly description: {
    readonly summary: string;
    /** For the table of README.md; directories of sysfs stand there as a whole. */
    readonly shows?: string;
    /** Whether common hosts have the file. */
    readonly common: boolean;
  };
}

export const RUNC_FILES: readonly string[];
export const DIRECTORIES: readonly { readonly path: string; readonly shows: string }[];
export function readViews(): DescribedView[];

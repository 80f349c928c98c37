// Widths of text on a terminal, where a wide character takes two columns.

import stringWidth from "string-width";

/** Text of which each character takes one column. */
const ASCII = /^[ -~]*$/;

/** How many columns a text takes. stringWidth() takes 20 µs, and a table may have 100,000 cells. */
export function widthOf(text: string): number {
  return ASCII.test(text) ? text.length : stringWidth(text);
}

const characters = new Intl.Segmenter();

/** The text, cut at the end to fit into so many columns. */
export function fitted(text: string, columns: number): string {
  if (widthOf(text) <= columns) {
    return text;
  }
  let out = "";
  let left = columns - 1;
  for (const { segment } of characters.segment(text)) {
    left -= widthOf(segment);
    if (left < 0) {
      break;
    }
    out += segment;
  }
  return `${out}…`;
}

/** The text, cut in the middle: names of containers often differ only at the end. */
export function shortened(text: string, columns: number): string {
  if (widthOf(text) <= columns) {
    return text;
  }
  const backwards = (some: string): string =>
    [...characters.segment(some)]
      .map(({ segment }) => segment)
      .reverse()
      .join("");
  const tail = Math.floor((columns - 1) / 2);
  const [head, end] = [fitted(text, columns - tail), fitted(backwards(text), tail + 1)];
  return head + backwards(end.slice(0, -1));
}

/** On which side of its column a cell is. */
export type Align = "left" | "right";

/** Columns of the terminal between two columns of a table. */
export const GAP = 2;

/**
 * Rows as lines of columns without borders, so that other programs can parse them. Columns are on the left unless
 * `aligns` says otherwise. A host may have thousands of containers: the time is linear in the number of rows.
 */
export function alignedLines(
  rows: readonly (readonly string[])[],
  aligns: readonly Align[] = [],
): string[] {
  const sized = rows.map((row) => row.map((text) => ({ text, width: widthOf(text) })));
  const widths: number[] = [];
  for (const row of sized) {
    for (const [column, { width }] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, width);
    }
  }
  const padded = ({ text, width }: { text: string; width: number }, column: number): string => {
    const room = " ".repeat((widths[column] ?? 0) - width);
    return aligns[column] === "right" ? room + text : text + room;
  };
  return sized.map((row) => row.map(padded).join(" ".repeat(GAP)).trimEnd());
}

// Columns of a terminal, which wide characters take two of.

import stringWidth from "string-width";

const characters = new Intl.Segmenter();

/** The text, cut where it would take more columns of a terminal than there are. */
export function fitted(text: string, columns: number): string {
  if (stringWidth(text) <= columns) {
    return text;
  }
  let out = "";
  let left = columns - 1;
  for (const { segment } of characters.segment(text)) {
    left -= stringWidth(segment);
    if (left < 0) {
      break;
    }
    out += segment;
  }
  return `${out}…`;
}

/** As `fitted`, but the end is kept too: names of containers often begin alike and end apart. */
export function shortened(text: string, columns: number): string {
  if (stringWidth(text) <= columns) {
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

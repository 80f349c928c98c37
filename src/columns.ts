// Widths of text on a terminal, where a wide character takes two columns.

import stringWidth from "string-width";

const characters = new Intl.Segmenter();

/** The text, cut at the end to fit into so many columns. */
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

/** The text, cut in the middle: names of containers often differ only at the end. */
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

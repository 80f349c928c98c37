import { describe, expect, it } from "vitest";
import { isLocal, nameOf, parseAddress } from "../../src/metrics/address.js";

describe("parseAddress", () => {
  it.each([
    ["off", true],
    ["127.0.0.1:9761", true],
    ["127.1.2.3:1", true],
    ["localhost:9761", true],
    ["[::1]:9761", true],
    ["unix:/run/vprocfs/metrics.sock", true],
    [":9761", false],
    ["0.0.0.0:9761", false],
    ["[::]:9761", false],
    ["node1.example.org:65535", false],
  ])("%s is an address, local: %s", (text, local) => {
    const address = parseAddress(text);
    expect(address).toBeDefined();
    expect(address && isLocal(address)).toBe(local);
    expect(address && nameOf(address)).toBe(text);
  });

  it.each([
    "",
    "9761",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:123456",
    "::1:9761",
    "[::1]",
    "unix:",
    "unix:relative",
    `unix:/${"x".repeat(107)}`,
    "unix:/a\0b",
    "host name:1",
    "OFF",
  ])("%j is none", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

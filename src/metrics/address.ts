import { isAbsolute } from "node:path";

/** Where metrics are served. */
export type Address =
  | { readonly kind: "off" }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number };

/** A unix socket's path has room for 107 bytes. */
const MAX_PATH_BYTES = 107;

/** "off", "unix:/path", "127.0.0.1:9761", "[::1]:9761", or ":9761" for all; else undefined. */
export function parseAddress(text: string): Address | undefined {
  if (text === "off") {
    return { kind: "off" };
  }
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    const fits = Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes("\0");
    return isAbsolute(path) && fits ? { kind: "unix", path } : undefined;
  }
  const found = /^(?:\[(?<six>[\da-fA-F:.]+)\]|(?<name>[\w.-]*)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(found?.groups?.port);
  if (found === null || port < 1 || port > 65_535) {
    return undefined;
  }
  const host = found.groups?.six ?? found.groups?.name;
  return { kind: "tcp", host: host === "" ? undefined : host, port };
}

/** Whether only processes of this host can connect. */
export function isLocal(address: Address): boolean {
  if (address.kind !== "tcp") {
    return true;
  }
  return /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/.test(address.host ?? "");
}

/** The address as a configuration writes it. */
export function nameOf(address: Address): string {
  switch (address.kind) {
    case "off":
      return "off";
    case "unix":
      return `unix:${address.path}`;
    case "tcp": {
      const host = address.host ?? "";
      return `${host.includes(":") ? `[${host}]` : host}:${address.port}`;
    }
  }
}

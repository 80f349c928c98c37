import { floor, sources, tickSources } from "./floor.js";
import { host, tmpfs } from "./kernel.js";
import { lxcfs } from "./lxcfs.js";
import type { Peer, PeerName } from "./peer.js";
import { exact, fuseNative, tick } from "./vprocfs.js";

/** All who can be measured, in the order in which they stand in reports. */
const PEERS: readonly Peer[] = [
  host,
  tmpfs,
  floor,
  sources,
  tickSources,
  lxcfs,
  exact,
  tick,
  fuseNative,
];

export function peerNamed(name: PeerName): Peer {
  const peer = PEERS.find((candidate) => candidate.name === name);
  if (peer === undefined) {
    throw new Error(`no peer ${name}`);
  }
  return peer;
}

import type { WatcherState } from "../attach/watcher.js";
import type { ResourceUse, SessionCounters } from "../native/session.js";

/** The resources that all tenants share, of the engine and of the watcher, by name. */
export function resourcesOf(
  counters: SessionCounters,
  attaching: WatcherState | undefined,
): [string, ResourceUse][] {
  const resources = Object.entries(counters.resources ?? {});
  if (attaching !== undefined) {
    const { followed: used, followLimit: limit, tenantLimit, refused, short } = attaching;
    resources.push(["namespaces", { used, limit, tenantLimit, refused, short }]);
  }
  return resources;
}

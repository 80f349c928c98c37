import { z } from "zod";
import type { Daemon } from "./daemon.js";
import { until } from "./wait.js";

const ResourceSchema = z.object({
  used: z.number(),
  limit: z.number(),
  tenantLimit: z.number(),
  refused: z.number(),
  short: z.number(),
});

const CountersSchema = z.object({
  /** By the name of the FUSE operation. */
  requests: z.record(z.string(), z.number()),
  renders: z.number(),
  errors: z.number(),
  refusedOpens: z.number(),
  deferred: z.number(),
  paced: z.number(),
  triggers: z.number(),
  openFiles: z.number(),
  threads: z.number(),
  taskPasses: z.number(),
  taskPassUs: z.number(),
  taskCounter: z.string(),
  containers: z.number(),
  resources: z.record(z.string(), ResourceSchema),
});
export type Counters = z.infer<typeof CountersSchema>;

/** What a daemon that logs JSON says when it is asked to; with a keeper, `pid` is the worker's. */
export async function counters(daemon: Daemon, pid = daemon.pid): Promise<Counters> {
  const logged = (): string[] =>
    daemon.logs.split("\n").filter((line) => line.includes('"msg":"counters"'));
  const before = logged().length;
  process.kill(pid, "SIGUSR2");
  const line = await until("it logs its counters", () => logged()[before]);
  return CountersSchema.parse(JSON.parse(line));
}

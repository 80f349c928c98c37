// The manifest for Kubernetes: every name in it that something else must have is there.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { project } from "../support/project.js";

const directory = join(project, "packaging/kubernetes");
const names = z.record(z.string(), z.string());
const metadata = z.strictObject({
  name: z.string(),
  namespace: z.string().optional(),
  labels: names.optional(),
});

/** Of the API's apps/v1 DaemonSet (Kubernetes 1.30), what the manifest uses; nothing else is taken. */
const podSpec = z.strictObject({
  automountServiceAccountToken: z.boolean(),
  // Else a Service vprocfs-x has kubelet set VPROCFS_X_PORT, which vprocfs takes for configuration.
  enableServiceLinks: z.literal(false),
  hostPID: z.literal(true),
  priorityClassName: z.enum(["system-node-critical", "system-cluster-critical"]),
  nodeSelector: names,
  tolerations: z.array(z.strictObject({ operator: z.enum(["Exists", "Equal"]) })),
  terminationGracePeriodSeconds: z.int().min(0),
  containers: z.array(
    z.strictObject({
      name: z.string().regex(/^[a-z0-9-]+$/),
      image: z.string(),
      args: z.array(z.string()),
      securityContext: z.strictObject({ privileged: z.literal(true) }),
      resources: z.strictObject({ requests: names, limits: names }),
      readinessProbe: z.strictObject({
        exec: z.strictObject({ command: z.array(z.string()) }),
        periodSeconds: z.int().min(1),
        timeoutSeconds: z.int().min(1),
      }),
      volumeMounts: z.array(
        z.strictObject({
          name: z.string(),
          mountPath: z.string().startsWith("/"),
          readOnly: z.boolean().optional(),
          mountPropagation: z.enum(["None", "HostToContainer", "Bidirectional"]).optional(),
        }),
      ),
    }),
  ),
  volumes: z.array(
    z.strictObject({
      name: z.string(),
      hostPath: z.strictObject({ path: z.string(), type: z.literal("Directory") }).optional(),
      configMap: z.strictObject({ name: z.string() }).optional(),
    }),
  ),
});
const manifest = z.tuple([
  z.strictObject({ apiVersion: z.literal("v1"), kind: z.literal("Namespace"), metadata }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("ResourceQuota"),
    metadata,
    spec: z.strictObject({
      hard: names,
      scopeSelector: z.strictObject({
        matchExpressions: z.array(
          z.strictObject({
            scopeName: z.literal("PriorityClass"),
            operator: z.literal("In"),
            values: z.array(z.string()),
          }),
        ),
      }),
    }),
  }),
  z.strictObject({
    apiVersion: z.literal("v1"),
    kind: z.literal("ConfigMap"),
    metadata,
    data: names,
  }),
  z.strictObject({
    apiVersion: z.literal("apps/v1"),
    kind: z.literal("DaemonSet"),
    metadata,
    spec: z.strictObject({
      selector: z.strictObject({ matchLabels: names }),
      updateStrategy: z.strictObject({
        type: z.literal("RollingUpdate"),
        rollingUpdate: z.strictObject({ maxUnavailable: z.string().regex(/^\d+%$/) }),
      }),
      template: z.strictObject({
        metadata: z.strictObject({ labels: names }),
        spec: podSpec,
      }),
    }),
  }),
]);

describe("the manifest for Kubernetes", () => {
  const documents = parseAllDocuments(readFileSync(join(directory, "vprocfs.yaml"), "utf8"));
  const [space, quota, config, set] = manifest.parse(documents.map((document) => document.toJS()));

  it("is whole: what is named is there", () => {
    expect(config.metadata.namespace).toBe(space.metadata.name);
    expect(quota.metadata.namespace).toBe(space.metadata.name);
    expect(quota.spec.scopeSelector.matchExpressions[0]?.values).toEqual([
      set.spec.template.spec.priorityClassName,
    ]);
    expect(set.metadata.namespace).toBe(space.metadata.name);
    expect(set.spec.template.metadata.labels).toMatchObject(set.spec.selector.matchLabels);
    const { containers, volumes } = set.spec.template.spec;
    const volumeNames = volumes.map(({ name }) => name);
    for (const { volumeMounts } of containers) {
      expect(volumeNames).toEqual(expect.arrayContaining(volumeMounts.map(({ name }) => name)));
    }
    const configMaps = volumes.flatMap(({ configMap }) => configMap?.name ?? []);
    expect(configMaps).toEqual([config.metadata.name]);
    expect(Object.keys(config.data)).toEqual(["vprocfs.toml"]);
  });

  it("keeps no mount busy that the node unmounts", () => {
    const { containers, volumes } = set.spec.template.spec;
    const ofHost = volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
    expect(ofHost).toEqual(["host"]);
    const mounts = containers.flatMap(({ volumeMounts }) => volumeMounts);
    expect(mounts.filter(({ name }) => ofHost.includes(name))).toMatchObject([
      { mountPropagation: "HostToContainer" },
    ]);
  });

  it("is made of the Node that the packages bring", () => {
    const path = join(directory, "../debian/node.json");
    const { version } = z
      .object({ version: z.string() })
      .parse(JSON.parse(readFileSync(path, "utf8")));
    expect(readFileSync(join(directory, "Dockerfile"), "utf8")).toContain(
      `FROM node:${version.split(".")[0]}-bookworm-slim\n`,
    );
  });

  it("runs the agent where the image has it", () => {
    const agent = "/usr/share/vprocfs/kubernetes/agent";
    const [container] = set.spec.template.spec.containers;
    expect(container?.readinessProbe.exec.command).toEqual([agent, "check"]);
    expect(readFileSync(join(directory, "Dockerfile"), "utf8")).toContain(
      `ENTRYPOINT ["${agent}"]`,
    );
    const script = join(directory, "agent");
    expect(existsSync(script) && (statSync(script).mode & 0o111) !== 0).toBe(true);
    const text = readFileSync(script, "utf8");
    for (const { mountPath } of container?.volumeMounts ?? []) {
      expect(text).toContain(mountPath);
    }
  });
});

// Kubernetes objects from YAML text, and pods by hand.

import { parseAllDocuments } from "yaml";
import type { K8sObject, PodModel } from "../../src/cluster/model.js";

/** Objects of a YAML stream; positions are all line 1. */
export function objects(text: string): K8sObject[] {
  return parseAllDocuments(text)
    .map((d) => d.toJS() as Record<string, unknown> | null)
    .filter((o) => o !== null)
    .map((raw) => {
      const m = (raw.metadata ?? {}) as Record<string, unknown>;
      return {
        apiVersion: String(raw.apiVersion),
        kind: String(raw.kind),
        metadata: {
          name: String(m.name),
          namespace: String(m.namespace ?? "default"),
          labels: (m.labels ?? {}) as Record<string, string>,
          annotations: (m.annotations ?? {}) as Record<string, string>,
        },
        raw,
        pos: () => ({ file: "test.yaml", line: 1, column: 1 }),
      };
    });
}

/** A ready pod without ports on node-1. */
export function pod(p: Partial<PodModel> & Pick<PodModel, "name">): PodModel {
  return {
    namespace: "default",
    labels: {},
    annotations: {},
    nodeName: "node-1",
    hostNetwork: false,
    serviceAccount: "default",
    ip4: undefined,
    ip6: undefined,
    ports: [],
    ready: true,
    mac: undefined,
    hostMac: undefined,
    hostInterface: undefined,
    hostIfindex: undefined,
    podIfindex: undefined,
    mtu: undefined,
    endpointId: undefined,
    identity: undefined,
    firstIpId: undefined,
    pos: undefined,
    ...p,
  };
}

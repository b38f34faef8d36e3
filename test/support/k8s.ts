// Kubernetes objects from YAML text, and pods by hand.

import { type Document, isNode, LineCounter, parseAllDocuments } from "yaml";
import type { K8sObject, PodModel } from "../../src/cluster/model.js";

/** Objects of a YAML stream, with the positions of their fields. */
export function objects(text: string): K8sObject[] {
  const lineCounter = new LineCounter();
  return (parseAllDocuments(text, { lineCounter }) as Document[])
    .map((doc) => ({ doc, raw: doc.toJS() as Record<string, unknown> | null }))
    .filter((o): o is { doc: Document; raw: Record<string, unknown> } => o.raw !== null)
    .map(({ doc, raw }) =>
      objectOf(raw, (path = []) => {
        let at = path;
        let node = doc.getIn(at, true);
        while (!isNode(node)) {
          at = at.slice(0, -1);
          node = doc.getIn(at, true);
        }
        const { line, col } = lineCounter.linePos(node.range![0]);
        return { file: "test.yaml", line, column: col };
      }),
    );
}

/** An object as parsed from YAML. */
export function objectOf(raw: Record<string, unknown>, pos?: K8sObject["pos"]): K8sObject {
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
    pos: pos ?? (() => ({ file: "test.yaml", line: 1, column: 1 })),
  };
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

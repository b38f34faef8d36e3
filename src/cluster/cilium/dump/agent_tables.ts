// The lists that cilium-dbg asks the agent for: `endpoint list`, `identity list`, `service list`. Values are those of the
// agent's API models, as far as the tools print them.

import { sha512_256 } from "../../../base/sha512_256.js";
import type { LabelSet } from "../policy/labels.js";
import type { EndpointPolicy } from "../policy/resolve.js";
import { backendKey, frontendKey, type LbBackend, type LbFrontend } from "../services.js";
import { alignTable } from "./tabwriter.js";

/** What an endpoint's policy is in force for. */
export type PolicyEnabled =
  | "none"
  | "ingress"
  | "egress"
  | "both"
  | "audit-ingress"
  | "audit-egress"
  | "audit-both";

export interface EndpointRow {
  readonly id: number;
  /** ready, waiting-for-identity, regenerating ... */
  readonly state: string;
  readonly identity: number | undefined;
  readonly labels: readonly string[];
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly policyEnabled: PolicyEnabled;
}

export function policyEnabled(
  p: Pick<EndpointPolicy, "ingressEnforced" | "egressEnforced">,
  audit: boolean,
): PolicyEnabled {
  const what =
    p.ingressEnforced && p.egressEnforced
      ? "both"
      : p.ingressEnforced
        ? "ingress"
        : p.egressEnforced
          ? "egress"
          : "none";
  return audit && what !== "none" ? `audit-${what}` : what;
}

/** `endpoint list`: sorted by id; further labels on lines of their own. */
export function endpointListText(endpoints: readonly EndpointRow[]): string {
  const lines = [
    "ENDPOINT\tPOLICY (ingress)\tPOLICY (egress)\tIDENTITY\tLABELS (source:key[=value])\tIPv6\tIPv4\tSTATUS\t",
    "\tENFORCEMENT\tENFORCEMENT\t\t\t\t\t",
  ];
  for (const e of byId(endpoints)) {
    const labels = e.labels.length === 0 ? ["no labels"] : [...e.labels].sort();
    const cells = [
      e.id,
      enforcementWord(e.policyEnabled, "ingress"),
      enforcementWord(e.policyEnabled, "egress"),
      e.identity ?? "<no label id>",
      labels[0],
      e.ipv6 ?? "",
      e.ipv4 ?? "",
      e.state,
      "",
    ];
    lines.push(cells.join("\t"));
    for (const l of labels.slice(1)) lines.push(`\t\t\t\t${l}\t\t\t\t`);
  }
  return alignTable(lines);
}

export function endpointListJson(endpoints: readonly EndpointRow[]): unknown[] {
  return byId(endpoints).map((e) => ({
    id: e.id,
    status: {
      ...(e.identity === undefined ? {} : { identity: { id: e.identity, labels: e.labels } }),
      labels: { "security-relevant": e.labels },
      networking: {
        addressing: [{ ...(e.ipv4 ? { ipv4: e.ipv4 } : {}), ...(e.ipv6 ? { ipv6: e.ipv6 } : {}) }],
      },
      policy: { realized: { "policy-enabled": e.policyEnabled } },
      state: e.state,
    },
  }));
}

function enforcementWord(p: PolicyEnabled, direction: "ingress" | "egress"): string {
  const audit = p.startsWith("audit-");
  const what = audit ? p.slice(6) : p;
  const on = what === "both" || what === direction;
  if (!on) return "Disabled";
  return audit ? "Disabled (Audit)" : "Enabled";
}

/** `identity list`: sorted by number. */
export function identityListText(identities: ReadonlyMap<number, LabelSet>): string {
  const lines = ["ID\tLABELS"];
  for (const [id, labels] of sorted(identities)) {
    const [first = "", ...more] = labels.texts;
    lines.push(`${id}\t${first}`, ...more.map((l) => `\t${l}`));
  }
  return alignTable(lines, 2);
}

/** `identity list -o json`: the API's Identity objects. */
export function identityListJson(identities: ReadonlyMap<number, LabelSet>): unknown[] {
  return sorted(identities).map(([id, labels]) => ({
    id,
    labels: labels.texts,
    labelsSHA256: labelsSHA256(labels),
  }));
}

/**
 * Labels.SHA256Sum() of pkg/labels. In spite of its name it is SHA-512/256, over the labels as the key-value store has
 * them, `source:key=value;` each (the `=` also without a value), sorted by key alone.
 */
function labelsSHA256(labels: LabelSet): string {
  const list = [...labels.labels].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return sha512_256(list.map((l) => `${l.source}:${l.key}=${l.value};`).join(""));
}

function sorted(identities: ReadonlyMap<number, LabelSet>): [number, LabelSet][] {
  return [...identities].sort(([a], [b]) => a - b);
}

/** A frontend and the number the agent gave it. */
export interface ServiceRow {
  readonly id: number;
  readonly frontend: LbFrontend;
}

/** `service list`: sorted by id; frontends made for the addresses of a node are not shown. */
export function serviceListText(services: readonly ServiceRow[]): string {
  const lines = ["ID\tFrontend\tService Type\tBackend\t"];
  for (const { id, frontend: f } of shown(services)) {
    const backends = f.backends.map((b, i) => `${i + 1} => ${backendKey(b)} (${backendState(b)})`);
    lines.push(`${id}\t${frontendKey(f)}\t${f.type}\t${backends[0] ?? ""}\t`);
    for (const b of backends.slice(1)) lines.push(`\t\t\t${b}\t`);
  }
  return alignTable(lines);
}

/** As the API answers: keys sorted, the realised state only. */
export function serviceListJson(services: readonly ServiceRow[]): unknown[] {
  return shown(services).map(({ id, frontend: f }) => {
    const s = f.spec.service;
    const spec = {
      "backend-addresses": f.backends.map((b) => ({
        ip: b.address,
        ...(b.nodeName === "" ? {} : { nodeName: b.nodeName }),
        port: b.port,
        protocol: b.protocol,
        state: backendState(b),
        ...(b.zone === "" ? {} : { zone: b.zone }),
      })),
      flags: {
        extTrafficPolicy: s.extLocal ? "Local" : "Cluster",
        intTrafficPolicy: s.intLocal ? "Local" : "Cluster",
        name: s.name,
        namespace: s.namespace,
        trafficPolicy: s.extLocal ? "Local" : "Cluster",
        type: f.type,
      },
      "frontend-address": {
        ip: f.address,
        port: f.port,
        protocol: f.protocol,
        scope: f.scope,
      },
      id,
    };
    return { spec, status: { realized: spec } };
  });
}

function shown(services: readonly ServiceRow[]): ServiceRow[] {
  return byId(services.filter((s) => !s.frontend.expanded));
}

function backendState(b: LbBackend): string {
  return b.state === "terminating-not-serving" ? "terminating" : b.state;
}

function byId<T extends { readonly id: number }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => a.id - b.id);
}

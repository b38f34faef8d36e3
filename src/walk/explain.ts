// Why a flow got through, or what stopped it: the step that decided with the rule, route or entry behind it and where that
// stands in the YAML, and for a miss each candidate with the condition that it failed and the smallest change that
// would let the flow through. A value; the command prints it.

import { IpcacheKey } from "../../maps/ipcache.js";
import type { Be32 } from "../base/brand.js";
import type { SourcePosition } from "../base/errors.js";
import { Step } from "../bpf/steps.js";
import { CiliumPlane } from "../cluster/cilium/plane.js";
import { explainVerdict, type FailedCondition } from "../cluster/cilium/policy/explain.js";
import { lookupPolicy } from "../cluster/cilium/policy/lookup.js";
import type { RuleOrigin } from "../cluster/cilium/policy/rules.js";
import { readServices } from "../cluster/cilium/services.js";
import type { K8sObject, PodModel } from "../cluster/model.js";
import { RT_TABLE_LOCAL } from "../kernel/fib.js";
import { showRules } from "../kernel/iproute_show.js";
import type { Netns } from "../kernel/netns.js";
import type { Lab } from "../lab.js";
import { contains4, formatIp, formatIpv6, tryParseIp, tryParseIpv4 } from "../net/address.js";
import { destinationText } from "../scenario/clients.js";
import { stepMistakes } from "../scenario/traffic.js";
import { decidedBy, hostRoutingOf } from "./compare.js";
import { explainRule } from "./explain_netfilter.js";
import { decodeFrame, type FrameLevel } from "./fields.js";
import { type Flow, firstFlow, flowText, recordFlow } from "./flow.js";
import { routeSource } from "./route_source.js";
import { addressOfRecord, route6Text, routeText } from "./route_text.js";
import type { Walk, WalkStep } from "./walk.js";

/** What kind of answer it is. */
export type ExplainedKind =
  | "delivered"
  | "policy-deny"
  | "policy-implicit-deny"
  | "netfilter"
  | "tunnel-source"
  | "no-route"
  | "wrong-gateway"
  | "no-neighbour"
  | "no-backend"
  | "protocol-filtered"
  | "program-drop"
  | "kernel-drop"
  | "no-listener"
  | "answer-source"
  | "not-sent"
  | "lost";

/** Something that might have let the flow through. */
export interface Candidate {
  readonly what: string;
  readonly position: SourcePosition | undefined;
  /** Conditions that it failed. */
  readonly failed: readonly string[];
  /** The smallest change that makes it fit; undefined if there is none. */
  readonly change: string | undefined;
}

/** A decision on the way, for or against. */
export interface Decision {
  readonly where: string;
  readonly what: string;
  readonly position: SourcePosition | undefined;
}

export interface Explanation {
  readonly flow: string;
  readonly kind: ExplainedKind;
  /** Which packet the answer is about. */
  readonly packet: "request" | "reply" | "none";
  /** One sentence. */
  readonly verdict: string;
  /** Where it ended: `n1 lxc_a`. */
  readonly where: string;
  /** Decisions met on the way, in order; the last one decided. */
  readonly decisions: readonly Decision[];
  readonly candidates: readonly Candidate[];
  /** The smallest change that lets the flow through. */
  readonly change: string | undefined;
  readonly hostRouting: { readonly mode: string; readonly reason: string } | undefined;
}

type Answer = Omit<Explanation, "flow" | "decisions" | "hostRouting" | "packet" | "where"> & {
  readonly decisions?: readonly Decision[];
};

/** Sends the flow and says why it fared as it did. */
export function explainFlow(lab: Lab, flow: Flow): Explanation {
  const { requests, replies } = recordFlow(lab, flow, "new", false);
  const request = worst(requests);
  const head = { flow: flowText(flow), hostRouting: hostRoutingOf(lab) };
  if (request === undefined) {
    const a = notSent(lab, flow);
    return { ...head, packet: "none", where: flow.from, decisions: [], ...a };
  }
  const reply = worst(replies);
  const requestDecisions = decisionsOf(lab, request);
  if (!request.delivered) {
    const a = explainLoss(lab, flow, request);
    return {
      ...head,
      packet: "request",
      where: endOf(request),
      ...a,
      decisions: [...requestDecisions, ...(a.decisions ?? [])],
    };
  }
  if (reply === undefined) {
    const a: Answer = {
      kind: "no-listener",
      verdict: `the request was delivered to ${request.steps.at(-1)!.where}, and nothing answered`,
      candidates: [],
      change: "let something answer there",
    };
    return { ...head, packet: "reply", where: endOf(request), ...a, decisions: requestDecisions };
  }
  const decisions = [...requestDecisions, ...decisionsOf(lab, reply)];
  if (!reply.delivered) {
    const a = otherSource(lab, flow, reply) ?? explainLoss(lab, flow, reply);
    return {
      ...head,
      packet: "reply",
      where: endOf(reply),
      ...a,
      decisions: [...decisions, ...(a.decisions ?? [])],
    };
  }
  return {
    ...head,
    kind: "delivered",
    packet: "reply",
    where: endOf(reply),
    verdict: `request and reply are delivered; request: ${decidedBy(request)}; reply: ${decidedBy(reply)}`,
    decisions: [...serviceDecision(lab, flow, request), ...decisions],
    candidates: [],
    change: undefined,
  };
}

/**
 * Goes through a scenario's traffic in order and explains the first flow that is not delivered, else the first flow at
 * all. Commands, servers and waiting in between are done as they come. @throws PodpathError USAGE if it sends nothing
 */
export function explainScenario(lab: Lab): Explanation {
  let first: Explanation | undefined;
  for (const s of lab.scenario.traffic) {
    if (s.kind !== "ping" && s.kind !== "udp" && s.kind !== "tcp") {
      lab.traffic.runAll([s]);
      continue;
    }
    const mistake = stepMistakes(lab, s)[0];
    if (mistake !== undefined) throw mistake;
    const { from, to } = s.spec;
    const e = explainFlow(
      lab,
      s.kind === "ping"
        ? { from, to, port: 0, protocol: "icmp" }
        : { from, to, port: s.spec.port, protocol: s.kind },
    );
    if (e.kind !== "delivered") return e;
    first ??= e;
  }
  return first ?? explainFlow(lab, firstFlow(lab));
}

/** The first packet that was not delivered, else the first. */
function worst(walks: readonly Walk[]): Walk | undefined {
  const whole = walks.filter((w) => w.steps.length > 1);
  return whole.find((w) => !w.delivered) ?? whole[0] ?? walks[0];
}

function endOf(w: Walk): string {
  const s = w.steps.at(-1)!;
  return s.device === "-" ? s.where : `${s.where} ${s.device}`;
}

// --- decisions on the way ------------------------------------------------------------------------------------------------

/** Policy verdicts and rules that accepted or dropped, in order. */
function decisionsOf(lab: Lab, w: Walk): Decision[] {
  const out: Decision[] = [];
  w.steps.forEach((s) => {
    if (s.kind === Step.POLICY) {
      const p = policyAt(lab, s);
      if (p === undefined)
        out.push({ where: s.where, what: `policy ${s.name}: ${s.detail}`, position: undefined });
      else if (p.explanation.rules.length === 0)
        out.push({
          where: s.where,
          what: `${p.head}: ${s.detail} (${REASONS[p.explanation.reason]})`,
          position: undefined,
        });
      for (const r of p?.explanation.rules ?? [])
        out.push({
          where: s.where,
          what: `${p!.head}: ${s.detail} by ${originText(r)}`,
          position: r.position,
        });
    } else if (
      s.kind === Step.NF_RULE &&
      (s.detail === "ACCEPT" || s.detail === "DROP") &&
      s.record.c === 0
    ) {
      out.push({ where: s.where, what: `rule ${s.name}`, position: undefined });
    } else if (s.kind === Step.FIB && s.record.b !== 3 && !s.where.startsWith("pod/")) {
      const position = routeSource(lab, s.where, s.name);
      out.push({ where: s.where, what: `route ${s.name} (${s.detail})`, position });
    }
  });
  return out;
}

const REASONS = {
  rule: "a rule",
  "not-enforced": "no policy selects this endpoint in this direction",
  "default-allow": "policies select it, but none switches default deny on",
  "allow-localhost": "the endpoint's own node is always let in",
  "default-deny": "policies select it and none of their rules matches",
} as const;

function originText(r: RuleOrigin): string {
  const name = r.namespace === "" ? r.name : `${r.namespace}/${r.name}`;
  return `${r.kind} ${name} ${r.direction} rule ${r.index + 1}${r.deny ? " (deny)" : ""}`;
}

/** The policy behind a POLICY step; undefined where the lab is no Cilium cluster. */
function policyAt(
  lab: Lab,
  s: WalkStep,
): { head: string; explanation: ReturnType<typeof explainVerdict> } | undefined {
  const plane = lab.cluster;
  if (!(plane instanceof CiliumPlane)) return undefined;
  const node = plane.nodes.find((n) => n.name === s.where);
  const id = Number(/_(\d+)$/.exec(s.name)?.[1] ?? Number.NaN);
  const endpoint = node?.endpoints.get(id);
  const level = decodeFrame(s.record.frame).levels[0];
  if (node === undefined || endpoint === undefined || level?.ip === undefined) return undefined;
  const direction = s.record.b === 1 ? "egress" : "ingress";
  const peer = direction === "egress" ? level.ip.dst : level.ip.src;
  const probe = {
    direction,
    identity: identityOf(plane, node.name, peer),
    protocol: level.ip.proto,
    port: portOf(level),
    address: peer,
  } as const;
  const named = (p: PodModel) =>
    p.ports
      .filter((c) => c.name !== undefined)
      .map((c) => ({ name: c.name!, port: c.containerPort, protocol: c.protocol }));
  const pod = endpoint.sandbox.pod;
  const explanation = explainVerdict(
    endpoint.policy,
    lookupPolicy(endpoint.policy.entries, probe),
    probe,
    { identity: endpoint.identity, labels: endpoint.labels, isHost: false, namedPorts: named(pod) },
    {
      config: plane.policyConfig,
      identities: plane.identities.all,
      clusterNamedPorts: plane.model.pods.filter((p) => !p.hostNetwork).map(named),
    },
  );
  return { head: `policy of pod/${pod.namespace}/${pod.name}, ${direction}`, explanation };
}

/** Destination port, or the ICMP type. */
function portOf(level: FrameLevel): number {
  const f = level.fields.find(
    (x) => x.name === "tcp.dport" || x.name === "udp.dport" || x.name === "icmp.type",
  );
  return f === undefined ? 0 : Number(f.value);
}

/** Security identity of an address, as the node's ipcache has it; 2 (world) where it has none. */
function identityOf(plane: CiliumPlane, nodeName: string, address: string): number {
  const a = tryParseIp(address);
  const map = plane.nodes.find((n) => n.name === nodeName)!.maps.cilium_ipcache_v2;
  if (a === undefined) return 2;
  const key = new IpcacheKey();
  if (a.family === 4) key.setIpv4(a.addr, 32);
  else key.setIpv6(new DataView(a.addr.buffer, a.addr.byteOffset), 0, 128);
  const slot = map.lookup(key.words);
  return slot < 0 ? 2 : map.words[slot * map.valueWords]!;
}

function serviceDecision(lab: Lab, flow: Flow, request: Walk): Decision[] {
  const to = lab.endpoint(flow.to);
  const last = request.steps.findLast((s) => decodeFrame(s.record.frame).levels[0]?.ip !== undefined);
  const dst = last === undefined ? undefined : decodeFrame(last.record.frame).levels[0]!.ip!.dst;
  const asked = destinationText(to);
  const svc = serviceOf(lab, asked);
  if (svc === undefined || dst === undefined || dst === asked) return [];
  return [
    {
      where: flow.from,
      what: `Service ${svc.metadata.namespace}/${svc.metadata.name} (${asked}) chose backend ${dst}`,
      position: svc.pos(["spec"]),
    },
  ];
}

/** The service with a cluster address as `destinationText` writes it. */
function serviceOf(lab: Lab, address: string): K8sObject | undefined {
  return lab.cluster.model.objects.find((o) => {
    if (o.kind !== "Service") return false;
    const spec = o.raw.spec as { clusterIP?: unknown; clusterIPs?: unknown } | undefined;
    const ips = Array.isArray(spec?.clusterIPs) ? (spec.clusterIPs as unknown[]) : [];
    return [spec?.clusterIP, ...ips].some((ip) => {
      const a = typeof ip === "string" ? tryParseIp(ip) : undefined;
      return a !== undefined && formatIp(a) === address;
    });
  });
}

// --- losses --------------------------------------------------------------------------------------------------------------

function explainLoss(lab: Lab, flow: Flow, w: Walk): Answer {
  const backend = noBackend(lab, flow);
  const denied = w.steps.findLast((s) => s.kind === Step.POLICY && s.record.a < 0);
  if (denied !== undefined) return policyLoss(lab, denied);
  if (backend !== undefined) return backend;
  const own = wrongGateway(lab, w);
  if (own !== undefined) return own;
  const drop = w.drop;
  if (drop === undefined) return lostOnWire(lab, w);
  if (drop.detail === "NOT_SPECIFIED") {
    const wire = lostOnWire(lab, w);
    if (wire.kind === "protocol-filtered") return wire;
  }
  if (drop.record.b === 1 || w.steps.some((s) => s.kind === Step.DROP && s.record.b === 1))
    return programDrop(lab, w);
  switch (drop.detail) {
    case "NETFILTER_DROP":
      return netfilterLoss(lab, w, drop);
    case "IP_INNOROUTES":
    case "IP_OUTNOROUTES":
      return noRoute(lab, drop.where, dstOf(drop), w);
    case "NEIGH_FAILED":
      return noNeighbour(lab, w, drop);
    default: {
      const rule = w.steps.findLast((s) => s.kind === Step.NF_RULE);
      if (rule !== undefined && rule.record.a === -1) return netfilterLoss(lab, w, drop);
      const fib = w.steps.findLast((s) => s.kind === Step.FIB);
      const error = fib !== undefined && fib.record.a !== 0 ? `; route: ${fib.name}` : "";
      return {
        kind: drop.detail === "NO_SOCKET" ? "no-listener" : "kernel-drop",
        verdict: `the kernel of ${drop.where} dropped it: ${drop.detail} (${KERNEL_WORDS[drop.detail] ?? "no more is recorded"})${error}`,
        candidates: [],
        change: KERNEL_CHANGES[drop.detail],
      };
    }
  }
}

const KERNEL_WORDS: Readonly<Record<string, string>> = {
  NO_SOCKET: "nobody listens on that port",
  IP_INHDR: "its TTL ended here",
  PKT_TOO_BIG: "it is larger than the MTU of the way out and may not be fragmented",
  IP_RPFILTER: "the way back to its source leads through another device (rp_filter)",
  IP_LOCAL_SOURCE: "its source is an address of this machine",
  OTHERHOST: "it was addressed to another MAC",
  NEIGH_QUEUEFULL: "too many packets wait for the neighbour to answer",
  UDP_CSUM: "its UDP checksum is wrong",
  IP_CSUM: "its IP header checksum is wrong",
  NOT_SPECIFIED: "the kernel names no reason here",
};

const KERNEL_CHANGES: Readonly<Record<string, string>> = {
  NO_SOCKET: "start a server on that port, or send to the port where one listens",
  IP_INHDR: "send it with a higher TTL",
  PKT_TOO_BIG: "lower the sender's MTU, or send without DF",
  IP_RPFILTER:
    "sysctl -w net.ipv4.conf.DEVICE.rp_filter=0 for the receiving device, or route the source through it",
};

function policyLoss(lab: Lab, s: WalkStep): Answer {
  const p = policyAt(lab, s);
  if (p === undefined)
    return {
      kind: "policy-deny",
      verdict: `policy on ${s.where}: ${s.detail}`,
      candidates: [],
      change: undefined,
    };
  const e = p.explanation;
  if (e.reason === "rule") {
    return {
      kind: "policy-deny",
      verdict: `${p.head}: denied by ${e.rules.map(originText).join(", ")}`,
      candidates: [],
      change: `remove the deny rule${e.rules[0]?.position === undefined ? "" : ` at ${at(e.rules[0].position)}`}, or narrow what it selects: deny wins over every allow`,
    };
  }
  const candidates = e.candidates.map(
    (c): Candidate => ({
      what: originText(c.origin),
      position: c.origin.position,
      failed: c.failed.map(failedText),
      change:
        c.changes.length === 0
          ? undefined
          : c.changes
              .map(
                (x) =>
                  `add to ${c.origin.kind} ${c.origin.name} at ${pathText(x.path)}: ${JSON.stringify(x.value)}`,
              )
              .join("; "),
    }),
  );
  return {
    kind: "policy-implicit-deny",
    verdict: `${p.head}: denied implicitly, ${REASONS["default-deny"]}`,
    candidates,
    change: candidates.find((c) => c.change !== undefined)?.change ?? "add a policy that allows it",
  };
}

function failedText(f: FailedCondition): string {
  switch (f.kind) {
    case "peer":
      return `${pathText(f.path)}: the other end lacks ${f.missing.join(", ")}`;
    case "port":
      return `${pathText(f.path)}: wants ${f.wanted.join(", ")}, the flow has ${f.got}`;
    case "named-port":
      return `${pathText(f.path)}: no port is named ${f.name}`;
    case "selects-nothing":
      return `${pathText(f.path)}: selects nothing, it only switches default deny on`;
  }
}

function pathText(path: readonly (string | number)[]): string {
  return path.map((p, i) => (typeof p === "number" ? `[${p}]` : i === 0 ? p : `.${p}`)).join("");
}

/** `file:line:column`. */
export function at(p: SourcePosition): string {
  return `${p.file}:${p.line}:${p.column}`;
}

function programDrop(lab: Lab, w: Walk): Answer {
  const drop = w.steps.find((s) => s.kind === Step.DROP && s.record.b === 1)!;
  const program =
    w.steps.slice(0, w.steps.indexOf(drop)).findLast((s) => s.kind === Step.PROG)?.name ?? "a program";
  const verdict = `${program} on ${drop.where} ${drop.device} dropped it: ${drop.detail}`;
  if (drop.detail === "FIB lookup failed") {
    const a = noRoute(lab, drop.where, dstOf(drop), w);
    return { ...a, verdict: `${verdict}; ${a.verdict}` };
  }
  const src = decodeFrame(drop.record.frame).levels[0]?.ip?.src ?? "?";
  const changes: Readonly<Record<string, string>> = {
    "Invalid source ip": `send from the endpoint's own address: ${src} is not it`,
    "TTL exceeded": "send it with a higher TTL",
  };
  return { kind: "program-drop", verdict, candidates: [], change: changes[drop.detail] };
}

function netfilterLoss(lab: Lab, w: Walk, drop: WalkStep): Answer {
  const r = explainRule(w, drop);
  const level = decodeFrame(drop.record.frame).levels.at(-1);
  const decision: Decision = { where: drop.where, what: `rule ${r.text}`, position: undefined };
  if (level?.ip?.proto === 4 && r.hook === "INPUT") {
    const owner = ownerOf(lab, level.ip.src);
    const known = r.candidates.find((c) => c.set !== undefined)?.set;
    const other =
      owner === undefined || known === undefined
        ? undefined
        : known.members.find((m) => ownerOf(lab, m) === owner);
    return {
      kind: "tunnel-source",
      verdict:
        `${drop.where} does not recognise the tunnel's source: the outer packet (protocol 4) comes from ${level.ip.src}` +
        `${owner === undefined ? "" : ` (${owner})`}, and ${r.text} drops protocol 4 from hosts that are not known`,
      decisions: [decision],
      candidates: r.candidates,
      change:
        other !== undefined
          ? `let ${owner} send from ${other}, which is known: the route to ${level.ip.dst} on ${owner} must leave by the device that has ${other}`
          : known === undefined
            ? undefined
            : `add the source: ipset add ${known.name} ${level.ip.src}`,
    };
  }
  return {
    kind: "netfilter",
    verdict: `netfilter on ${drop.where}, hook ${r.hook}: ${r.text} dropped it`,
    decisions: [decision],
    candidates: r.candidates,
    change: r.change,
  };
}

function ownerOf(lab: Lab, address: string): string | undefined {
  const a = tryParseIp(address.split("/")[0]!);
  if (a === undefined) return undefined;
  for (const { name, ns } of [...lab.machines.nodes.values(), ...lab.machines.hosts.values()]) {
    const mine =
      a.family === 4 ? ns.fib.isLocalAddr(a.addr) : (ns.fib6?.localDev(a.addr, 0) ?? null) !== null;
    if (mine) return name;
  }
  return undefined;
}

function dstOf(s: WalkStep): string {
  if (s.kind === Step.FIB) return addressOfRecord(s.record) ?? "?";
  return decodeFrame(s.record.frame).levels.at(-1)?.ip?.dst ?? "?";
}

function namespaceOf(lab: Lab, where: string) {
  return lab.machines.namespaces.find((n) => n?.name === where);
}

/** The rules of `ip rule` that lead to a table. */
function rulesOfTable(ns: Netns, table: number): string[] {
  const lines = showRules(ns).split("\n");
  return lines.filter((l) => l.endsWith(` lookup ${table}`)).map((l) => l.replace("\t", " "));
}

function noRoute(lab: Lab, where: string, dst: string, w?: Walk): Answer {
  const ns = namespaceOf(lab, where);
  const candidates: Candidate[] = [];
  const candidate = (what: string, prefix: string, failed = `${dst} is not in ${prefix}`): void => {
    candidates.push({ what, position: routeSource(lab, where, what), failed: [failed], change: undefined });
  };
  if (dst.includes(":")) {
    for (const r of ns?.fib6?.routes ?? []) candidate(route6Text(r), `${formatIpv6(r.prefix)}/${r.plen}`);
  } else {
    const to = tryParseIpv4(dst);
    for (const t of ns?.fib.tables.values() ?? []) {
      if (t.id === RT_TABLE_LOCAL) continue;
      // A table that was not asked may well have a route.
      const asked = ns === undefined ? [] : rulesOfTable(ns, t.id);
      const unasked = `no rule leads the packet to table ${t.id} (${asked.join("; ") || "no rule names it"})`;
      for (const fa of t.routes()) {
        const holds = to !== undefined && contains4(fa.prefix as Be32, fa.plen, to);
        candidate(routeText(fa), formatPrefix(fa.prefix, fa.plen), holds ? unasked : undefined);
      }
    }
  }
  candidates.sort((a, b) => common(b.what, dst) - common(a.what, dst));
  return {
    kind: "no-route",
    verdict: `${where} has no route to ${dst}`,
    candidates: candidates.slice(0, 8),
    change: missingRoute(lab, where, dst, w),
  };
}

/** A packet for a pod that ended on a router outside lacks its route on the last node that it passed. */
function missingRoute(lab: Lab, where: string, dst: string, w: Walk | undefined): string {
  const isNode = (name: string): boolean => lab.cluster.model.nodes.some((n) => n.name === name);
  const pod = lab.cluster.model.pods.some((p) => p.ip4 === dst || p.ip6 === dst);
  const node = pod && !isNode(where) ? w?.steps.findLast((s) => isNode(s.where))?.where : undefined;
  const route = routeTo(lab, node ?? where, dst);
  const c = lab.cluster instanceof CiliumPlane ? lab.cluster.config : undefined;
  return node !== undefined && c !== undefined && c.routingMode === "native" && !c.autoDirectNodeRoutes
    ? `auto-direct-node-routes: "true" in cilium-config, or ${route}`
    : route;
}

function formatPrefix(prefix: number, plen: number): string {
  return `${[24, 16, 8, 0].map((s) => (prefix >>> s) & 255).join(".")}/${plen}`;
}

/** Leading octets that two texts share (characters of IPv6 ones): which route is nearest. */
function common(route: string, dst: string): number {
  if (dst.includes(":")) {
    let n = 0;
    while (n < dst.length && route[n] === dst[n]) n++;
    return n;
  }
  const a = (/\d+\.\d+\.\d+\.\d+/.exec(route)?.[0] ?? "").split(".");
  const b = dst.split(".");
  let n = 0;
  while (n < 4 && a[n] === b[n]) n++;
  return n;
}

/** The route that would lead there. */
function routeTo(lab: Lab, where: string, dst: string): string {
  const v6 = dst.includes(":");
  const add = v6 ? "ip -6 route add" : "ip route add";
  const host = `${dst}/${v6 ? 128 : 32}`;
  const pod = lab.cluster.model.pods.find((p) => p.ip4 === dst || p.ip6 === dst);
  const node = lab.cluster.model.nodes.find((n) => n.name === pod?.nodeName);
  const via = v6 ? node?.internalIp6 : node?.internalIp4;
  if (node !== undefined && node.name !== where && via !== undefined) {
    const cidr = node.podCidrs.find((c) => c.includes(":") === v6) ?? host;
    return `on ${where}: ${add} ${cidr} via ${via}`;
  }
  if (pod !== undefined && node?.name === where) {
    const dev = lab.cluster.pods.get(`${pod.namespace}/${pod.name}`)?.host.name;
    return `on ${where}: ${add} ${host} dev ${dev}${v6 ? "" : " scope link"}`;
  }
  const here = lab.cluster.model.nodes.find((n) => n.name === where);
  const gateway = [here?.gateway, here?.gatewayIPv6].find((g) => g?.includes(":") === v6);
  const known = ownerOf(lab, dst);
  return `on ${where}: ${add} ${host} via ${gateway ?? "GATEWAY"}${known === undefined ? "; nobody in the lab has that address" : ""}`;
}

/** The main table's route to an address, as `ip route` prints it: what locally made packets take, which leaves no record. */
function routeLine(lab: Lab, where: string, dst: string): string {
  const n = dst.split(".").reduce((sum, x) => sum * 256 + Number(x), 0);
  let best: { plen: number; text: string } | undefined;
  for (const fa of namespaceOf(lab, where)?.fib.main.routes() ?? []) {
    const size = 2 ** (32 - fa.plen);
    if (Math.floor(n / size) !== Math.floor((fa.prefix >>> 0) / size)) continue;
    if (best === undefined || fa.plen > best.plen) best = { plen: fa.plen, text: routeText(fa) };
  }
  return best?.text ?? "";
}

/** A route whose gateway is an address of the machine itself: the tunnel leads back into itself. */
function wrongGateway(lab: Lab, w: Walk): Answer | undefined {
  for (const step of w.steps) {
    if (step.kind !== Step.DROP && (step.kind !== Step.FIB || step.record.b === 3)) continue;
    const s = step.kind === Step.FIB ? step : { ...step, name: routeLine(lab, step.where, dstOf(step)) };
    const gw = /via (\S+) dev (\S+)/.exec(s.name);
    const ns = namespaceOf(lab, s.where);
    const ip4 = gw === null ? undefined : tryParseIpv4(gw[1]!);
    if (gw === null || ns === undefined || ip4 === undefined || !ns.fib.isLocalAddr(ip4)) continue;
    // cilium_host is meant that way: its program takes the packet.
    if (ns.devByName(gw[2]!)?.tc_egress !== null) continue;
    const dst = dstOf(s);
    const pod = lab.cluster.model.pods.find((p) => p.ip4 === dst);
    const owner = pod?.nodeName ?? ownerOf(lab, dst);
    const peer = lab.cluster.model.nodes.find((n) => n.name === owner);
    const prefix = s.name.split(" ")[0]!;
    const right = peer?.internalIp4 ?? "PEER";
    return {
      kind: "wrong-gateway",
      verdict:
        `the route on ${s.where} is wrong: in "${s.name}" the gateway ${gw[1]} is ${s.where}'s own address, so it is not used, ` +
        `and the outer packet to ${dst} is routed into ${gw[2]} again (a collision): ${w.drop === undefined ? "lost" : w.drop.detail}`,
      decisions: [{ where: s.where, what: `route ${s.name}`, position: routeSource(lab, s.where, s.name) }],
      candidates: [
        {
          what: s.name,
          position: routeSource(lab, s.where, s.name),
          failed: [
            `via ${gw[1]}: that is an address of ${s.where} itself, not of ${peer?.name ?? "the other node"}`,
          ],
          change: `ip route replace ${prefix} via ${right} dev ${gw[2]} onlink`,
        },
      ],
      change: `on ${s.where}: ip route replace ${prefix} via ${right} dev ${gw[2]} onlink`,
    };
  }
  return undefined;
}

function noNeighbour(lab: Lab, w: Walk, drop: WalkStep): Answer {
  const asked = w.steps.findLast((s) => s.kind === Step.NEIGH && s.where === drop.where);
  const ip = asked?.name.split(" ")[0] ?? dstOf(drop);
  const owner = ownerOf(lab, ip) ?? lab.cluster.model.pods.find((p) => p.ip4 === ip || p.ip6 === ip)?.name;
  const route = w.steps.findLast((s) => s.kind === Step.FIB && s.where === drop.where);
  return {
    kind: "no-neighbour",
    verdict: `${drop.where} asked for the MAC of ${ip} on ${asked?.device ?? drop.device} three times, and nobody answered`,
    candidates: [
      {
        what: route?.name ?? `next hop ${ip}`,
        position: route === undefined ? undefined : routeSource(lab, drop.where, route.name),
        failed: [
          owner === undefined
            ? `nobody in the lab has the address ${ip}`
            : `${owner} has ${ip}, but not on the network of ${asked?.device ?? drop.device}, or it does not answer ARP there`,
        ],
        change: undefined,
      },
    ],
    change:
      owner === undefined
        ? routeTo(lab, drop.where, dstOf(drop)).replace("route add", "route replace")
        : `reach ${ip} through the device whose network ${owner} is on`,
  };
}

/**
 * A datagram that came back from another address than the one asked: a server on 0.0.0.0 answers from the address that
 * the route back prefers (ip_route_output_key), unless it sends with IP_PKTINFO; a connected client never sees it.
 */
function otherSource(lab: Lab, flow: Flow, reply: Walk): Answer | undefined {
  const drop = reply.drop;
  const asked = destinationText(lab.endpoint(flow.to));
  if (flow.protocol !== "udp" || drop?.detail !== "NO_SOCKET" || serviceOf(lab, asked)) return;
  // By the drop the socket layer has taken the IP header off.
  const sent = reply.steps.find((s) => s.kind === Step.LOCAL_OUT);
  const source = sent === undefined ? undefined : decodeFrame(sent.record.frame).levels[0]?.ip?.src;
  const server = reply.steps[0]!.where;
  if (source === undefined || source === asked || ownerOf(lab, asked) !== server) return;
  return {
    kind: "answer-source",
    verdict:
      `the answer comes from ${source}, and ${flow.from} asked ${asked}: the server on ${server} listens on every address, ` +
      `and its kernel chose the source by the route back to ${flow.from}`,
    candidates: [],
    change: `let the server listen on ${asked} itself, or answer with IP_PKTINFO; or send to ${source}`,
  };
}

/** The packet left a NIC and arrived nowhere. */
function lostOnWire(lab: Lab, w: Walk): Answer {
  const sent = w.steps.findLast((s) => s.kind === Step.DEV_XMIT);
  const last = w.steps.at(-1)!;
  const level = decodeFrame((sent ?? last).record.frame).levels.at(-1);
  const nodes = lab.cluster.model.nodes;
  const nic = [...nodes, ...lab.cluster.model.hosts]
    .find((n) => n.name === sent?.where)
    ?.nics.find((x) => x.name === sent?.device);
  const network = lab.cluster.model.networks.find((n) => n.name === nic?.network);
  const proto = level?.ip?.proto;
  if (network !== undefined && proto !== undefined && network.dropProtocols.includes(proto)) {
    const name = proto === 4 ? "IPIP" : `protocol ${proto}`;
    return {
      kind: "protocol-filtered",
      verdict:
        `network ${network.name} drops protocol ${proto}${proto === 4 ? " (IPIP)" : ""} between its members: the packet left ${sent!.where} ${sent!.device} ` +
        `as ${level!.ip!.src} > ${level!.ip!.dst} and was filtered on the way, without any answer`,
      candidates: [
        {
          what: `Network ${network.name}, spec.dropProtocols [${network.dropProtocols.join(", ")}]`,
          position: network.posOf?.(["spec", "dropProtocols", network.dropProtocols.indexOf(proto)]),
          failed: [`protocol ${proto} is filtered`],
          change: `take ${proto} out of dropProtocols`,
        },
      ],
      change: `allow ${name} (protocol ${proto}) between the nodes in the firewall of network ${network.name}`,
    };
  }
  return {
    kind: "lost",
    verdict: `the packet was last seen at ${endOf(w)} (${last.what}), and nobody took it`,
    candidates: [],
    change: undefined,
  };
}

/** A service that has nobody to send to. */
function noBackend(lab: Lab, flow: Flow): Answer | undefined {
  const svc = serviceOf(lab, destinationText(lab.endpoint(flow.to)));
  if (svc === undefined) return undefined;
  const key = `${svc.metadata.namespace}/${svc.metadata.name}`;
  const spec = svc.raw.spec as {
    selector?: Record<string, string>;
    ports?: readonly { port?: number; protocol?: string; targetPort?: number | string }[];
  };
  const port = spec.ports?.find(
    (p) => p.port === flow.port && (p.protocol ?? "TCP").toLowerCase() === flow.protocol,
  );
  if (port === undefined) {
    const have = (spec.ports ?? []).map((p) => `${p.port}/${(p.protocol ?? "TCP").toLowerCase()}`).join(", ");
    return {
      kind: "no-backend",
      verdict: `Service ${key} has no port ${flow.port}/${flow.protocol}: only ${have || "none"}`,
      candidates: [],
      change: `send to ${have || "a port of the service"}, or add the port to spec.ports at ${at(svc.pos(["spec", "ports"]))}`,
    };
  }
  const backends = readServices(lab.cluster.model.objects, lab.cluster.model.pods).backends.get(key) ?? [];
  if (backends.some((b) => (b.protocol as unknown) !== undefined && ready(b.state))) return undefined;
  const candidates = lab.cluster.model.pods
    .filter((p) => p.namespace === svc.metadata.namespace)
    .map((p): Candidate => {
      const missing = Object.entries(spec.selector ?? {}).filter(([k, v]) => p.labels[k] !== v);
      const failed = missing.map(
        ([k, v]) =>
          `label ${k}=${v} (it has ${p.labels[k] === undefined ? `no ${k}` : `${k}=${p.labels[k]}`})`,
      );
      if (!p.ready) failed.push("it is not ready");
      return {
        what: `Pod ${p.namespace}/${p.name}`,
        position: p.pos,
        failed,
        change:
          missing.length > 0
            ? `give it ${missing.map(([k, v]) => `${k}: ${v}`).join(", ")}`
            : p.ready
              ? undefined
              : "let it become ready",
      };
    })
    .sort((a, b) => a.failed.length - b.failed.length);
  const best = candidates.find((c) => c.change !== undefined);
  return {
    kind: "no-backend",
    verdict: `Service ${key} (${at(svc.pos(["spec"]))}) has no ready backend: spec.selector ${JSON.stringify(spec.selector ?? {})} selects nobody that is ready`,
    candidates,
    change:
      best === undefined
        ? `add a pod with labels ${JSON.stringify(spec.selector ?? {})}`
        : `${best.what}: ${best.change}`,
  };
}

function ready(state: unknown): boolean {
  return state === undefined || state === "active" || state === 0 || state === "ready";
}

/** The source sent nothing: its own kernel refused. */
function notSent(lab: Lab, flow: Flow): Answer {
  const backend = noBackend(lab, flow);
  if (backend !== undefined) return backend;
  const from = lab.endpoint(flow.from);
  const dst = destinationText(lab.endpoint(flow.to));
  const a = noRoute(lab, from.ns!.name, dst);
  return { ...a, kind: "no-route", verdict: `${flow.from} sent nothing: ${a.verdict}` };
}

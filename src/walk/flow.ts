// A flow as people write it, `pod/a -> pod/b:80/tcp`, and the sending of it with the walks recorded.

import { PodpathError } from "../base/errors.js";
import { Step } from "../bpf/steps.js";
import { readServices } from "../cluster/cilium/services.js";
import type { Lab } from "../lab.js";
import { tryParseIpv6 } from "../net/address.js";
import { destinationText } from "../scenario/clients.js";
import { decodeFrame } from "./fields.js";
import type { Walk } from "./walk.js";

export interface Flow {
  readonly from: string;
  readonly to: string;
  /** 0 for ICMP. */
  readonly port: number;
  readonly protocol: "icmp" | "udp" | "tcp";
}

const FLOW = /^\s*(\S+)\s*->\s*(.+?)\s*$/;

/**
 * Reads `FROM -> TO[:PORT][/PROTOCOL]`; without a port it is ICMP, with a port TCP unless said otherwise. An IPv6 address
 * with a port stands in brackets.
 * @throws PodpathError USAGE
 */
export function parseFlow(text: string): Flow {
  const bad = (why: string): PodpathError =>
    new PodpathError(
      "USAGE",
      `--flow ${JSON.stringify(text)}: ${why}; write it like 'pod/a -> pod/b:80/tcp' or 'pod/a -> pod/b/icmp'`,
    );
  const m = FLOW.exec(text);
  if (m === null) throw bad("there is no ->");
  const from = m[1]!;
  let to = m[2]!;
  let protocol: Flow["protocol"] | undefined;
  const last = /\/(icmp|udp|tcp)$/i.exec(to);
  const unknown = /:\d+\/(\w*)$/.exec(to);
  if (last === null && unknown !== null)
    throw bad(`protocol ${JSON.stringify(unknown[1])} is not icmp, udp or tcp`);
  if (last !== null) {
    protocol = last[1]!.toLowerCase() as Flow["protocol"];
    to = to.slice(0, last.index);
  }
  let port = 0;
  const p = tryParseIpv6(to) !== undefined ? null : /:(\d+)$/.exec(to);
  if (p !== null) {
    port = Number(p[1]);
    to = to.slice(0, p.index);
    if (port < 1 || port > 65535) throw bad(`port ${p[1]} is not one of 1 to 65535`);
  } else if (/:[^:/]*$/.test(to) && !/^[0-9a-f:]+$/i.test(to)) throw bad("the port is not a number");
  const bare = /^\[(.+)\]$/.exec(to)?.[1];
  if (bare !== undefined && tryParseIpv6(bare) !== undefined) to = bare;
  if (to === "") throw bad("there is no destination");
  if (/\s/.test(to)) throw bad(`${JSON.stringify(to)} holds a blank`);
  if (protocol === undefined) protocol = port === 0 ? "icmp" : "tcp";
  if (protocol === "icmp" && port !== 0) throw bad("ICMP has no port");
  if (protocol !== "icmp" && port === 0) throw bad(`${protocol.toUpperCase()} needs a port`);
  return { from, to, port, protocol };
}

/** The flow as it is written. */
export function flowText(f: Flow): string {
  const to = f.port !== 0 && tryParseIpv6(f.to) !== undefined ? `[${f.to}]` : f.to;
  return `${f.from} -> ${to}${f.port === 0 ? "" : `:${f.port}`}/${f.protocol}`;
}

/** The flow of a scenario's first ping, datagrams or connection. @throws PodpathError USAGE if it sends nothing */
export function firstFlow(lab: Lab): Flow {
  for (const s of lab.scenario.traffic) {
    if (s.kind === "ping") return { from: s.spec.from, to: s.spec.to, port: 0, protocol: "icmp" };
    if (s.kind === "udp" || s.kind === "tcp")
      return { from: s.spec.from, to: s.spec.to, port: s.spec.port, protocol: s.kind };
  }
  throw new PodpathError(
    "USAGE",
    "the scenario sends nothing: say what to send with --flow 'pod/a -> pod/b:80/tcp'",
  );
}

/** Which packets of a flow are looked at. */
export type FlowState = "new" | "established";

/** What was sent and seen. */
export interface FlowTrace {
  readonly request: Walk;
  /** Undefined: nothing came back. */
  readonly reply: Walk | undefined;
  /** All walks of the recorded part, ARP and errors included. */
  readonly all: readonly Walk[];
}

const SOURCE_PORT = 40_001;
const PAYLOAD = 64;

/** What a flow's packets met, whether or not there were any. */
export interface FlowRecord {
  readonly requests: readonly Walk[];
  readonly replies: readonly Walk[];
  /** All walks, ARP and errors included. */
  readonly all: readonly Walk[];
}

/**
 * Sends a flow and gives the walks of one request and its reply: the first packets (`new`), or packets of the flow
 * after both ends have answered (`established`; for TCP the request's data and what answers it). Neighbours are
 * resolved by a flow of another source port beforehand, unless `cold`.
 * @throws PodpathError USAGE if not one packet was sent
 */
export function traceFlow(lab: Lab, flow: Flow, state: FlowState = "new", cold = false): FlowTrace {
  const r = recordFlow(lab, flow, state, cold);
  const request = pick(r.requests, flow, state, true);
  if (request === undefined) {
    throw new PodpathError(
      "USAGE",
      `${flow.from} sent no packet to ${flow.to}; podpath explain --flow ${JSON.stringify(flowText(flow))} says why`,
    );
  }
  return { request, reply: pick(r.replies, flow, state, false), all: r.all };
}

/** Sends a flow with walks recorded. */
export function recordFlow(lab: Lab, flow: Flow, state: FlowState, cold: boolean): FlowRecord {
  const from = lab.endpoint(flow.from);
  if (from.ns === undefined)
    throw new PodpathError("USAGE", `${flow.from} is nobody in this lab: traffic cannot start there`);
  serveBackends(lab, flow);
  if (!cold) send(lab, flow, SOURCE_PORT - 1, 1);
  const all = lab.record(() => send(lab, flow, SOURCE_PORT, state === "new" ? 1 : 2), 1 << 17);
  const source = from.ns.name;
  const mine = all.filter((w) => isFlowPacket(w, flow));
  return {
    requests: mine.filter((w) => w.steps[0]!.where === source),
    replies: mine.filter((w) => w.steps[0]!.where !== source),
    all,
  };
}

/**
 * Runs what a scenario does before it first sends something: commands, servers, waiting. A scenario of a fault makes the
 * fault that way.
 */
export function prepare(lab: Lab): void {
  const steps = lab.scenario.traffic;
  const first = steps.findIndex((s) => s.kind === "ping" || s.kind === "udp" || s.kind === "tcp");
  lab.traffic.runAll(first < 0 ? steps : steps.slice(0, first));
}

/** Opens servers on the backends of a service that the flow goes to, where there are none. */
function serveBackends(lab: Lab, flow: Flow): void {
  if (flow.protocol === "icmp") return;
  const { protocol } = flow;
  const model = lab.cluster.model;
  const ip = destinationText(lab.endpoint(flow.to));
  const { frontends, backends } = readServices(model.objects, model.pods);
  for (const f of frontends) {
    if (f.address !== ip || f.port !== flow.port) continue;
    for (const b of backends.get(`${f.service.namespace}/${f.service.name}`) ?? []) {
      const pod = model.pods.find((p) => p.ip4 === b.address || p.ip6 === b.address);
      if (pod === undefined || pod.hostNetwork || b.protocol.toLowerCase() !== protocol) continue;
      const on = `pod/${pod.namespace}/${pod.name}`;
      const sockets = lab.endpoint(on).ns!.sockets;
      const { tcpListen, tcpListen6, udp, udp6 } = sockets;
      const [four, six] = protocol === "tcp" ? [tcpListen, tcpListen6] : [udp, udp6];
      if (!(b.address.includes(":") ? six : four).has(b.port))
        lab.traffic.listen({ on, port: b.port, protocol });
    }
  }
}

function send(lab: Lab, flow: Flow, sourcePort: number, count: number): void {
  const { from, to, port } = flow;
  switch (flow.protocol) {
    case "icmp":
      lab.ping({ from, to, count, interval: "1ms" });
      break;
    case "udp":
      lab.udp({ from, to, port, sourcePort, count, size: PAYLOAD });
      break;
    case "tcp":
      lab.tcp({ from, to, port, sourcePort, send: PAYLOAD, receive: PAYLOAD, close: "rst" });
      break;
  }
}

const PROTO = { icmp: [1, 58], tcp: [6], udp: [17] } as const;
/** Echo request and reply of both families. */
const ECHO = ["8", "0", "128", "129"];

/** True for packets of the flow itself, not ARP, not ICMP errors about it. */
function isFlowPacket(w: Walk, flow: Flow): boolean {
  const first = w.steps.find(
    (s) => s.kind === Step.LOCAL_OUT || s.kind === Step.DEV_XMIT || s.kind === Step.DEV_RX,
  );
  if (first === undefined) return false;
  const ip = decodeFrame(first.record.frame).levels[0];
  const proto = ip?.ip?.proto ?? -1;
  if (ip === undefined || !(PROTO[flow.protocol] as readonly number[]).includes(proto)) return false;
  const type = ip.fields.find((f) => f.name === "icmp.type")?.value;
  return type === undefined || ECHO.includes(type);
}

function pick(walks: readonly Walk[], flow: Flow, state: FlowState, request: boolean): Walk | undefined {
  if (state === "new") return walks[0];
  if (flow.protocol !== "tcp") return walks[1] ?? walks[0];
  const data = walks.filter((w) => w.steps[0] !== undefined && lengthOf(w) > PAYLOAD + 40);
  return data[0] ?? (request ? walks.at(-1) : walks[1]) ?? walks[0];
}

function lengthOf(w: Walk): number {
  return Math.max(...w.steps.map((s) => s.record.len));
}

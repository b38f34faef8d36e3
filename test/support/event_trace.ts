// Whole traces of traffic through a lab: what each packet met, and what the monitors of the nodes saw, in a notation
// close to the datapath facts'.
//
//   path     one line for each stay in a namespace: `n1: <lxc_a cil_from_container policy(B) redirect_peer(lxc_b)`
//            (`<dev` received, `>dev` handed to the device, hooks and programs by name)
//   events   `A T:to-endpoint(idA,idB,B,lxc_b,new) ttl 63 from 10.0.0.11`: who speaks, the kind, its fields
//              T:point(source, destination, destination endpoint or port, interface, reason[, encrypted])
//              D<n> debug message and its text · C<n>(arg) debug capture · V direction peer port/proto verdict
//              DROP reason(source, destination, endpoint, interface, ext) · SOCK point address

import { fillMessage } from "../../monitor/debug_message.js";
import {
  CLS_FLAG_GENEVE,
  CLS_FLAG_IPV6,
  CLS_FLAG_VXLAN,
  DatapathEvent,
  POLICY_AUDITED,
  POLICY_DIR_MASK,
  POLICY_MATCH_MASK,
  POLICY_MATCH_SHIFT,
  TRACE_REASON_ENCRYPTED,
} from "../../monitor/event.js";
import {
  EVENT_CAPTURE,
  EVENT_DEBUG,
  EVENT_DROP,
  EVENT_POLICY_VERDICT,
  EVENT_TRACE,
  EVENT_TRACE_SOCK,
  type Profile,
  profileOf,
} from "../../monitor/release.js";
import { Step } from "../../src/bpf/steps.js";
import type { Lab } from "../../src/lab.js";
import { formatIpv4, formatIpv6 } from "../../src/net/address.js";
import { NF_HOOK_NAMES, ttlOf, type Walk, type WalkStep } from "../../src/walk/walk.js";

/** Names that stand for numbers in a trace. */
export interface TraceNames {
  /** Endpoint id to name. */
  readonly endpoints: Readonly<Record<number, string>>;
  /** Identity to name; others are printed as numbers. */
  readonly identities: Readonly<Record<number, string>>;
}

/** What happened while `action` ran. */
export interface Trace {
  /** Paths of all packets, then the events of each node. */
  readonly text: string;
  /** Events only. */
  readonly events: string;
  readonly walks: readonly Walk[];
}

/** Runs `action` with a monitor on every node and a recorder attached. */
export function traceOf(lab: Lab, names: TraceNames, action: () => void): Trace {
  const profile = profileOf(lab.cluster.model.datapath.profile);
  const lines = new Map<string, string[]>();
  const detach: (() => void)[] = [];
  for (const node of lab.nodeNames) {
    const out: string[] = [];
    lines.set(node, out);
    const format = new EventText(profile, names, (i) => lab.node(node).ifname(i) ?? String(i));
    detach.push(lab.monitor(node, (s) => out.push(format.line(s.bytes))));
  }
  const walks = lab.record(action);
  // What is still in the rings.
  lab.runUntil(lab.clock.ns);
  for (const d of detach) d();
  const events = [...lines]
    .filter(([, l]) => l.length > 0)
    .map(([node, l]) => `events ${node}\n${l.map((x) => `  ${x}\n`).join("")}`)
    .join("");
  const paths = walks
    .map(
      (w) =>
        `packet\n${pathLines(w, names)
          .map((x) => `  ${x}\n`)
          .join("")}`,
    )
    .join("");
  return { text: paths + events, events, walks };
}

/** The text of a template literal without the indentation of its last line's. */
export function text(strings: TemplateStringsArray): string {
  const lines = strings[0]!.split("\n");
  const indent = lines[1]?.length === undefined ? 0 : lines[1].length - lines[1].trimStart().length;
  return lines
    .slice(1, -1)
    .map((l) => `${l.slice(indent)}\n`)
    .join("");
}

// --- paths ----------------------------------------------------------------------------------------------------------

const REDIRECTS = ["redirect", "redirect_ingress", "redirect_peer", "redirect_neigh"] as const;

/** The way of a packet, one line for each stay in a namespace. */
export function pathLines(w: Walk, names: TraceNames): string[] {
  const out: string[] = [];
  let where = "";
  for (const s of w.steps) {
    const word = stepWord(s, names);
    if (word === "") continue;
    if (s.where !== where) {
      where = s.where;
      out.push(`${where.replace("pod/default/", "pod/")}:`);
    }
    out[out.length - 1] += ` ${word}`;
  }
  return out;
}

function stepWord(s: WalkStep, names: TraceNames): string {
  const r = s.record;
  const ttl = ttlOf(r.frame);
  switch (s.kind) {
    case Step.DEV_XMIT:
      return ttl === undefined ? `>${s.device}` : `>${s.device}[${ttl}]`;
    case Step.DEV_RX:
      return ttl === undefined ? `<${s.device}` : `<${s.device}[${ttl}]`;
    case Step.BACKLOG:
      return "backlog";
    case Step.PROG:
      return s.name;
    case Step.TAIL_CALL:
      return r.c === 1 ? `policy(${names.endpoints[r.a] ?? r.a})` : "";
    case Step.REDIRECT:
      return `${REDIRECTS[r.a]}(${s.name})`;
    case Step.NF_HOOK:
      return NF_HOOK_NAMES[r.a]!;
    case Step.NF_NAT:
      return r.a === 1 ? "DNAT" : "SNAT";
    case Step.FORWARD:
      return "ip_forward";
    case Step.LOCAL_IN:
      return "local_in";
    case Step.LOCAL_OUT:
      return "local_out";
    case Step.ENCAP:
      return "encap";
    case Step.DECAP:
      return "decap";
    case Step.DELIVER:
      return "socket";
    case Step.DROP:
      return `drop(${s.detail})`;
    case Step.ICMP_ERROR:
      return `icmp_error(${r.a},${r.b})`;
    case Step.ARP:
      return "arp";
    default:
      return "";
  }
}

// --- events ---------------------------------------------------------------------------------------------------------

const SOCK_POINTS = ["unknown", "pre-fwd", "post-fwd", "pre-rev", "post-rev"] as const;

/** Samples to lines. */
export class EventText {
  readonly #ev = new DatapathEvent();

  constructor(
    private readonly profile: Profile,
    private readonly names: TraceNames,
    private readonly ifname: (ifindex: number) => string,
  ) {}

  line(b: Uint8Array): string {
    const ev = this.#ev;
    const error = ev.decode(this.profile, b);
    if (error !== "") return error;
    const from = this.#endpoint(ev.source);
    switch (ev.type) {
      case EVENT_TRACE: {
        const reason = this.profile.traceReasons[ev.reason] ?? String(ev.reason);
        const fields = [
          this.#identity(ev.srcLabel),
          this.#identity(ev.dstLabel),
          this.profile.tracePointVerbose[ev.subtype] === "to-proxy" ? ev.dstId : this.#endpoint(ev.dstId),
          this.#interface(ev.ifindex),
          reason,
        ];
        if ((ev.reason & TRACE_REASON_ENCRYPTED) !== 0) fields.push("encrypted");
        const overlay =
          (ev.flags & CLS_FLAG_VXLAN) !== 0 ? " vxlan" : (ev.flags & CLS_FLAG_GENEVE) !== 0 ? " geneve" : "";
        const orig = this.#orig(b);
        return `${from} T:${this.profile.tracePointVerbose[ev.subtype]}(${fields.join(",")})${this.#ttl(b)}${overlay}${orig}`;
      }
      case EVENT_DROP: {
        const fields = [
          this.#identity(ev.srcLabel),
          this.#identity(ev.dstLabel),
          this.#endpoint(ev.dstId),
          this.#interface(ev.ifindex),
        ];
        return `${from} DROP ${ev.subtype}(${fields.join(",")})${ev.extError === 0 ? "" : ` ext ${ev.extError}`}${this.#ttl(b)}`;
      }
      case EVENT_DEBUG: {
        const format = this.profile.debugMessages[ev.subtype];
        const message =
          format === undefined
            ? `${ev.arg1} ${ev.arg2} ${ev.arg3}`
            : fillMessage(this.profile, format, ev.arg1, ev.arg2, ev.arg3, this.ifname);
        return `${from} D${ev.subtype} ${message.replace(/lifetime=\d+/, "lifetime=L")}`;
      }
      case EVENT_CAPTURE:
        return `${from} C${ev.subtype}(${ev.arg1 >>> 0})${this.#ttl(b)}`;
      case EVENT_POLICY_VERDICT: {
        const direction = (ev.flags & POLICY_DIR_MASK) === 1 ? "ingress" : "egress";
        const match = this.profile.policyMatch[(ev.flags >> POLICY_MATCH_SHIFT) & POLICY_MATCH_MASK];
        const action =
          ev.verdict === 0 ? "allow" : ev.verdict > 0 ? `proxy ${ev.verdict}` : `deny ${-ev.verdict}`;
        const audit = (ev.flags & POLICY_AUDITED) !== 0 ? " audit" : "";
        return `${from} V ${direction} ${this.#identity(ev.srcLabel)} ${ev.dstPort}/${ev.proto} ${action}${audit} match ${match}`;
      }
      case EVENT_TRACE_SOCK: {
        const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
        const ip = ev.flags !== 0 ? formatIpv6(b.subarray(24, 40)) : formatIpv4(v.getInt32(24, true));
        return `SOCK ${SOCK_POINTS[ev.subtype]} ${ip}:${ev.dstPort}`;
      }
      default:
        return `event ${ev.type}`;
    }
  }

  #endpoint(id: number): string {
    return this.names.endpoints[id] ?? String(id);
  }

  #identity(id: number): string {
    return this.names.identities[id] ?? String(id >>> 0);
  }

  #interface(ifindex: number): string {
    return ifindex === 0 ? "0" : this.ifname(ifindex);
  }

  #ttl(b: Uint8Array): string {
    const t = ttlOf(b.subarray(this.#ev.packet));
    return t === undefined ? "" : ` ttl ${t}`;
  }

  #orig(b: Uint8Array): string {
    const at = this.#ev.origIp;
    if (at < 0) return "";
    const v6 = (this.#ev.flags & CLS_FLAG_IPV6) !== 0;
    const bytes = b.subarray(at, at + (v6 ? 16 : 4));
    if (bytes.every((x) => x === 0)) return "";
    const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
    return ` from ${v6 ? formatIpv6(bytes) : formatIpv4(v.getInt32(at, true))}`;
  }
}

// A packet's walk: the records that a StepRecorder kept, cut by packet, with the names that a person knows.
// Tests ask it questions (`walk.has(...)`), renderings print it, comparisons align two of them.

import { Step, type StepRecord } from "../bpf/steps.js";
import { XtRule } from "../kernel/netfilter/xt_rule.js";
import { XtChain } from "../kernel/netfilter/xtables.js";
import { neighText, routeOfRecord } from "./route_text.js";

/** Netfilter hooks in the order of their numbers. */
export const NF_HOOK_NAMES = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"] as const;
export type NfHookName = (typeof NF_HOOK_NAMES)[number];

const KIND_NAMES: Readonly<Record<number, string>> = {
  [Step.ORIGIN]: "origin",
  [Step.DEV_XMIT]: "xmit",
  [Step.DEV_RX]: "receive",
  [Step.BACKLOG]: "backlog",
  [Step.PROG]: "program",
  [Step.PROG_END]: "verdict",
  [Step.TAIL_CALL]: "tail call",
  [Step.MAP_LOOKUP]: "map lookup",
  [Step.MAP_UPDATE]: "map update",
  [Step.CT]: "conntrack (BPF)",
  [Step.POLICY]: "policy",
  [Step.SERVICE]: "service",
  [Step.REDIRECT]: "redirect",
  [Step.NF_HOOK]: "netfilter hook",
  [Step.NF_CHAIN]: "chain",
  [Step.NF_RULE]: "rule",
  [Step.NF_CT]: "conntrack (netfilter)",
  [Step.NF_NAT]: "NAT (netfilter)",
  [Step.FIB]: "FIB lookup",
  [Step.NEIGH]: "neighbour",
  [Step.FORWARD]: "ip_forward",
  [Step.LOCAL_IN]: "local in",
  [Step.LOCAL_OUT]: "local out",
  [Step.ENCAP]: "encapsulate",
  [Step.DECAP]: "decapsulate",
  [Step.IPVS]: "IPVS",
  [Step.BRIDGE]: "bridge",
  [Step.DROP]: "drop",
  [Step.DELIVER]: "deliver",
  [Step.ICMP_ERROR]: "ICMP error",
  [Step.FRAGMENT]: "fragment",
  [Step.ARP]: "ARP",
};

/** Who can tell names: the lab. */
export interface WalkNames {
  /** Name of a namespace by number: `node-1`, `pod/default/a`. */
  netns(id: number): string;
  /** Name of a device. */
  device(netns: number, ifindex: number): string;
  /** Text of a kernel drop reason (`b` 0) or a BPF drop code (`b` 1). */
  dropReason(code: number, bpf: boolean): string;
}

/** One step with its names. */
export interface WalkStep {
  readonly kind: Step;
  readonly what: string;
  /** Namespace: a node, a pod, a host. */
  readonly where: string;
  readonly device: string;
  /** What decided or was met: program, map, chain, rule, route ... as one word or phrase. */
  readonly name: string;
  /** The rest in words. */
  readonly detail: string;
  readonly record: StepRecord;
}

/** The walk of one packet. */
export class Walk {
  readonly steps: readonly WalkStep[];

  constructor(
    /** skb id. */
    readonly id: number,
    records: readonly StepRecord[],
    names: WalkNames,
  ) {
    const near = new NearNames(names);
    this.steps = records.map((r) => describe(r, names, near));
  }

  /** Steps of a kind, optionally in a namespace only. */
  of(kind: Step, where?: string): WalkStep[] {
    return this.steps.filter((s) => s.kind === kind && (where === undefined || s.where === where));
  }

  /** Netfilter hooks met, in order, optionally in a namespace only. */
  hooks(where?: string): NfHookName[] {
    return this.of(Step.NF_HOOK, where).map((s) => NF_HOOK_NAMES[s.record.a]!);
  }

  /** Programs run, in order. */
  programs(where?: string): string[] {
    return this.of(Step.PROG, where).map((s) => s.name);
  }

  /** Devices that the packet was received on or transmitted through, in order, as `where:device`. */
  devices(): string[] {
    const out: string[] = [];
    for (const s of this.steps) {
      if (s.kind !== Step.DEV_RX && s.kind !== Step.DEV_XMIT) continue;
      const d = `${s.where}:${s.device}`;
      if (out[out.length - 1] !== d) out.push(d);
    }
    return out;
  }

  /** The drop that ended it, if one did. */
  get drop(): WalkStep | undefined {
    return this.steps.findLast((s) => s.kind === Step.DROP);
  }

  /** True if a socket got it, or the stack of its destination itself did (an echo request). */
  get delivered(): boolean {
    if (this.steps.some((s) => s.kind === Step.DELIVER)) return true;
    const last = this.steps.findLast(
      (s) => s.kind === Step.LOCAL_IN || s.kind === Step.DROP || s.kind === Step.FORWARD,
    );
    return last?.kind === Step.LOCAL_IN;
  }

  /** TTL or hop limit in the last snapshot that holds an IP header; undefined if none does. */
  get ttl(): number | undefined {
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const { frame, len } = this.steps[i]!.record;
      const t = ttlOf(frame, len);
      if (t !== undefined) return t;
    }
    return undefined;
  }

  /** One line a step. */
  toString(): string {
    let out = "";
    let where = "";
    for (const s of this.steps) {
      if (s.where !== where) {
        where = s.where;
        out += `${where}\n`;
      }
      const ttl = ttlOf(s.record.frame, s.record.len);
      const cols = [s.device.padEnd(16), s.what.padEnd(22), s.name, s.detail]
        .filter((c) => c !== "")
        .join(" ");
      out += `  ${cols.trimEnd()}${ttl === undefined ? "" : `  ttl ${ttl}`}\n`;
    }
    return out;
  }
}

/** Walks of all packets in the records, in order of first appearance. Records of packets that nobody follows (id 0) are left out. */
export function walksOf(records: readonly StepRecord[], names: WalkNames): Walk[] {
  const byId = new Map<number, StepRecord[]>();
  // A packet takes many steps before another takes one.
  let last = 0;
  let list: StepRecord[] = [];
  for (const r of records) {
    const { id } = r;
    if (id === 0) continue;
    if (id !== last) {
      last = id;
      const known = byId.get(id);
      list = known ?? [];
      if (known === undefined) byId.set(id, list);
    }
    list.push(r);
  }
  return [...byId].map(([id, list]) => new Walk(id, list, names));
}

const REDIRECTS = ["egress", "ingress", "peer", "neigh"] as const;
const CT_RESULTS = ["New", "Established", "Reply", "Related"] as const;
const TC_VERDICTS: Readonly<Record<number, string>> = {
  [-1]: "TC_ACT_UNSPEC",
  0: "TC_ACT_OK",
  2: "TC_ACT_SHOT",
  4: "TC_ACT_STOLEN",
  7: "TC_ACT_REDIRECT",
};
const ATTACH = ["tc ingress", "tc egress", "xdp", "netkit primary", "netkit peer"] as const;
const FIB_ASKERS = ["input", "output", "bpf_fib_lookup", "rp_filter"] as const;

const NF_VERDICTS: Readonly<Record<number, string>> = { 1: "ACCEPT", 2: "STOLEN", 3: "QUEUE", 4: "REPEAT" };
const CTINFO = ["ESTABLISHED", "RELATED", "NEW", "ESTABLISHED (reply)", "RELATED (reply)"] as const;

/** A rule as iptables-save prints it, with its table. */
function ruleText(rule: XtRule): string {
  const owner = rule.owner;
  return owner === null ? rule.text : `${owner.table.name}: -A ${owner.name} ${rule.text}`;
}

/** Names of where a packet is: the step before was mostly there too. */
class NearNames {
  #netns = -1;
  #ifindex = -1;
  where = "";
  device = "";

  constructor(private readonly names: WalkNames) {}

  go(netns: number, ifindex: number): void {
    if (netns === this.#netns && ifindex === this.#ifindex) return;
    this.#netns = netns;
    this.#ifindex = ifindex;
    this.where = this.names.netns(netns);
    this.device = ifindex === 0 ? "-" : this.names.device(netns, ifindex);
  }
}

function describe(r: StepRecord, names: WalkNames, near: NearNames): WalkStep {
  let detail = "";
  let name = "";
  const { kind } = r;
  switch (kind) {
    case Step.PROG:
      name = specName(r.ref);
      detail = ATTACH[r.a] ?? "";
      break;
    case Step.PROG_END:
      name = specName(r.ref);
      detail = TC_VERDICTS[r.a] ?? String(r.a);
      break;
    case Step.TAIL_CALL:
      name = refName(r.ref);
      detail = `${r.c === 1 ? "endpoint" : "index"} ${r.a}${r.b === 1 ? "" : " (missed)"}`;
      break;
    case Step.MAP_LOOKUP:
      name = specName(r.ref);
      detail = r.a < 0 ? "miss" : "hit";
      break;
    case Step.MAP_UPDATE:
      name = specName(r.ref);
      detail = r.b === 1 ? "delete" : r.a === 0 ? "update" : `failed (${r.a})`;
      break;
    case Step.CT:
      name = specName(r.ref);
      detail = CT_RESULTS[r.a] ?? String(r.a);
      break;
    case Step.POLICY:
      name = specName(r.ref);
      detail =
        r.a === 0
          ? "allow"
          : r.a > 0
            ? `redirect to proxy port ${r.a}`
            : `deny (${names.dropReason(-r.a, true)})`;
      break;
    case Step.SERVICE:
      name = specName(r.ref);
      detail = `backend ${r.a}, rev NAT ${r.b}`;
      break;
    case Step.REDIRECT:
      name = refName(r.ref);
      detail = REDIRECTS[r.a] ?? "";
      break;
    case Step.NF_HOOK:
      name = NF_HOOK_NAMES[r.a] ?? String(r.a);
      break;
    case Step.NF_CHAIN:
      name = r.ref instanceof XtChain ? `${r.ref.table.name}:${r.ref.name}` : refName(r.ref);
      detail = r.b === 1 ? `end, ${r.c} rule${r.c === 1 ? "" : "s"} evaluated` : "";
      break;
    case Step.NF_RULE:
      if (r.ref instanceof XtRule) name = ruleText(r.ref);
      else if (r.ref instanceof XtChain) name = `${r.ref.table.name}:${r.ref.name} policy`;
      else name = refName(r.ref);
      detail = r.a === -1 ? "DROP" : (NF_VERDICTS[r.a] ?? "");
      break;
    case Step.NF_CT:
      detail = r.ref === null ? "none" : (CTINFO[r.a] ?? String(r.a));
      break;
    case Step.NF_NAT:
      detail = r.a === 1 ? "destination" : "source";
      break;
    case Step.FIB:
      name = routeOfRecord(r);
      detail = `${FIB_ASKERS[r.b] ?? ""}${r.a === 0 ? "" : ` error ${r.a}`}`;
      break;
    case Step.NEIGH:
      name = neighText(r.ref);
      break;
    case Step.BRIDGE:
      name = r.ref === null ? "flooded" : refName(r.ref);
      break;
    case Step.DROP:
      name = refName(r.ref);
      detail = names.dropReason(r.a, r.b === 1);
      break;
    case Step.ICMP_ERROR:
      name = refName(r.ref);
      detail = `type ${r.a} code ${r.b}`;
      break;
    default:
      name = refName(r.ref);
      break;
  }
  near.go(r.netns, r.ifindex);
  return {
    kind,
    what: KIND_NAMES[kind] ?? `step ${kind}`,
    where: near.where,
    device: near.device,
    name,
    detail,
    record: r,
  };
}

/** The name of a program or a map, which keep it in their spec. */
function specName(ref: object | null): string {
  const name = (ref as { spec?: { name?: unknown } } | null)?.spec?.name;
  return typeof name === "string" ? name : refName(ref);
}

/** Names of functions: the engine makes them anew each time it is asked. */
const functionNames = new WeakMap<object, string>();

/** The name of what a record refers to: the kernel's objects have it in `name`, programs and maps in their spec. */
function refName(ref: object | null): string {
  if (ref === null) return "";
  if (typeof ref === "function") {
    let name = functionNames.get(ref);
    if (name === undefined) {
      name = String((ref as { name?: unknown }).name ?? "");
      functionNames.set(ref, name);
    }
    return name;
  }
  const o = ref as { name?: unknown; spec?: { name?: unknown }; toString(): string };
  if (typeof o.name === "string") return o.name;
  if (typeof o.spec?.name === "string") return o.spec.name;
  if (o.toString === Object.prototype.toString) return "";
  const text = o.toString();
  return text.startsWith("[object") ? "" : text;
}

/**
 * TTL or hop limit of the IP header in a snapshot, behind an Ethernet header or at its start. With `len`, the length of
 * the whole packet, an IP header at the start must say that length: where a socket takes a packet its headers are gone,
 * and ports or payload may look like one.
 */
export function ttlOf(frame: Uint8Array, len?: number): number | undefined {
  const at = ipOffset(frame);
  if (at < 0) return undefined;
  if (at === 0 && len !== undefined) {
    const six = frame[0]! >> 4 === 6;
    const says = six ? (frame[4]! << 8) | frame[5]! : (frame[2]! << 8) | frame[3]!;
    // 0: not filled in yet.
    if (says !== 0 && says + (six ? 40 : 0) !== len) return undefined;
  }
  return frame[at]! >> 4 === 4 ? frame[at + 8] : frame[at + 7];
}

/** MAC address at an offset of a frame, as text. */
export function macText(frame: Uint8Array, off: number): string {
  return Array.from(frame.subarray(off, off + 6), (b) => b.toString(16).padStart(2, "0")).join(":");
}

function ipOffset(f: Uint8Array): number {
  if (f.length >= 34) {
    const type = (f[12]! << 8) | f[13]!;
    if (type === 0x0800 && f[14]! >> 4 === 4) return 14;
    if (type === 0x86dd && f[14]! >> 4 === 6 && f.length >= 54) return 14;
  }
  if (f.length >= 20 && f[0]! >> 4 === 4 && (f[0]! & 15) >= 5) return 0;
  if (f.length >= 40 && f[0]! >> 4 === 6) return 0;
  return -1;
}

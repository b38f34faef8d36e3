// One flow through several datapaths, aligned step by step: what each walk meets, what the header fields become, and
// what one datapath skips or adds against another. A value; tables, diagrams, captures and pages are made of it.

import { Step } from "../bpf/steps.js";
import type { DatapathName } from "../cluster/model.js";
import type { Lab } from "../lab.js";
import { type AlignedRow, alignKeys } from "./align.js";
import { COUNT_LABELS, type CountName, countWalk, type WalkCounts } from "./counts.js";
import { decodeFrame, type FieldChange, FieldTracker } from "./fields.js";
import { type Flow, type FlowState, flowText, traceFlow } from "./flow.js";
import { NF_HOOK_NAMES, type Walk, type WalkStep } from "./walk.js";

/** A step of a compared walk. */
export interface ComparedStep {
  /** What happened: `receive`, `netfilter hook`, `FIB lookup` ... */
  readonly what: string;
  readonly where: string;
  readonly device: string;
  /** The device's part in the path: `pod`, `pod host side`, `uplink`, else its name. */
  readonly role: string;
  readonly name: string;
  readonly detail: string;
  readonly kind: Step;
  /** Virtual time, ns. */
  readonly ns: number;
  /** TTL of the outermost IP header; undefined without one. */
  readonly ttl: number | undefined;
  /** Bytes of the frame at this step. */
  readonly bytes: number;
  /** True if the snapshot begins with an Ethernet header. */
  readonly ethernet: boolean;
  readonly frame: Uint8Array;
  readonly changes: readonly FieldChange[];
}

/** The walk of one packet through one datapath. */
export interface ComparedWalk {
  readonly steps: readonly ComparedStep[];
  readonly outcome: "delivered" | "dropped" | "lost";
  /** Who decided, in words. */
  readonly decided: string;
  /** TTL with which it arrived or was dropped. */
  readonly ttl: number | undefined;
  /** Lengths of the frame on each uplink it was sent on, with the Ethernet header. */
  readonly wireBytes: readonly number[];
  readonly counts: WalkCounts;
  /** Counts by namespace, in the order of the path. */
  readonly countsBy: ReadonlyMap<string, WalkCounts>;
}

/** What one walk does not meet that another does. */
export interface Difference {
  /** `n1 PREROUTING`, in path order. */
  readonly netfilterHooks: readonly string[];
  /** `n1 mangle:FORWARD`. */
  readonly chains: readonly string[];
  /** `n2 10.0.1.0/24 via ... (input)`. */
  readonly fibLookups: readonly string[];
  /** `pod/default/c eth0`. */
  readonly backlogPasses: readonly string[];
  /** `n2 cil_from_host`. */
  readonly programs: readonly string[];
  /** `n1 lxc_b`: transmissions. */
  readonly transmissions: readonly string[];
  /** `n1 peer`, `n1 neigh`, `n1 egress`. */
  readonly redirects: readonly string[];
  /** `n1 VXLAN vni 1`. */
  readonly encapsulations: readonly string[];
}

/** The first datapath against another, for one direction. */
export interface Versus {
  readonly base: number;
  readonly other: number;
  /** What the other meets and the first does not. */
  readonly skips: Difference;
  /** What the first meets and the other does not. */
  readonly adds: Difference;
  /** Counts that differ: [first, other]. */
  readonly counts: Readonly<Partial<Record<CountName, readonly [number, number]>>>;
}

/** One direction of the flow in all datapaths. */
export interface ComparedDirection {
  readonly direction: "request" | "reply";
  /** One per datapath; undefined where no such packet was seen. */
  readonly walks: readonly (ComparedWalk | undefined)[];
  /** Aligned steps: index into the steps of each walk, -1 for none. */
  readonly rows: readonly AlignedRow[];
  readonly versus: readonly Versus[];
}

export interface ComparedDatapath {
  readonly name: DatapathName;
  /** Host routing and the agent's reason for it, where there is such a thing. */
  readonly hostRouting: { readonly mode: string; readonly reason: string } | undefined;
}

export interface Comparison {
  readonly scenario: string;
  readonly flow: Flow;
  readonly state: FlowState;
  readonly datapaths: readonly ComparedDatapath[];
  readonly directions: readonly ComparedDirection[];
}

/** Sends the flow in each lab and compares. The labs must be of one scenario and seed. */
export function compareFlow(
  labs: readonly Lab[],
  flow: Flow,
  options: { readonly state?: FlowState; readonly cold?: boolean } = {},
): Comparison {
  const state = options.state ?? "new";
  const traces = labs.map((lab) => traceFlow(lab, flow, state, options.cold ?? false));
  const direction = (which: "request" | "reply"): ComparedDirection => {
    const walks = traces.map((t, i) => {
      const w = t[which];
      return w === undefined ? undefined : comparedWalk(w, labs[i]!);
    });
    const rows = alignKeys(walks.map((w) => (w?.steps ?? []).map(stepKey)));
    const versus: Versus[] = [];
    for (let other = 1; other < walks.length; other++) {
      const a = walks[0];
      const b = walks[other];
      if (a !== undefined && b !== undefined) versus.push(compareTwo(a, b, other));
    }
    return { direction: which, walks, rows, versus };
  };
  return {
    scenario: labs[0]!.scenario.name,
    flow,
    state,
    datapaths: labs.map((l) => ({ name: l.cluster.model.datapath.name, hostRouting: hostRoutingOf(l) })),
    directions: [direction("request"), direction("reply")],
  };
}

/** Host routing as the Cilium agent decided it; undefined for other control planes. */
export function hostRoutingOf(lab: Lab): { mode: string; reason: string } | undefined {
  const c = (lab.cluster as { config?: { hostRouting?: unknown; hostRoutingReason?: unknown } }).config;
  return typeof c?.hostRouting === "string" && typeof c.hostRoutingReason === "string"
    ? { mode: c.hostRouting, reason: c.hostRoutingReason }
    : undefined;
}

/** Title of a comparison. */
export function comparisonTitle(c: Comparison): string {
  return `${flowText(c.flow)} (${c.state}), scenario ${c.scenario}`;
}

/** A device's part in the path, by lab. */
export function deviceRole(lab: Lab): (netns: number, ifindex: number) => string {
  const roles = new Map<string, string>();
  for (const s of lab.cluster.pods.values()) {
    roles.set(`${s.ns.id}:${s.eth0.ifindex}`, "pod");
    roles.set(`${s.machine.ns.id}:${s.host.ifindex}`, "pod host side");
  }
  for (const n of lab.machines.nodes.values())
    for (const d of n.nics) roles.set(`${n.ns.id}:${d.ifindex}`, "uplink");
  return (netns, ifindex) =>
    ifindex === 0 ? "" : (roles.get(`${netns}:${ifindex}`) ?? lab.names.device(netns, ifindex));
}

/** A walk with the changes of its header fields. */
export function comparedWalk(walk: Walk, lab: Lab): ComparedWalk {
  const role = deviceRole(lab);
  const tracker = new FieldTracker();
  const steps = walk.steps.map((s): ComparedStep => {
    const d = decodeFrame(s.record.frame);
    return {
      what: s.what,
      where: s.where,
      device: s.device,
      role: role(s.record.netns, s.record.ifindex),
      name: s.name,
      detail: s.detail,
      kind: s.kind,
      ns: s.record.ns,
      ttl: d.levels.at(-1)?.ip?.ttl,
      bytes: s.record.len,
      ethernet: d.ethernet,
      frame: s.record.frame,
      // In front of DELIVER the headers are pulled: what is left is payload.
      changes: s.kind === Step.DELIVER || s.kind === Step.ORIGIN ? [] : tracker.next(s.record.frame),
    };
  });
  const places = [...new Set(steps.map((s) => s.where))];
  return {
    steps,
    outcome: walk.delivered ? "delivered" : walk.drop !== undefined ? "dropped" : "lost",
    decided: decidedBy(walk),
    ttl: walk.ttl,
    wireBytes: steps.filter((s) => s.kind === Step.DEV_XMIT && s.role === "uplink").map((s) => s.bytes),
    counts: countWalk(walk),
    countsBy: new Map(places.map((p) => [p, countWalk(walk, p)])),
  };
}

const REDIRECT_NAMES: Readonly<Record<string, string>> = {
  egress: "bpf_redirect",
  ingress: "bpf_redirect (ingress)",
  peer: "bpf_redirect_peer",
  neigh: "bpf_redirect_neigh",
};

/** Who decided the packet's fate, in words. */
export function decidedBy(walk: Walk): string {
  const steps = walk.steps;
  const drop = walk.drop;
  if (!walk.delivered && drop !== undefined) {
    const before = steps.slice(0, steps.indexOf(drop)).reverse();
    const first =
      drop.record.b === 1 ? drop : (before.find((s) => s.kind === Step.DROP && s.record.b === 1) ?? drop);
    const rule = before.find((s) => s.kind === Step.NF_RULE);
    if (first.record.b === 1) {
      const policy = before.find((s) => s.kind === Step.POLICY);
      const program = before.find((s) => s.kind === Step.PROG)?.name ?? "a program";
      return policy?.detail.startsWith("deny")
        ? `${policy.name} in ${program}: ${first.detail}`
        : `${program}: ${first.detail}`;
    }
    if (rule !== undefined && rule.record.a === -1) return `${rule.name} (${drop.detail})`;
    return drop.detail;
  }
  if (!walk.delivered) return "nobody: the packet left the lab or waits";
  const end = steps.at(-1)!.where;
  const handed = steps.findLast(
    (s) => (s.kind === Step.REDIRECT || s.kind === Step.FORWARD) && s.where !== end,
  );
  if (handed === undefined) return `local delivery in ${end}`;
  if (handed.kind === Step.REDIRECT) {
    const program = steps.slice(0, steps.indexOf(handed)).findLast((s) => s.kind === Step.PROG);
    return `${program?.name ?? "a program"}: ${REDIRECT_NAMES[handed.detail] ?? handed.detail} to ${handed.name}`;
  }
  const route = steps.slice(0, steps.indexOf(handed)).findLast((s) => s.kind === Step.FIB);
  return `route on ${handed.where}: ${route?.name ?? ""}`;
}

/** What makes two steps of different walks the same. */
export function stepKey(s: ComparedStep): string {
  const at = `${s.where}|${s.kind}`;
  switch (s.kind) {
    case Step.DEV_XMIT:
    case Step.DEV_RX:
    case Step.BACKLOG:
      return `${at}|${s.role}`;
    case Step.PROG:
    case Step.PROG_END:
    case Step.TAIL_CALL:
    case Step.NF_HOOK:
    case Step.NF_RULE:
      return `${at}|${s.name}`;
    case Step.NF_CHAIN:
      return `${at}|${s.name}|${s.detail === "" ? "" : "end"}`;
    case Step.MAP_LOOKUP:
    case Step.MAP_UPDATE:
    case Step.CT:
    case Step.POLICY:
      return `${at}|${s.name.replace(/_\d+$/, "")}`;
    default:
      return at;
  }
}

/** Lists of everything that a difference can be about. */
function inventory(w: ComparedWalk): Record<keyof Difference, { key: string; text: string }[]> {
  const of = (kinds: readonly Step[], f: (s: ComparedStep) => { key: string; text: string } | undefined) =>
    w.steps.filter((s) => kinds.includes(s.kind)).flatMap((s) => f(s) ?? []);
  const named = (s: ComparedStep, t: string) => ({ key: `${s.where} ${t}`, text: `${s.where} ${t}` });
  return {
    netfilterHooks: of([Step.NF_HOOK], (s) => named(s, s.name)),
    chains: of([Step.NF_CHAIN], (s) =>
      s.detail === "" && (NF_HOOK_NAMES as readonly string[]).includes(s.name.split(":")[1]!)
        ? named(s, s.name)
        : undefined,
    ),
    fibLookups: of([Step.FIB], (s) => ({ key: s.where, text: `${s.where} ${s.name} (${s.detail})` })),
    backlogPasses: of([Step.BACKLOG], (s) => ({
      key: `${s.where} ${s.role}`,
      text: `${s.where} ${s.device}`,
    })),
    programs: of([Step.PROG], (s) => named(s, s.name)),
    transmissions: of([Step.DEV_XMIT], (s) => ({
      key: `${s.where} ${s.role}`,
      text: `${s.where} ${s.device}`,
    })),
    redirects: of([Step.REDIRECT], (s) => named(s, s.detail)),
    encapsulations: of([Step.ENCAP], (s) => named(s, decodeFrame(s.frame).levels.at(-1)?.carries ?? s.name)),
  };
}

/** Members of `b` that `a` lacks, as multisets. */
function lacking(a: readonly { key: string }[], b: readonly { key: string; text: string }[]): string[] {
  const have = new Map<string, number>();
  for (const x of a) have.set(x.key, (have.get(x.key) ?? 0) + 1);
  const out: string[] = [];
  for (const x of b) {
    const n = have.get(x.key) ?? 0;
    if (n > 0) have.set(x.key, n - 1);
    else out.push(x.text);
  }
  return out;
}

function compareTwo(a: ComparedWalk, b: ComparedWalk, other: number): Versus {
  const ia = inventory(a);
  const ib = inventory(b);
  const keys = Object.keys(ia) as (keyof Difference)[];
  const diff = (x: typeof ia, y: typeof ia): Difference =>
    Object.fromEntries(keys.map((k) => [k, lacking(x[k], y[k])])) as unknown as Difference;
  const counts: Partial<Record<CountName, readonly [number, number]>> = {};
  for (const k of Object.keys(COUNT_LABELS) as CountName[])
    if (a.counts[k] !== b.counts[k]) counts[k] = [a.counts[k], b.counts[k]];
  return { base: 0, other, skips: diff(ia, ib), adds: diff(ib, ia), counts };
}

/** Difference kinds as a person reads them, in the order of a summary. */
export const DIFFERENCE_LABELS: Readonly<Record<keyof Difference, string>> = {
  netfilterHooks: "netfilter hooks",
  chains: "base chains",
  fibLookups: "FIB look-ups",
  backlogPasses: "backlog passes",
  transmissions: "device transmissions",
  programs: "BPF programs",
  redirects: "redirects",
  encapsulations: "encapsulations",
};

/** A comparison as plain JSON: bytes as hex. */
export function comparisonJson(c: Comparison): unknown {
  return {
    scenario: c.scenario,
    flow: flowText(c.flow),
    state: c.state,
    datapaths: c.datapaths,
    directions: c.directions.map((d) => ({
      direction: d.direction,
      walks: d.walks.map((w) =>
        w === undefined
          ? null
          : {
              outcome: w.outcome,
              decided: w.decided,
              ttl: w.ttl ?? null,
              wireBytes: w.wireBytes,
              counts: w.counts,
              countsBy: Object.fromEntries(w.countsBy),
              steps: w.steps.map((s) => stepJson(s)),
            },
      ),
      rows: d.rows,
      versus: d.versus.map((v) => ({
        ...v,
        base: c.datapaths[v.base]!.name,
        other: c.datapaths[v.other]!.name,
      })),
    })),
  };
}

function stepJson(s: ComparedStep): unknown {
  return {
    what: s.what,
    where: s.where,
    device: s.device,
    role: s.role,
    name: s.name,
    detail: s.detail,
    ns: s.ns,
    ttl: s.ttl ?? null,
    bytes: s.bytes,
    changes: s.changes.map(({ field, from, to }) => ({ field, from, to })),
    frame: hexOf(s.frame),
  };
}

/** Bytes as hex digits. */
export function hexOf(b: Uint8Array): string {
  let out = "";
  for (const x of b) out += x.toString(16).padStart(2, "0");
  return out;
}

export type { WalkStep };

// What a walk costs the machines it passes, as counts: the same figures serve comparisons, the modelled cost and tests.

import { Step } from "../bpf/steps.js";
import type { Walk } from "./walk.js";

/** Counts of one walk. Only steps on nodes and in pods that the packet itself took; ARP has walks of its own. */
export interface WalkCounts {
  netfilterHooks: number;
  /** Base chains traversed (a table on a hook). */
  chains: number;
  /** Chains jumped to. */
  userChains: number;
  rulesEvaluated: number;
  rulesMatched: number;
  /** nf_conntrack look-ups. */
  netfilterConntrack: number;
  /** ... of which made a new entry. */
  netfilterConntrackNew: number;
  netfilterNat: number;
  ipvs: number;
  /** FIB look-ups of any asker. */
  fibLookups: number;
  /** ... of which by bpf_fib_lookup. */
  bpfFibLookups: number;
  neighbourLookups: number;
  /** Passes through a per-CPU backlog queue. */
  backlogPasses: number;
  /** ip_forward. */
  forwards: number;
  programs: number;
  tailCalls: number;
  mapLookups: number;
  mapUpdates: number;
  bpfConntrack: number;
  policyLookups: number;
  serviceSelections: number;
  redirects: number;
  redirectsPeer: number;
  redirectsNeigh: number;
  encapsulations: number;
  decapsulations: number;
  bridgeSteps: number;
  transmissions: number;
  receptions: number;
  fragmentations: number;
}

export type CountName = keyof WalkCounts;

/** Names of the counts as a table prints them, in its order. */
export const COUNT_LABELS: Readonly<Record<CountName, string>> = {
  netfilterHooks: "netfilter hooks",
  chains: "base chains",
  userChains: "chains jumped to",
  rulesEvaluated: "rules evaluated",
  rulesMatched: "rules matched",
  netfilterConntrack: "conntrack look-ups (netfilter)",
  netfilterConntrackNew: "conntrack entries made (netfilter)",
  netfilterNat: "NAT rewrites (netfilter)",
  ipvs: "IPVS look-ups",
  fibLookups: "FIB look-ups",
  bpfFibLookups: "of these by bpf_fib_lookup",
  neighbourLookups: "neighbour look-ups",
  backlogPasses: "backlog passes",
  forwards: "ip_forward",
  programs: "BPF programs",
  tailCalls: "tail calls",
  mapLookups: "map look-ups",
  mapUpdates: "map updates",
  bpfConntrack: "conntrack verdicts (BPF)",
  policyLookups: "policy look-ups",
  serviceSelections: "service selections",
  redirects: "redirects",
  redirectsPeer: "of these redirect_peer",
  redirectsNeigh: "of these redirect_neigh",
  encapsulations: "encapsulations",
  decapsulations: "decapsulations",
  bridgeSteps: "bridge steps",
  transmissions: "device transmissions",
  receptions: "device receptions",
  fragmentations: "fragmentations",
};

/** All counts at zero. */
export function zeroCounts(): WalkCounts {
  return Object.fromEntries(Object.keys(COUNT_LABELS).map((k) => [k, 0])) as unknown as WalkCounts;
}

/** Counts a walk, or the part of it in one namespace. */
export function countWalk(walk: Walk, where?: string): WalkCounts {
  const c = zeroCounts();
  for (const s of walk.steps) {
    if (where !== undefined && s.where !== where) continue;
    const r = s.record;
    switch (s.kind) {
      case Step.NF_HOOK:
        c.netfilterHooks++;
        break;
      case Step.NF_CHAIN:
        if (r.b === 1) c.rulesEvaluated += r.c;
        else if (s.name.includes(":") && isBase(r.ref)) c.chains++;
        else c.userChains++;
        break;
      case Step.NF_RULE:
        if (r.c === 0) c.rulesMatched++;
        break;
      case Step.NF_CT:
        c.netfilterConntrack++;
        if (r.b === 1) c.netfilterConntrackNew++;
        break;
      case Step.NF_NAT:
        c.netfilterNat++;
        break;
      case Step.IPVS:
        c.ipvs++;
        break;
      case Step.FIB:
        c.fibLookups++;
        if (r.b === 2) c.bpfFibLookups++;
        break;
      case Step.NEIGH:
        c.neighbourLookups++;
        break;
      case Step.BACKLOG:
        c.backlogPasses++;
        break;
      case Step.FORWARD:
        c.forwards++;
        break;
      case Step.PROG:
        c.programs++;
        break;
      case Step.TAIL_CALL:
        c.tailCalls++;
        break;
      case Step.MAP_LOOKUP:
        c.mapLookups++;
        break;
      case Step.MAP_UPDATE:
        c.mapUpdates++;
        break;
      case Step.CT:
        c.bpfConntrack++;
        break;
      case Step.POLICY:
        c.policyLookups++;
        break;
      case Step.SERVICE:
        c.serviceSelections++;
        break;
      case Step.REDIRECT:
        c.redirects++;
        if (r.a === 2) c.redirectsPeer++;
        if (r.a === 3) c.redirectsNeigh++;
        break;
      case Step.ENCAP:
        c.encapsulations++;
        break;
      case Step.DECAP:
        c.decapsulations++;
        break;
      case Step.BRIDGE:
        c.bridgeSteps++;
        break;
      case Step.DEV_XMIT:
        c.transmissions++;
        break;
      case Step.DEV_RX:
        c.receptions++;
        break;
      case Step.FRAGMENT:
        c.fragmentations++;
        break;
      default:
        break;
    }
  }
  return c;
}

function isBase(ref: object | null): boolean {
  return ref !== null && (ref as { hook?: number }).hook !== undefined && (ref as { hook: number }).hook >= 0;
}

/** Sum of several counts. */
export function sumCounts(all: readonly WalkCounts[]): WalkCounts {
  const out = zeroCounts();
  for (const c of all) for (const k of Object.keys(out) as CountName[]) out[k] += c[k];
  return out;
}

// Tables, chains and rules of iptables, and the walk of a packet through them. Follows ip_tables.c and, where the
// two back ends differ (policy counters, TRACE), nf_tables, which is what the iptables of today's distributions uses.
//
// A chain keeps what every rule checks (addresses, protocol, devices) in one flat array, so that a long chain of
// service rules costs two or three comparisons a rule; matches and targets are objects behind it.
//
//   word   0 flags  1 src  2 src mask  3 dst  4 dst mask  5 protocol  6, 7 unused
//
// A packet in the tables allocates nothing; its scratch context comes from a small stack, because a target may
// send a packet of its own (REJECT) that crosses tables while the first one is still inside.

import type { VirtualClock } from "../../base/clock.js";
import type { Prng } from "../../base/prng.js";
import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import type { NetDevice } from "../device.js";
import { ip_route_me_harder } from "../ip_output.js";
import type { Netns } from "../netns.js";
import { nf_defrag_ipv4_disable, nf_defrag_ipv4_enable } from "./defrag.js";
import {
  HOOK_NAMES,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_FILTER,
  NF_IP_PRI_MANGLE,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  NF_IP_PRI_RAW,
  NF_IP_PRI_SECURITY,
  NF_QUEUE,
  NF_STOLEN,
  NfHook,
  type NfState,
  nfState,
} from "./hooks.js";
import { IpSets } from "./ipset.js";
import { conntrackDisable, conntrackEnable, type NfConntrack, NfCtSysctl } from "./nf_conntrack.js";
import { type NatChains, natRerouteNeeded, nf_nat_fn } from "./nf_nat.js";
import { TRACE_POLICY, TRACE_RETURN, TRACE_RULE } from "./trace.js";
import type { RecentTable } from "./xt_match.js";
import {
  Act,
  F_FRAG,
  F_IN,
  F_INV_DST,
  F_INV_FRAG,
  F_INV_IN,
  F_INV_OUT,
  F_INV_PROTO,
  F_INV_SRC,
  F_OUT,
  JUMP_DEPTH,
  XT_CONTINUE,
  XT_RETURN,
  XtContext,
  type XtRule,
} from "./xt_rule.js";

export const TABLE_NAMES = ["raw", "mangle", "nat", "filter", "security"] as const;
export type TableName = (typeof TABLE_NAMES)[number];

const BUILTIN: Readonly<Record<TableName, readonly (readonly [number, number])[]>> = {
  raw: [
    [NF_INET_PRE_ROUTING, NF_IP_PRI_RAW],
    [NF_INET_LOCAL_OUT, NF_IP_PRI_RAW],
  ],
  mangle: [
    [NF_INET_PRE_ROUTING, NF_IP_PRI_MANGLE],
    [NF_INET_LOCAL_IN, NF_IP_PRI_MANGLE],
    [NF_INET_FORWARD, NF_IP_PRI_MANGLE],
    [NF_INET_LOCAL_OUT, NF_IP_PRI_MANGLE],
    [NF_INET_POST_ROUTING, NF_IP_PRI_MANGLE],
  ],
  nat: [
    [NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST],
    [NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC],
    [NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST],
    [NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC],
  ],
  filter: [
    [NF_INET_LOCAL_IN, NF_IP_PRI_FILTER],
    [NF_INET_FORWARD, NF_IP_PRI_FILTER],
    [NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER],
  ],
  security: [
    [NF_INET_LOCAL_IN, NF_IP_PRI_SECURITY],
    [NF_INET_FORWARD, NF_IP_PRI_SECURITY],
    [NF_INET_LOCAL_OUT, NF_IP_PRI_SECURITY],
  ],
};

/** Names of the built-in chains of a table, in the order of their hooks. */
export function builtinChains(table: TableName): string[] {
  return BUILTIN[table].map(([h]) => HOOK_NAMES[h]!);
}

/** Words of a rule's flat header. */
const STRIDE = 8;

const WANTS_DEFRAG = 1;
const WANTS_CONNTRACK = 2;

// Shared by the chains that hold nothing: a node with many services has two chains for each of their endpoints.
const NO_HEADERS = new Int32Array(0);
const NO_COUNTERS = new Float64Array(0);

/** A chain; a base chain has a hook and a policy. */
export class XtChain {
  rules: XtRule[] = [];
  /** Flat headers of `rules`. */
  hdr = NO_HEADERS;
  policy = NF_ACCEPT;
  /** Packets and bytes that met the policy; none in a user's chain. */
  readonly policyCnt: Float64Array;
  /** Rules that jump here. */
  references = 0;

  constructor(
    readonly table: XtTable,
    /** Changed by -E. */
    public name: string,
    /** Hook number; -1 = a user's chain. */
    readonly hook: number,
  ) {
    this.policyCnt = hook < 0 ? NO_COUNTERS : new Float64Array(2);
  }

  /** Takes these rules from now on. */
  commit(rules: XtRule[]): void {
    this.rules = rules;
    const n = rules.length;
    const hdr = n === 0 ? NO_HEADERS : new Int32Array(n * STRIDE);
    for (let i = 0, p = 0; i < n; i++, p += STRIDE) {
      const r = rules[i]!;
      r.owner = this;
      hdr[p] = r.flags;
      hdr[p + 1] = r.src;
      hdr[p + 2] = r.srcMask;
      hdr[p + 3] = r.dst;
      hdr[p + 4] = r.dstMask;
      hdr[p + 5] = r.proto;
    }
    this.hdr = hdr;
  }

  zero(): void {
    for (const r of this.rules) {
      r.pkts = 0;
      r.bytes = 0;
    }
    this.policyCnt.fill(0);
  }
}

export class XtTable {
  readonly chains = new Map<string, XtChain>();
  /** Base chains by hook. */
  readonly base: (XtChain | null)[] = [null, null, null, null, null];

  constructor(
    readonly xt: XtNet,
    readonly name: TableName,
  ) {
    for (const [hook] of BUILTIN[name]) {
      const c = new XtChain(this, HOOK_NAMES[hook]!, hook);
      this.chains.set(c.name, c);
      this.base[hook] = c;
    }
  }

  chain(name: string): XtChain | undefined {
    return this.chains.get(name);
  }
}

/** The tables and sets of a namespace. */
export class XtNet {
  readonly tables = new Map<TableName, XtTable>();
  readonly sets: IpSets;
  readonly ns: Netns;
  readonly clock: VirtualClock;
  readonly prng: Prng;
  readonly #contexts: XtContext[] = [];
  #depth = 0;
  nextHandle = 1;
  /** Kernel log lines that LOG and others wrote. */
  readonly log: string[] = [];
  /** Address lists of the recent match, by name. */
  readonly recent = new Map<string, RecentTable>();
  /** Counters of the nfacct match, by name: packets, bytes. */
  readonly nfacct = new Map<string, Float64Array>();
  /** Packets that NFLOG sent, by group. */
  readonly nflog = new Map<number, number>();

  constructor(readonly nf: NfState) {
    this.ns = nf.ns;
    this.clock = nf.ns.kernel.clock;
    this.prng = nf.ns.kernel.prng;
    this.sets = new IpSets(this.clock);
  }

  /** The table, made with its built-in chains and hooked up when it is first named. */
  table(name: TableName): XtTable {
    let t = this.tables.get(name);
    if (t !== undefined) return t;
    t = new XtTable(this, name);
    this.tables.set(name, t);
    for (const [hook, prio] of BUILTIN[name]) {
      if (name === "nat") this.nf.register(new NatHook(this, t, hook, prio));
      else if (name === "mangle" && hook === NF_INET_LOCAL_OUT)
        this.nf.register(new MangleOut(this, t, hook, prio));
      else this.nf.register(new TableHook(this, t, hook, prio));
    }
    return t;
  }

  /** What a rule that is now in force needs. */
  activate(rule: XtRule): void {
    let ct = false;
    let defrag = false;
    for (const m of rule.matches) {
      ct ||= m.wantsConntrack;
      defrag ||= m.wantsDefrag;
    }
    if (rule.target !== null) {
      ct ||= rule.target.wantsConntrack;
      defrag ||= rule.target.wantsDefrag;
    }
    rule.wants = ct ? WANTS_CONNTRACK : defrag ? WANTS_DEFRAG : 0;
    if (rule.wants === 0) return;
    this.#defragUsers++;
    if (ct) {
      this.#ctUsers++;
      this.conntrack();
    } else nf_defrag_ipv4_enable(this.nf);
  }

  /** A rule that was in force is not any more (nf_ct_netns_put). */
  deactivate(rule: XtRule): void {
    if (rule.wants === 0) return;
    if (rule.wants === WANTS_CONNTRACK && --this.#ctUsers === 0 && !this.pinned) conntrackDisable(this.nf);
    rule.wants = 0;
    if (--this.#defragUsers === 0 && !this.pinned) nf_defrag_ipv4_disable(this.nf);
  }

  #ctUsers = 0;
  #defragUsers = 0;
  /** Somebody other than rules wants tracking for good. */
  pinned = false;

  /** What sysctls said before tracking was on. */
  readonly ctSysctl = new NfCtSysctl();

  /** nf_ct_netns_get. */
  conntrack(): NfConntrack {
    return conntrackEnable(this.nf, nf_defrag_ipv4_enable, this.ctSysctl);
  }

  /** Runs the base chain of `table` on `hook`. Returns NF_*. */
  do_table(
    table: XtTable,
    skb: Skb,
    hook: number,
    inDev: NetDevice | null,
    outDev: NetDevice | null,
  ): number {
    return this.do_chain(table.base[hook]!, skb, hook, inDev, outDev);
  }

  /**
   * Runs one chain on a packet whose data begins with its IP header. Of a user's chain NF_ACCEPT also says that it came to
   * its end or returned.
   */
  do_chain(base: XtChain, skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    const rec = this.ns.recorder;
    if (rec !== null) rec.step(Step.NF_CHAIN, skb, base, hook, 0, 0);
    const trace = skb.nfTrace !== 0 ? this.nf.trace : null;
    if (base.rules.length === 0 && trace === null) {
      base.policyCnt[0]!++;
      base.policyCnt[1]! += skb.tail - skb.data;
      return base.policy;
    }
    if (this.#depth === this.#contexts.length) this.#contexts.push(new XtContext());
    const cx = this.#contexts[this.#depth++]!;
    const n = skb.data;
    const v = skb.view;
    cx.skb = skb;
    cx.hook = hook;
    cx.inDev = inDev;
    cx.outDev = outDev;
    cx.iph = n;
    cx.thoff = n + ((v.getUint8(n) & 15) << 2);
    cx.fragoff = v.getUint16(n + 6, false) & 0x1fff;
    cx.proto = v.getUint8(n + 9);
    cx.saddr = v.getInt32(n + 12, true);
    cx.daddr = v.getInt32(n + 16, true);
    cx.hotdrop = false;
    cx.inName = inDev === null ? "" : inDev.name;
    cx.outName = outDev === null ? "" : outDev.name;
    cx.evaluated = 0;
    const verdict = this.#walk(base, cx);
    if (rec !== null && verdict !== NF_STOLEN) rec.step(Step.NF_CHAIN, cx.skb, base, hook, 1, cx.evaluated);
    this.#depth--;
    return verdict;
  }

  #walk(base: XtChain, cx: XtContext): number {
    const skb = cx.skb;
    const rec = this.ns.recorder;
    const tracer = this.nf.trace;
    let packetDumped = false;
    let chain = base;
    let i = 0;
    let sp = 0;
    for (;;) {
      const hit = this.#scan(chain, i, cx);
      if (rec !== null) cx.evaluated += (hit < 0 ? chain.rules.length : hit + 1) - i;
      if (cx.hotdrop) return NF_DROP;
      if (hit < 0) {
        // End of the chain.
        if (tracer !== null && skb.nfTrace !== 0)
          packetDumped = tracer.event(this, cx, chain, null, TRACE_RETURN, 0, packetDumped);
        if (sp > 0) {
          sp--;
          chain = cx.stackChain[sp]!;
          i = cx.stackRule[sp]!;
          continue;
        }
        break;
      }
      const rule = chain.rules[hit]!;
      rule.pkts++;
      // The length of now: TCPMSS may have added an option.
      rule.bytes += skb.tail - skb.data;
      let verdict: number;
      switch (rule.act) {
        case Act.NONE:
          verdict = XT_CONTINUE;
          break;
        case Act.ACCEPT:
          verdict = NF_ACCEPT;
          break;
        case Act.DROP:
          verdict = NF_DROP;
          break;
        case Act.RETURN:
          verdict = XT_RETURN;
          break;
        case Act.QUEUE:
          verdict = NF_QUEUE;
          break;
        case Act.TARGET: {
          verdict = rule.target!.run(cx);
          if (verdict !== NF_STOLEN && cx.skb !== skb) return NF_DROP;
          if (verdict === XT_CONTINUE || verdict === NF_ACCEPT) this.#refresh(cx);
          break;
        }
        default: {
          // JUMP or GOTO.
          if (rec !== null) rec.step(Step.NF_RULE, skb, rule, 0, hit + 1, 0);
          if (tracer !== null && skb.nfTrace !== 0)
            packetDumped = tracer.event(this, cx, chain, rule, TRACE_RULE, XT_CONTINUE, packetDumped);
          if (rule.act === Act.JUMP) {
            if (sp >= JUMP_DEPTH) return NF_DROP;
            cx.stackChain[sp] = chain;
            cx.stackRule[sp] = hit + 1;
            sp++;
          }
          chain = rule.chain!;
          i = 0;
          if (rec !== null) rec.step(Step.NF_CHAIN, skb, chain, cx.hook, 0, 0);
          continue;
        }
      }
      if (rec !== null)
        rec.step(Step.NF_RULE, skb, rule, verdict > 0 ? verdict : verdict === NF_DROP ? -1 : 0, hit + 1, 0);
      if (tracer !== null && skb.nfTrace !== 0)
        packetDumped = tracer.event(this, cx, chain, rule, TRACE_RULE, verdict, packetDumped);
      if (verdict === XT_CONTINUE) {
        i = hit + 1;
        continue;
      }
      if (verdict !== XT_RETURN) return verdict;
      if (sp === 0) break;
      sp--;
      chain = cx.stackChain[sp]!;
      i = cx.stackRule[sp]!;
    }
    base.policyCnt[0]!++;
    base.policyCnt[1]! += skb.tail - skb.data;
    if (rec !== null) rec.step(Step.NF_RULE, skb, base, base.policy === NF_DROP ? -1 : base.policy, 0, 1);
    if (tracer !== null && skb.nfTrace !== 0)
      tracer.event(this, cx, base, null, TRACE_POLICY, base.policy, packetDumped);
    return base.policy;
  }

  /** A target may have changed addresses. */
  #refresh(cx: XtContext): void {
    const v = cx.skb.view;
    cx.iph = cx.skb.data;
    cx.thoff = cx.iph + ((v.getUint8(cx.iph) & 15) << 2);
    cx.saddr = v.getInt32(cx.iph + 12, true);
    cx.daddr = v.getInt32(cx.iph + 16, true);
  }

  /** Index of the first rule from `i` on that matches; -1 = none. */
  #scan(chain: XtChain, from: number, cx: XtContext): number {
    const hdr = chain.hdr;
    const rules = chain.rules;
    const n = rules.length;
    const { saddr, daddr, proto } = cx;
    for (let i = from, p = from * STRIDE; i < n; i++, p += STRIDE) {
      if (hdr[p]! === 0) {
        if ((daddr & hdr[p + 4]!) !== hdr[p + 3]! || (saddr & hdr[p + 2]!) !== hdr[p + 1]!) continue;
        const pr = hdr[p + 5]!;
        if (pr !== 0 && pr !== proto) continue;
      } else if (!headerMatches(hdr, p, rules[i]!, cx)) continue;
      const ms = rules[i]!.matches;
      let k = 0;
      for (; k < ms.length; k++) if (!ms[k]!.match(cx)) break;
      if (cx.hotdrop) return -1;
      if (k === ms.length) return i;
    }
    return -1;
  }
}

/** ip_packet_match with inversions, devices and fragments. */
function headerMatches(hdr: Int32Array, p: number, rule: XtRule, cx: XtContext): boolean {
  const f = hdr[p]!;
  if (((cx.daddr & hdr[p + 4]!) !== hdr[p + 3]!) !== ((f & F_INV_DST) !== 0)) return false;
  if (((cx.saddr & hdr[p + 2]!) !== hdr[p + 1]!) !== ((f & F_INV_SRC) !== 0)) return false;
  if ((f & F_IN) !== 0 && rule.inPattern!.matches(cx.inDev) === ((f & F_INV_IN) !== 0)) return false;
  if ((f & F_OUT) !== 0 && rule.outPattern!.matches(cx.outDev) === ((f & F_INV_OUT) !== 0)) return false;
  const pr = hdr[p + 5]!;
  if (pr !== 0 && (pr === cx.proto) === ((f & F_INV_PROTO) !== 0)) return false;
  if ((f & F_FRAG) !== 0 && (cx.fragoff !== 0) === ((f & F_INV_FRAG) !== 0)) return false;
  return true;
}

/** A table on a hook. */
class TableHook extends NfHook {
  constructor(
    readonly xt: XtNet,
    readonly table: XtTable,
    hook: number,
    priority: number,
  ) {
    super(table.name, hook, priority);
  }

  run(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    return this.xt.do_table(this.table, skb, hook, inDev, outDev);
  }
}

/** mangle OUTPUT: a packet whose mark, addresses or TOS changed is routed anew (ipt_mangle_out). */
class MangleOut extends NfHook {
  constructor(
    readonly xt: XtNet,
    readonly table: XtTable,
    hook: number,
    priority: number,
  ) {
    super(table.name, hook, priority);
  }

  run(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    const v = skb.view;
    const n = skb.data;
    const mark = skb.mark;
    const saddr = v.getInt32(n + 12, true);
    const daddr = v.getInt32(n + 16, true);
    const tos = v.getUint8(n + 1);
    const verdict = this.xt.do_table(this.table, skb, hook, inDev, outDev);
    if (verdict !== NF_ACCEPT) return verdict;
    const m = skb.data;
    if (
      skb.mark !== mark ||
      skb.view.getInt32(m + 12, true) !== saddr ||
      skb.view.getInt32(m + 16, true) !== daddr ||
      skb.view.getUint8(m + 1) !== tos
    ) {
      if (ip_route_me_harder(this.xt.ns, skb) < 0) return NF_DROP;
    }
    return NF_ACCEPT;
  }
}

/** The nat table on a hook: its chains only for the first packet of a connection, the mapping for all. */
class NatHook extends NfHook implements NatChains {
  constructor(
    readonly xt: XtNet,
    readonly table: XtTable,
    hook: number,
    priority: number,
  ) {
    super("nat", hook, priority);
  }

  chains(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    return this.xt.do_table(this.table, skb, hook, inDev, outDev);
  }

  run(skb: Skb, hook: number, inDev: NetDevice | null, outDev: NetDevice | null): number {
    const net = this.xt.nf.ct;
    if (net === null) return NF_ACCEPT;
    const n = skb.data;
    const daddr = skb.view.getInt32(n + 16, true);
    const ret = nf_nat_fn(net, this, skb, hook, inDev, outDev);
    if (ret !== NF_ACCEPT) return ret;
    if (hook === NF_INET_PRE_ROUTING) {
      if (skb.view.getInt32(skb.data + 16, true) !== daddr) skb.dst = null;
    } else if (natRerouteNeeded(skb, hook)) {
      if (ip_route_me_harder(this.xt.ns, skb) < 0) return NF_DROP;
    }
    return NF_ACCEPT;
  }
}

/** The tables of a namespace, made when first wanted. */
export function xtNet(ns: Netns): XtNet {
  const nf = nfState(ns);
  let xt = nf.xt;
  if (xt === null) {
    xt = new XtNet(nf);
    nf.xt = xt;
  }
  return xt;
}

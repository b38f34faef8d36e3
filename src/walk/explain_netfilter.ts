// The rule that dropped a packet, and the rules before it that would have accepted it: each with the conditions that the
// packet does not meet. The matches themselves are asked, with the packet as it was when the rule saw it.

import type { Be32 } from "../base/brand.js";
import { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import type { NetDevice } from "../kernel/device.js";
import { Act, XtContext, XtRule } from "../kernel/netfilter/xt_rule.js";
import { XtChain } from "../kernel/netfilter/xtables.js";
import { formatIpv4, lenOfMask4 } from "../net/address.js";
import type { Candidate } from "./explain.js";
import { hasEthernet } from "./fields.js";
import { NF_HOOK_NAMES, type Walk, type WalkStep } from "./walk.js";

/** An ipset that a candidate asks. */
export interface AskedSet {
  readonly name: string;
  readonly members: readonly string[];
}

export interface RuleCandidate extends Candidate {
  readonly set: AskedSet | undefined;
}

export interface RuleExplanation {
  readonly hook: string;
  /** The rule (or policy) that decided, as iptables-save prints it. */
  readonly text: string;
  readonly candidates: readonly RuleCandidate[];
  readonly change: string | undefined;
}

/** Explains a NETFILTER_DROP. */
export function explainRule(w: Walk, drop: WalkStep): RuleExplanation {
  const before = w.steps.slice(0, w.steps.indexOf(drop));
  const rule = before.findLast((s) => s.kind === Step.NF_RULE);
  const hookAt = before.findLastIndex((s) => s.kind === Step.NF_HOOK);
  const hook = NF_HOOK_NAMES[before[hookAt]?.record.a ?? 0] ?? "?";
  if (rule === undefined) return { hook, text: "a hook", candidates: [], change: undefined };
  const traversed = chainsOf(before.slice(hookAt), rule);
  const candidates: RuleCandidate[] = [];
  for (const { chain, until } of traversed) {
    for (const r of chain.rules.slice(0, until)) {
      if (!accepts(r)) continue;
      const { failed, set } = failedMatches(r, rule, before[hookAt]!);
      if (failed.length === 0) continue;
      candidates.push({
        what: `${chain.table.name}: -A ${chain.name} ${r.text}`,
        position: undefined,
        failed,
        change: undefined,
        set,
      });
    }
  }
  candidates.sort((a, b) => a.failed.length - b.failed.length);
  return { hook, text: rule.name, candidates: candidates.slice(0, 8), change: changeFor(rule) };
}

/** Chains met in the deciding traversal, with the number of rules that came before the decision in each. */
function chainsOf(steps: readonly WalkStep[], deciding: WalkStep): { chain: XtChain; until: number }[] {
  const out = new Map<XtChain, number>();
  let start = 0;
  // Only the last base chain: what earlier tables accepted was accepted.
  steps.forEach((s, i) => {
    if (
      s.kind === Step.NF_CHAIN &&
      s.record.b === 0 &&
      s.record.ref instanceof XtChain &&
      s.record.ref.hook >= 0
    )
      start = i;
  });
  for (const s of steps.slice(start)) {
    const ref = s.record.ref;
    if (s.kind === Step.NF_CHAIN && ref instanceof XtChain && s.record.b === 0)
      out.set(ref, ref.rules.length);
    if (s.kind === Step.NF_RULE && ref instanceof XtRule && ref.owner !== null && s === deciding)
      out.set(ref.owner, s.record.b - 1);
  }
  return [...out].map(([chain, until]) => ({ chain, until }));
}

function accepts(r: XtRule): boolean {
  return r.act === Act.ACCEPT || (r.act === Act.TARGET && r.target?.name === "ACCEPT");
}

/** What of a rule the packet does not meet. */
function failedMatches(
  r: XtRule,
  seen: WalkStep,
  hook: WalkStep,
): { failed: string[]; set: AskedSet | undefined } {
  const frame = seen.record.frame;
  const at = hasEthernet(frame) ? 14 : 0;
  const skb = new Skb();
  skb.bytes.set(frame.subarray(at), skb.data);
  skb.tail = skb.data + frame.length - at;
  skb.network = skb.data;
  skb.mark = seen.record.mark | 0;
  skb.protocol = 0x0800;
  const n = skb.data;
  const v = skb.view;
  const cx = new XtContext();
  cx.skb = skb;
  cx.hook = hook.record.a;
  cx.iph = n;
  cx.thoff = n + ((v.getUint8(n) & 15) << 2);
  cx.fragoff = v.getUint16(n + 6, false) & 0x1fff;
  cx.proto = v.getUint8(n + 9);
  cx.saddr = v.getInt32(n + 12, true);
  cx.daddr = v.getInt32(n + 16, true);
  const ns = r.owner?.table.xt.ns;
  const dev = ns?.dev(seen.record.ifindex) ?? null;
  const out = hook.record.a >= 2;
  // INPUT and PREROUTING know the way in, OUTPUT and POSTROUTING the way out; FORWARD both, of which the record has one.
  const inDev: NetDevice | null = out ? null : dev;
  const outDev: NetDevice | null = out ? dev : null;
  skb.dev = dev;
  cx.inDev = inDev;
  cx.outDev = outDev;
  cx.inName = inDev?.name ?? "";
  cx.outName = outDev?.name ?? "";
  const failed: string[] = [];
  let set: AskedSet | undefined;
  const prefix = (addr: number, mask: number): string => `${formatIpv4(addr)}/${lenOfMask4(mask as Be32)}`;
  if ((cx.saddr & r.srcMask) !== r.src && !/! -s /.test(r.text))
    failed.push(`-s ${prefix(r.src, r.srcMask)}: the source is ${formatIpv4(cx.saddr)}`);
  if ((cx.daddr & r.dstMask) !== r.dst && !/! -d /.test(r.text))
    failed.push(`-d ${prefix(r.dst, r.dstMask)}: the destination is ${formatIpv4(cx.daddr)}`);
  if (r.proto !== 0 && r.proto !== cx.proto && !/! -p /.test(r.text))
    failed.push(`-p ${r.proto}: the protocol is ${cx.proto}`);
  if (r.inPattern !== null && inDev !== null && !r.inPattern.matches(inDev) && !/! -i /.test(r.text))
    failed.push(`-i ${r.inPattern.text}: it came in on ${inDev.name}`);
  if (r.outPattern !== null && outDev !== null && !r.outPattern.matches(outDev) && !/! -o /.test(r.text))
    failed.push(`-o ${r.outPattern.text}: it leaves by ${outDev.name}`);
  if (failed.length > 0 && r.proto !== 0 && r.proto !== cx.proto) return { failed, set };
  for (const m of r.matches) {
    let ok: boolean;
    try {
      ok = m.match(cx);
    } catch {
      // A match that wants what a record does not keep (a socket, a conntrack entry): not judged.
      continue;
    }
    if (ok) continue;
    const text = m.save();
    const name = /--match-set (\S+)/.exec(text)?.[1];
    const found = name === undefined ? undefined : r.owner?.table.xt.sets.get(name);
    if (found !== undefined) {
      set = { name: name!, members: found.members() };
      const who = /--match-set \S+ (\S+)/.exec(text)?.[1]?.startsWith("dst") === true ? cx.daddr : cx.saddr;
      failed.push(
        `${text}: ${formatIpv4(who)} is not in ${name} (${set.members.slice(0, 6).join(", ")}${set.members.length > 6 ? ", …" : ""})`,
      );
    } else failed.push(`${text}: does not hold`);
  }
  return { failed, set };
}

function changeFor(s: WalkStep): string | undefined {
  const r = s.record.ref;
  if (r instanceof XtRule && r.owner !== null)
    return `iptables -t ${r.owner.table.name} -D ${r.owner.name} ${r.text}, or accept the flow in a rule before it`;
  if (r instanceof XtChain)
    return `accept the flow in a rule of ${r.table.name}:${r.name}: its policy drops what no rule accepts`;
  return undefined;
}

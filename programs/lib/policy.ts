// Policy, after bpf/lib/policy.h: two longest-prefix look-ups, one under the remote identity and one under identity 0
// (any). Precedence decides between the two; at equal precedence the longer protocol/port prefix, then the one with
// the identity.

import type { LpmTrie } from "../../maps/lpm_trie.js";
import {
  MAX_PRECEDENCE,
  PolicyKey,
  policyAuthType,
  policyCookie,
  policyDeny,
  policyHasExplicitAuthType,
  policyLpmPrefixLength,
  policyPrecedence,
  policyProxyPort,
} from "../../maps/policy.js";
import { PolicyStatsKey, policyStatsAdd } from "../../maps/policystats.js";
import { NONE } from "../../maps/spec.js";
import { Step } from "../../src/bpf/steps.js";
import { bswap16 } from "../../src/net/view.js";
import {
  CTX_ACT_OK,
  DBG_L4_CREATE,
  DBG_POLICY_DENIED,
  DROP_ENCAP_PROHIBITED,
  DROP_FRAG_NOSUPPORT,
  DROP_INVALID,
  DROP_POLICY,
  DROP_POLICY_AUTH_REQUIRED,
  DROP_POLICY_DENY,
  ETH_P_IP,
  HOST_ID,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_UDP,
  POLICY_MATCH_ALL,
  POLICY_MATCH_L3_L4,
  POLICY_MATCH_L3_ONLY,
  POLICY_MATCH_L3_PROTO,
  POLICY_MATCH_L4_ONLY,
  POLICY_MATCH_NONE,
  POLICY_MATCH_PROTO_ONLY,
} from "./common.js";
import { type Ctx, ctx_full_len, ctx_has, IS_BPF_LXC, load_u8 } from "./ctx.js";
import { cilium_dbg, cilium_dbg3 } from "./dbg.js";

/** What policy evaluation says besides its verdict (pointers in C). */
export class PolicyResult {
  /** POLICY_MATCH_*. */
  match_type = POLICY_MATCH_NONE;
  /** Be16; 0 = no redirect. */
  proxy_port = 0;
  cookie = 0;
  /** The verdict is only allowed because of audit mode. */
  audited = 0;

  reset(): void {
    this.match_type = POLICY_MATCH_NONE;
    this.proxy_port = 0;
    this.cookie = 0;
    this.audited = 0;
  }
}

const key = new PolicyKey();
const stats_key = new PolicyStatsKey();

/** EFFECTIVE_EP_ID: whose policy it is, for the statistics. */
function effective_ep_id(ctx: Ctx): number {
  return ctx.obj.kind === IS_BPF_LXC ? ctx.config.endpoint_id : ctx.config.host_ep_id;
}

/** For walks: the verdict, with the slot of the entry that decided it, from which the rule can be found again. */
function recordVerdict(ctx: Ctx, map: LpmTrie | null, verdict: number, egress: number, slot: number): number {
  if (ctx.recorder !== null) ctx.recorder.step(Step.POLICY, ctx.skb, map, verdict, egress, slot);
  return verdict;
}

/**
 * __policy_can_access(): `egress` is 1 or 0, `dport` a Be16, `ethertype` in host order. Two longest-prefix look-ups
 * in the endpoint's own map, the prefix running over protocol and port:
 *
 *   A   {remote identity, direction, protocol, port}
 *   B   {any identity,    direction, protocol, port}
 *
 * Between the two precedence decides (0xffffffff is the highest: a deny), then the longer L4 prefix, then A. Within
 * each the longest prefix wins whatever its precedence: the agent writes the map so that this never hides a rule of
 * more weight.
 *
 * CTX_ACT_OK, DROP_POLICY (nothing matches), DROP_POLICY_DENY, DROP_POLICY_AUTH_REQUIRED (type in ctx.ext_err), or a
 * drop reason of broken packets. res.proxy_port asks for a redirect.
 */
function __policy_can_access(
  ctx: Ctx,
  map: LpmTrie | null,
  local_id: number,
  remote_id: number,
  ethertype: number,
  dport: number,
  proto: number,
  off: number,
  egress: number,
  is_untracked_fragment: boolean,
  res: PolicyResult,
): number {
  // ICMP has no ports; its type takes the port's place in the key (Be16, so in the upper byte).
  let port = dport;
  if (ethertype === ETH_P_IP) {
    if (proto === IPPROTO_ICMP && (ctx.config.allow_icmp_frag_needed || ctx.config.enable_icmp_rule)) {
      if (!ctx_has(ctx, off + 8)) return DROP_INVALID;
      const type = load_u8(ctx, off);
      // Path MTU discovery must work whatever the policy says.
      if (ctx.config.allow_icmp_frag_needed && type === 3 && load_u8(ctx, off + 1) === 4) {
        res.proxy_port = 0;
        return recordVerdict(ctx, map, CTX_ACT_OK, egress, NONE);
      }
      if (ctx.config.enable_icmp_rule) port = type << 8;
    }
  } else if (proto === IPPROTO_ICMPV6 && ctx.config.enable_icmp_rule) {
    if (!ctx_has(ctx, off + 1)) return DROP_INVALID;
    port = load_u8(ctx, off) << 8;
  }
  // An object without a policy map admits nothing.
  if (map === null) return recordVerdict(ctx, map, DROP_POLICY, egress, NONE);

  // Look-up A: the remote identity; B: any identity, needless where A already has the highest precedence.
  key.set(remote_id, egress, proto, port);
  const a = map.lookup(key.words);
  let b = NONE;
  if (a === NONE || policyPrecedence(map, a) !== MAX_PRECEDENCE) {
    key.sec_label = 0;
    b = map.lookup(key.words);
  }
  let chosen = a;
  let other = b;
  if (b !== NONE && (a === NONE || b_wins(map, a, b))) {
    chosen = b;
    other = a;
  }
  // Default deny: an endpoint without enforcement has an entry that matches all.
  if (chosen === NONE) {
    return recordVerdict(ctx, map, is_untracked_fragment ? DROP_FRAG_NOSUPPORT : DROP_POLICY, egress, NONE);
  }
  const prefix = policyLpmPrefixLength(map, chosen);
  if (chosen === a) {
    // For A alone: traffic that a wildcard admits leaves no such message.
    if (ctx.def.DEBUG) cilium_dbg3(ctx, DBG_L4_CREATE, remote_id, local_id, (dport << 16) | proto);
    res.match_type =
      prefix > 8 ? POLICY_MATCH_L3_L4 : prefix > 0 ? POLICY_MATCH_L3_PROTO : POLICY_MATCH_L3_ONLY;
  } else {
    res.match_type =
      prefix > 8 ? POLICY_MATCH_L4_ONLY : prefix > 0 ? POLICY_MATCH_PROTO_ONLY : POLICY_MATCH_ALL;
  }
  if (ctx.def.POLICY_ACCOUNTING) {
    // Under the packet's port: the ICMP type stands in for it in the look-up only.
    stats_key.set(effective_ep_id(ctx), prefix, chosen === a ? remote_id : 0, egress, proto, dport);
    policyStatsAdd(ctx.maps.cilium_policystats, stats_key, ctx_full_len(ctx));
  }
  res.cookie = policyCookie(map, chosen);
  if (policyDeny(map, chosen)) return recordVerdict(ctx, map, DROP_POLICY_DENY, egress, chosen);
  res.proxy_port = policyProxyPort(map, chosen);
  // An entry that does not name its own takes the stricter of the two, where both weigh the same.
  let auth = policyAuthType(map, chosen);
  if (
    other !== NONE &&
    !policyHasExplicitAuthType(map, chosen) &&
    policyPrecedence(map, other) === policyPrecedence(map, chosen) &&
    policyAuthType(map, other) > auth
  ) {
    auth = policyAuthType(map, other);
  }
  if (auth !== 0) {
    ctx.ext_err = auth;
    return recordVerdict(ctx, map, DROP_POLICY_AUTH_REQUIRED, egress, chosen);
  }
  return recordVerdict(ctx, map, CTX_ACT_OK, egress, chosen);
}

/** True if entry `b` beats `a`: higher precedence, else the longer L4 prefix; of equals the identity's own entry stays. */
function b_wins(map: LpmTrie, a: number, b: number): boolean {
  const pa = policyPrecedence(map, a);
  const pb = policyPrecedence(map, b);
  if (pa !== pb) return pb >>> 0 > pa >>> 0;
  return policyLpmPrefixLength(map, b) > policyLpmPrefixLength(map, a);
}

/**
 * Audit mode: what was denied passes, and its verdict sample says so. The debug message of the denial is sent all the
 * same.
 */
function audit(ctx: Ctx, ret: number, src_id: number, dst_id: number, res: PolicyResult): number {
  if (ret >= CTX_ACT_OK) return ret;
  if (ctx.def.DEBUG) cilium_dbg(ctx, DBG_POLICY_DENIED, src_id, dst_id);
  res.audited = 0;
  if (!ctx.def.POLICY_AUDIT_MODE) return ret;
  res.audited = 1;
  return CTX_ACT_OK;
}

/** policy_can_ingress(): may `src_id` reach the local identity `dst_id`? CTX_ACT_OK or a negative drop reason. */
export function policy_can_ingress(
  ctx: Ctx,
  src_id: number,
  dst_id: number,
  ethertype: number,
  dport: number,
  proto: number,
  l4_off: number,
  is_untracked_fragment: boolean,
  res: PolicyResult,
): number {
  const ret = __policy_can_access(
    ctx,
    ctx.obj.policy,
    dst_id,
    src_id,
    ethertype,
    dport,
    proto,
    l4_off,
    0,
    is_untracked_fragment,
    res,
  );
  return audit(ctx, ret, src_id, dst_id, res);
}

/** policy_can_egress(): may the local identity `src_id` reach `dst_id`? */
export function policy_can_egress(
  ctx: Ctx,
  src_id: number,
  dst_id: number,
  ethertype: number,
  dport: number,
  proto: number,
  l4_off: number,
  res: PolicyResult,
): number {
  // A pod must not build tunnel packets itself.
  if (
    ctx.def.HAVE_ENCAP &&
    src_id !== HOST_ID &&
    proto === IPPROTO_UDP &&
    bswap16(dport) === ctx.def.TUNNEL_PORT
  ) {
    return DROP_ENCAP_PROHIBITED;
  }
  // Egress has no untracked fragments to tell apart: a miss is 133 in any case.
  const ret = __policy_can_access(
    ctx,
    ctx.obj.policy,
    src_id,
    dst_id,
    ethertype,
    dport,
    proto,
    l4_off,
    1,
    false,
    res,
  );
  return audit(ctx, ret, src_id, dst_id, res);
}

// net/ipv4/ip_fragment.c and inet_fragment.c: reassembly, by conntrack in PREROUTING and OUTPUT and by the receiver.

import type { Timer } from "../base/clock.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { ip_send_check } from "./csum.js";
import type { NetDevice } from "./device.js";
import * as R from "./drop_reason.js";
import { ICMP_TIME_EXCEEDED, icmp_send } from "./icmp.js";
import type { Netns } from "./netns.js";
import { INPUT_LOCAL, ip_route_input, type Rtable } from "./route.js";
import { consume_skb, IPSKB_FRAG_COMPLETE, IPSKB_FRAG_PMTU, kfree_skb_reason } from "./skbuff.js";
import { Mib } from "./snmp.js";

/** enum ip_defrag_users: who reassembles; queues of different users do not mix. */
export const IP_DEFRAG_LOCAL_DELIVER = 0;
export const IP_DEFRAG_CONNTRACK_IN = 2;
export const IP_DEFRAG_CONNTRACK_OUT = 3;
export const IP_DEFRAG_CONNTRACK_BRIDGE_IN = 4;

/** One datagram that is being put together; fragments in order of offset. */
class IpQueue {
  readonly frags: Skb[] = [];
  /** Offsets (bytes) of `frags`. */
  readonly offs: number[] = [];
  /** Payload lengths. */
  readonly lens: number[] = [];
  total = 0;
  meat = 0;
  lastIn = false;
  firstIn = false;
  maxSize = 0;
  maxDfSize = 0;
  timer: Timer | null = null;
  /** OR of 1 << (tos & 3) over all fragments. */
  ecn = 0;
  iif = 0;
}

export class IpFragQueues {
  readonly queues = new Map<string, IpQueue>();
}

/**
 * ip_defrag: takes a fragment; returns the whole datagram when it completes one (in the buffer of one of its
 * fragments, `frags` telling their sizes), null otherwise. Only fragments pay for the key string.
 */
export function ip_defrag(ns: Netns, skb: Skb, user: number): Skb | null {
  ns.mib[Mib.IpReasmReqds]!++;
  ns.frags ??= new IpFragQueues();
  const n = skb.network;
  const v = skb.view;
  const key = `${user}/${v.getInt32(n + 12, true)}/${v.getInt32(n + 16, true)}/${v.getUint16(n + 4, false)}/${skb.bytes[n + 9]}`;
  let q = ns.frags.queues.get(key);
  if (q === undefined) {
    q = new IpQueue();
    ns.frags.queues.set(key, q);
    const queue = q;
    q.timer = ns.kernel.timers.after(ns.sysctl.ipfrag_time * 1e9, () => expire(ns, key, queue, user));
  }
  const fo = v.getUint16(n + 6, false);
  const hlen = (skb.bytes[n]! & 15) * 4;
  const off = (fo & 0x1fff) << 3;
  const more = (fo & 0x2000) !== 0;
  let end = off + (skb.tail - n - hlen);
  if (!more) {
    if (end < q.total || (q.lastIn && end !== q.total)) return discard(ns, skb, R.NOT_SPECIFIED);
    q.lastIn = true;
    q.total = end;
  } else {
    // All but the last have a multiple of eight bytes.
    if ((end & 7) !== 0) {
      skb.tail -= end & 7;
      end &= ~7;
    }
    if (end > q.total) {
      if (q.lastIn) return discard(ns, skb, R.NOT_SPECIFIED);
      q.total = end;
    }
  }
  if (end === off || end > 65535) return discard(ns, skb, R.NOT_SPECIFIED);
  // RFC 5722 for IPv4 too: an overlap spoils the datagram, an exact duplicate is ignored.
  let at = q.frags.length;
  while (at > 0 && q.offs[at - 1]! >= off) at--;
  const len = end - off;
  if (at < q.frags.length && q.offs[at] === off && q.lens[at] === len) return discard(ns, skb, R.DUP_FRAG);
  const prevEnd = at > 0 ? q.offs[at - 1]! + q.lens[at - 1]! : 0;
  if (
    (at > 0 && prevEnd >= end) ||
    (at < q.frags.length && q.offs[at]! <= off && q.offs[at]! + q.lens[at]! >= end)
  )
    return discard(ns, skb, R.DUP_FRAG);
  if (prevEnd > off || (at < q.frags.length && q.offs[at]! < end)) {
    kill(ns, key, q);
    return discard(ns, skb, R.NOT_SPECIFIED);
  }
  q.frags.splice(at, 0, skb);
  q.offs.splice(at, 0, off);
  q.lens.splice(at, 0, len);
  q.meat += len;
  q.iif = (skb.dev as NetDevice | null)?.ifindex ?? 0;
  q.ecn |= 1 << (skb.bytes[n + 1]! & 3);
  if (off === 0) q.firstIn = true;
  const size = len + hlen;
  if (size > q.maxSize) q.maxSize = size;
  if ((fo & 0x4000) !== 0 && size > q.maxDfSize) q.maxDfSize = size;
  if (!q.firstIn || !q.lastIn || q.meat !== q.total) {
    skb.dst = null;
    return null;
  }
  return reassemble(ns, key, q, skb);
}

function discard(ns: Netns, skb: Skb, reason: number): null {
  if (reason !== R.DUP_FRAG) ns.mib[Mib.IpReasmFails]!++;
  kfree_skb_reason(ns, skb, reason);
  return null;
}

function kill(ns: Netns, key: string, q: IpQueue): void {
  q.timer?.cancel();
  for (const f of q.frags) kfree_skb_reason(ns, f, R.NOT_SPECIFIED);
  q.frags.length = 0;
  ns.frags!.queues.delete(key);
}

/** ip_frag_reasm. */
function reassemble(ns: Netns, key: string, q: IpQueue, last: Skb): Skb | null {
  q.timer?.cancel();
  ns.frags!.queues.delete(key);
  // ip_frag_ecn_table: CE with not-ECT is not acceptable; CE wins over ECT.
  const NOT = 1;
  const ECT1 = 2;
  const ECT0 = 4;
  const CE = 8;
  if ((q.ecn & NOT) !== 0 && (q.ecn & CE) !== 0) {
    for (const f of q.frags) kfree_skb_reason(ns, f, R.NOT_SPECIFIED);
    ns.mib[Mib.IpReasmFails]!++;
    return null;
  }
  const ce = (q.ecn & CE) !== 0 && (q.ecn & (ECT0 | ECT1)) !== 0;
  const first = q.frags[0]!;
  // The fragment that completes it lends its route and device.
  first.dst = last.dst;
  first.dev = last.dev;
  first.ifindex = last.ifindex;
  first.ingressIfindex = last.ingressIfindex;
  first.pktType = last.pktType;
  first.nfTrace = last.nfTrace;
  const n = first.network;
  const hlen = (first.bytes[n]! & 15) * 4;
  if (hlen + q.total > 65535) {
    for (const f of q.frags) kfree_skb_reason(ns, f, R.NOT_SPECIFIED);
    ns.mib[Mib.IpReasmFails]!++;
    return null;
  }
  first.ensure(n + hlen + q.total);
  const dst = first.bytes;
  for (let i = 1; i < q.frags.length; i++) {
    const f = q.frags[i]!;
    const from = f.network + (f.bytes[f.network]! & 15) * 4;
    const to = n + hlen + q.offs[i]!;
    const src = f.bytes;
    for (let j = 0; j < q.lens[i]!; j++) dst[to + j] = src[from + j]!;
    consume_skb(ns.kernel, f);
  }
  first.tail = n + hlen + q.total;
  first.frags = q.lens.slice();
  first.fragMaxSize = Math.max(q.maxSize, q.maxDfSize);
  let fo = 0;
  first.ipcb &= ~(IPSKB_FRAG_PMTU | IPSKB_FRAG_COMPLETE);
  if (q.maxDfSize === q.maxSize) {
    first.ipcb |= IPSKB_FRAG_PMTU;
    fo = 0x4000;
  }
  first.view.setUint16(n + 2, hlen + q.total, false);
  first.view.setUint16(n + 6, fo, false);
  if (ce) dst[n + 1]! |= 3;
  ip_send_check(first, n);
  ns.mib[Mib.IpReasmOKs]!++;
  if (ns.recorder !== null) ns.recorder.step(Step.FRAGMENT, first, first.dev, 1, q.lens.length, 0);
  return first;
}

/** ip_expire: only a receiver that got the first fragment says so. */
function expire(ns: Netns, key: string, q: IpQueue, user: number): void {
  ns.frags!.queues.delete(key);
  ns.mib[Mib.IpReasmFails]!++;
  ns.mib[Mib.IpReasmTimeout]!++;
  const w = ns.kernel.world;
  w.enter();
  const head = q.frags[0];
  const dev = ns.dev(q.iif);
  if (q.firstIn && head !== undefined && dev !== null) {
    head.data = head.network;
    const v = head.view;
    const ok = ip_route_input(
      head,
      v.getInt32(head.network + 16, true),
      v.getInt32(head.network + 12, true),
      head.bytes[head.network + 1]!,
      dev,
    );
    // Only for the host itself; a router that reassembles for netfilter says nothing.
    const end = ok && (head.dst as Rtable).input === INPUT_LOCAL;
    if (ok && (end || user === IP_DEFRAG_LOCAL_DELIVER)) icmp_send(ns, head, ICMP_TIME_EXCEEDED, 1, 0);
  }
  for (const f of q.frags) kfree_skb_reason(ns, f, R.FRAG_REASM_TIMEOUT);
  w.leave();
}

// net/core/skbuff.c: making, copying and freeing packets.

import { SKB_HEADROOM, type Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import type { NetDevice } from "./device.js";
import type { Kernel } from "./kernel.js";
import { nf_reset_ct } from "./netfilter/hooks.js";
import type { Netns } from "./netns.js";

/** IPCB flags (include/net/ip.h). */
export const IPSKB_FORWARDED = 1;
export const IPSKB_XFRM_TUNNEL_SIZE = 2;
export const IPSKB_XFRM_TRANSFORMED = 4;
export const IPSKB_FRAG_COMPLETE = 8;
export const IPSKB_REROUTED = 16;
export const IPSKB_DOREDIRECT = 32;
export const IPSKB_FRAG_PMTU = 64;
/** A tunnel sent it: the socket that the inner packet came from has no say in its length (sk of ip_local_out). */
export const IPSKB_TUNNEL = 0x100;
/** Options that were found on receipt: record route and timestamp with room (opt.rr_needaddr, ts_needaddr, ts_needtime). */
export const IPSKB_OPT_RR = 0x1000;
export const IPSKB_OPT_TS_ADDR = 0x2000;
export const IPSKB_OPT_TS_TIME = 0x4000;
/** Options were read on receipt. */
export const IPSKB_OPT = 0x8000;
/** skb->ignore_df. */
export const IPSKB_IGNORE_DF = 0x200;

/** An empty packet from the pool. */
export function alloc_skb(k: Kernel): Skb {
  return k.world.alloc();
}

/** An empty packet with an id when `ns` records walks. */
export function alloc_local_skb(ns: Netns): Skb {
  const w = ns.kernel.world;
  const skb = w.alloc();
  skb.netns = ns.id;
  skb.cpu = ns.kernel.cpu;
  if (ns.recorder !== null) skb.id = ++w.lastId;
  return skb;
}

/** The namespace a packet is in belongs to its device. */
export function skb_set_dev(skb: Skb, dev: NetDevice): void {
  skb.dev = dev;
  skb.ifindex = dev.ifindex;
  skb.netns = dev.ns.id;
}

/** A packet is dropped: counted by reason in `ns`, recorded, freed. */
export function kfree_skb_reason(ns: Netns, skb: Skb, reason: number): void {
  ns.drops[reason]!++;
  ns.kernel.drops[reason]!++;
  if (ns.recorder !== null) ns.recorder.step(Step.DROP, skb, skb.dev, reason, 0, 0);
  free_skb(ns.kernel, skb);
}

/** A packet has done its work. */
export function consume_skb(k: Kernel, skb: Skb): void {
  free_skb(k, skb);
}

function free_skb(k: Kernel, skb: Skb): void {
  if (skb.nfct !== null) nf_reset_ct(skb);
  k.world.release(skb);
}

/** skb_copy: frame and metadata; the conntrack reference is shared. */
export function skb_copy(k: Kernel, skb: Skb): Skb {
  const c = k.world.alloc();
  const len = skb.tail - skb.data;
  const shift = skb.data > SKB_HEADROOM ? skb.data : SKB_HEADROOM;
  c.ensure(shift + len);
  c.data = shift;
  c.tail = shift + len;
  const from = skb.data;
  const src = skb.bytes;
  const dst = c.bytes;
  if (skb.mac >= 0 && skb.mac < from) {
    const n = from - skb.mac;
    for (let i = 1; i <= n; i++) dst[shift - i] = src[from - i]!;
  }
  for (let i = 0; i < len; i++) dst[shift + i] = src[from + i]!;
  const delta = shift - from;
  c.network = skb.network + delta;
  c.mac = skb.mac < 0 ? -1 : skb.mac + delta;
  copy_skb_header(c, skb);
  return c;
}

/** __copy_skb_header: metadata but no offsets. */
export function copy_skb_header(c: Skb, skb: Skb): void {
  c.protocol = skb.protocol;
  c.ifindex = skb.ifindex;
  c.ingressIfindex = skb.ingressIfindex;
  c.mark = skb.mark;
  c.priority = skb.priority;
  c.hash = skb.hash;
  c.pktType = skb.pktType;
  c.tcIndex = skb.tcIndex;
  c.queueMapping = skb.queueMapping;
  c.vlanTci = skb.vlanTci;
  c.ipcb = skb.ipcb;
  c.fragMaxSize = skb.fragMaxSize;
  c.frags = skb.frags;
  c.dstConfirm = skb.dstConfirm;
  c.physInDev = skb.physInDev;
  c.physOutDev = skb.physOutDev;
  c.bridgedDnat = skb.bridgedDnat;
  for (let i = 0; i < 5; i++) c.cb[i] = skb.cb[i]!;
  c.tstamp[0] = skb.tstamp[0]!;
  if (skb.tunnel.present) c.tunnel.copyFrom(skb.tunnel);
  c.cpu = skb.cpu;
  c.id = skb.id;
  c.netns = skb.netns;
  c.dev = skb.dev;
  c.nfct = skb.nfct;
  c.nfctinfo = skb.nfctinfo;
  c.nfTrace = skb.nfTrace;
  c.ipvsProperty = skb.ipvsProperty;
  c.sk = skb.sk;
  c.dst = skb.dst;
}

/** skb_scrub_packet: what must not follow a packet to another device or, with `xnet`, another namespace. */
export function skb_scrub_packet(skb: Skb, xnet: boolean): void {
  skb.pktType = 0;
  skb.ipcb = 0;
  skb.fragMaxSize = 0;
  skb.frags = null;
  skb.physInDev = null;
  skb.physOutDev = null;
  skb.bridgedDnat = -1;
  skb.ingressIfindex = 0;
  skb.dst = null;
  if (skb.tunnel.present) skb.tunnel.clear();
  if (skb.nfct !== null || skb.nfctinfo !== 0) nf_reset_ct(skb);
  skb.nfTrace = 0;
  if (!xnet) return;
  skb.ipvsProperty = false;
  skb.mark = 0;
  skb.sk = null;
  skb.tstamp[0] = 0;
}

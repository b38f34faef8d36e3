// The small eBPF datapath that kernel-lab attaches in its cilium-* labs, as programs of the model: answers the pod's
// ARP, hands local pods over by redirect or redirect_peer, sends the rest out by redirect_neigh.

import { Program } from "../bpf/program.js";
import type { Skb } from "../bpf/skb.js";
import { TC_ACT_OK } from "../bpf/verdict.js";
import { KernelHelpers } from "../kernel/helpers.js";
import type { Netns } from "../kernel/netns.js";
import { parseMac } from "../kernel/topology.js";
import { parseIpv4 } from "../net/address.js";

/** `bpf` of a namespace in topology.json. */
export interface LabBpf {
  readonly uplink?: string;
  readonly node_ip?: string;
  readonly endpoints?: readonly {
    readonly ip: string;
    readonly dev: string;
    readonly pod_mac: string;
    readonly node_mac: string;
  }[];
  readonly attach: readonly { readonly dev: string; readonly hook: string; readonly prog: string }[];
}

interface Endpoint {
  readonly ifindex: number;
  readonly podMac: Uint8Array;
  readonly nodeMac: Uint8Array;
}

const LEGACY = 0;
const PEER = 1;
const REDIRECT = 2;

/** Attaches what `b` says. */
export function attachLabBpf(ns: Netns, b: LabBpf): void {
  const h = new KernelHelpers(ns.kernel);
  const endpoints = new Map<number, Endpoint>();
  for (const e of b.endpoints ?? [])
    endpoints.set(parseIpv4(e.ip), {
      ifindex: ns.devByName(e.dev)!.ifindex,
      podMac: parseMac(e.pod_mac),
      nodeMac: parseMac(e.node_mac),
    });
  const uplink = b.uplink === undefined ? 0 : ns.devByName(b.uplink)!.ifindex;
  const nodeIp = b.node_ip === undefined ? 0 : parseIpv4(b.node_ip);

  const decTtl = (skb: Skb, n: number): void => {
    const c = skb.view.getUint16(n + 10, false) + 0x0100;
    skb.view.setUint16(n + 10, c + (c >= 0xffff ? 1 : 0), false);
    skb.bytes[n + 8]!--;
  };
  const macs = (skb: Skb, e: Endpoint): void => {
    skb.bytes.set(e.podMac, skb.data);
    skb.bytes.set(e.nodeMac, skb.data + 6);
  };
  const fromPod = (skb: Skb, mode: number): number => {
    const d = skb.data;
    const v = skb.view;
    if (skb.tail - d < 34) return TC_ACT_OK;
    const type = v.getUint16(d + 12, false);
    if (type === 0x0806) {
      const a = d + 14;
      if (skb.tail - a < 28) return TC_ACT_OK;
      const src = endpoints.get(v.getInt32(a + 14, true));
      if (src === undefined || v.getUint16(a + 6, false) !== 1) return TC_ACT_OK;
      const sip = v.getInt32(a + 14, true);
      const tip = v.getInt32(a + 24, true);
      skb.bytes.copyWithin(d, d + 6, d + 12);
      skb.bytes.set(src.nodeMac, d + 6);
      v.setUint16(a + 6, 2, false);
      skb.bytes.copyWithin(a + 18, a + 8, a + 14);
      skb.bytes.set(src.nodeMac, a + 8);
      v.setInt32(a + 14, tip, true);
      v.setInt32(a + 24, sip, true);
      return h.redirect(skb, skb.ifindex, 0);
    }
    if (mode === LEGACY || type !== 0x0800) return TC_ACT_OK;
    const n = d + 14;
    if (skb.bytes[n + 8]! <= 1) return TC_ACT_OK;
    const daddr = v.getInt32(n + 16, true);
    if (daddr === nodeIp) return TC_ACT_OK;
    const dst = endpoints.get(daddr);
    if (dst !== undefined) {
      decTtl(skb, n);
      macs(skb, dst);
      return mode === REDIRECT ? h.redirect(skb, dst.ifindex, 0) : h.redirect_peer(skb, dst.ifindex, 0);
    }
    if (mode === REDIRECT || uplink === 0) return TC_ACT_OK;
    decTtl(skb, n);
    return h.redirect_neigh(skb, uplink, null, 0);
  };
  const fromNetdev = (skb: Skb): number => {
    const d = skb.data;
    if (skb.tail - d < 34 || skb.view.getUint16(d + 12, false) !== 0x0800) return TC_ACT_OK;
    const n = d + 14;
    const dst = endpoints.get(skb.view.getInt32(n + 16, true));
    if (dst === undefined || skb.bytes[n + 8]! <= 1) return TC_ACT_OK;
    decTtl(skb, n);
    macs(skb, dst);
    return h.redirect_peer(skb, dst.ifindex, 0);
  };
  const run: Record<string, (skb: Skb) => number> = {
    from_pod_legacy: (s) => fromPod(s, LEGACY),
    from_pod_bpf: (s) => fromPod(s, PEER),
    from_pod_redirect: (s) => fromPod(s, REDIRECT),
    from_netdev_bpf: fromNetdev,
    count_only: () => TC_ACT_OK,
  };
  for (const a of b.attach) {
    const f = run[a.prog];
    const dev = ns.devByName(a.dev);
    if (f === undefined || dev === null) continue;
    const p = new Program({ name: a.prog, type: "sched_cls", section: "tc", file: "datapath.bpf.c" }, f);
    if (a.hook === "egress") dev.tc_egress = p;
    else dev.tc_ingress = p;
  }
}

// The BPF helpers of a node (net/core/filter.c, kernel/bpf/helpers.c) over the kernel model.

import { EINVAL, ENODEV, ENOENT } from "../base/errno.js";
import {
  BPF_FIB_LKUP_RET_BLACKHOLE,
  BPF_FIB_LKUP_RET_FRAG_NEEDED,
  BPF_FIB_LKUP_RET_FWD_DISABLED,
  BPF_FIB_LKUP_RET_NO_NEIGH,
  BPF_FIB_LKUP_RET_NO_SRC_ADDR,
  BPF_FIB_LKUP_RET_NOT_FWDED,
  BPF_FIB_LKUP_RET_PROHIBIT,
  BPF_FIB_LKUP_RET_SUCCESS,
  BPF_FIB_LKUP_RET_UNREACHABLE,
  BPF_FIB_LOOKUP_DIRECT,
  BPF_FIB_LOOKUP_OUTPUT,
  BPF_FIB_LOOKUP_SKIP_NEIGH,
  BPF_FIB_LOOKUP_SRC,
  BPF_FIB_LOOKUP_TBID,
  type FibLookup,
} from "../bpf/fib_lookup.js";
import { AF_INET, BPF_F_INGRESS, type Helpers, type RedirNeigh, type SockRef } from "../bpf/helpers.js";
import type { Skb, TunnelKey } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { TC_ACT_REDIRECT, TC_ACT_SHOT, XDP_REDIRECT, XDP_TX } from "../bpf/verdict.js";
import type { NetDevice } from "./device.js";
import { FibResult, Flowi4, RT_TABLE_MAIN, RTN_UNICAST } from "./fib.js";
import { skb_get_hash } from "./flow_dissector.js";
import { bpf_ipv6_fib_lookup } from "./ipv6/ip6_fib.js";
import { type Kernel, REDIR_EGRESS, REDIR_INGRESS, REDIR_NEIGH, REDIR_PEER } from "./kernel.js";
import { NUD_VALID } from "./neighbour.js";
import { fibSelectPath, findException, inDevForward, prefsrcOf } from "./route.js";
import { tcp_lookup } from "./tcp_ipv4.js";
import { udp4_lookup } from "./udp.js";

/** INITIAL_JIFFIES: five minutes before the 32-bit counter wraps. */
const INITIAL_JIFFIES = (hz: number): number => 0x1_0000_0000 - 300 * hz;

const flow = new Flowi4();
const result = new FibResult();

export class KernelHelpers implements Helpers {
  constructor(
    readonly kernel: Kernel,
    /** CONFIG_HZ. */
    readonly hz: number = 250,
  ) {}

  ktime_get_ns(): number {
    return this.kernel.clock.ns;
  }

  ktime_get_sec(): number {
    return this.kernel.clock.sec;
  }

  jiffies_shr8(): number {
    return (
      Math.floor((INITIAL_JIFFIES(this.hz) + Math.floor((this.kernel.clock.ns * this.hz) / 1e9)) / 256) | 0
    );
  }

  get_prandom_u32(): number {
    return this.kernel.prng.nextInt32();
  }

  get_smp_processor_id(): number {
    return this.kernel.cpu;
  }

  get_hash_recalc(skb: Skb): number {
    if (skb.hash !== 0) return skb.hash;
    const dev = skb.dev as NetDevice | null;
    skb.network = skb.data + (dev === null ? 14 : dev.hardHeaderLen);
    return skb_get_hash(skb);
  }

  redirect(_skb: Skb, ifindex: number, flags: number): number {
    if ((flags & ~BPF_F_INGRESS) !== 0) return TC_ACT_SHOT;
    const ri = this.kernel.ri;
    ri.kind = (flags & BPF_F_INGRESS) !== 0 ? REDIR_INGRESS : REDIR_EGRESS;
    ri.ifindex = ifindex;
    return TC_ACT_REDIRECT;
  }

  redirect_peer(_skb: Skb, ifindex: number, flags: number): number {
    if (flags !== 0) return TC_ACT_SHOT;
    const ri = this.kernel.ri;
    ri.kind = REDIR_PEER;
    ri.ifindex = ifindex;
    return TC_ACT_REDIRECT;
  }

  redirect_neigh(_skb: Skb, ifindex: number, nh: RedirNeigh | null, flags: number): number {
    if (flags !== 0) return TC_ACT_SHOT;
    const ri = this.kernel.ri;
    ri.kind = REDIR_NEIGH;
    ri.ifindex = ifindex;
    ri.setNh(nh);
    return TC_ACT_REDIRECT;
  }

  xdp_redirect(skb: Skb, ifindex: number, _flags: number): number {
    const ri = this.kernel.ri;
    ri.kind = REDIR_EGRESS;
    ri.ifindex = ifindex;
    return skb.ifindex === ifindex ? XDP_TX : XDP_REDIRECT;
  }

  fib_lookup(skb: Skb, params: FibLookup, flags: number): number {
    const ns = (skb.dev as NetDevice).ns;
    const view = params.view;
    if (params.family !== AF_INET) return bpf_ipv6_fib_lookup(ns, skb, params, flags);
    const dev = ns.dev(params.ifindex);
    if (dev === null) return -ENODEV;
    if (!inDevForward(dev)) return BPF_FIB_LKUP_RET_FWD_DISABLED;
    const checkMtu = params.totLen !== 0;
    const f = flow;
    f.clear();
    if ((flags & BPF_FIB_LOOKUP_OUTPUT) !== 0) {
      f.iif = 1;
      f.oif = params.ifindex;
    } else f.iif = params.ifindex;
    f.tos = params.bytes[12]! & 0xfc;
    f.proto = params.bytes[1]!;
    f.daddr = params.ipv4Dst;
    f.saddr = params.ipv4Src;
    f.sport = view.getUint16(2, false);
    f.dport = view.getUint16(4, false);
    let err: number;
    if ((flags & BPF_FIB_LOOKUP_DIRECT) !== 0) {
      const id = (flags & BPF_FIB_LOOKUP_TBID) !== 0 ? view.getInt32(48, true) : RT_TABLE_MAIN;
      const t = ns.fib.tables.get(id);
      if (t === undefined) return BPF_FIB_LKUP_RET_NOT_FWDED;
      err = t.lookup(f, result, 0);
    } else err = ns.fib.lookup(f, result, 0);
    if (ns.recorder !== null) ns.recorder.step(Step.FIB, skb, err === 0 ? result.fi : null, err, 2, 0);
    if (err !== 0) {
      switch (err) {
        case -EINVAL:
          return BPF_FIB_LKUP_RET_BLACKHOLE;
        case -113:
          return BPF_FIB_LKUP_RET_UNREACHABLE;
        case -13:
          return BPF_FIB_LKUP_RET_PROHIBIT;
        default:
          return BPF_FIB_LKUP_RET_NOT_FWDED;
      }
    }
    if (result.type !== RTN_UNICAST) return BPF_FIB_LKUP_RET_NOT_FWDED;
    fibSelectPath(ns, result, f);
    const nh = result.nh!;
    const fi = result.fi!;
    const out = nh.dev!;
    let mtu = 0;
    if (checkMtu) {
      // ip_mtu_from_fib_result
      mtu = fi.mtu !== 0 ? fi.mtu : out.mtu;
      const ex = findException(ns, nh, f.daddr);
      if (ex !== null && ex.pmtu !== 0 && ns.sysctl.ip_forward_use_pmtu !== 0) mtu = ex.pmtu;
      if (params.totLen > mtu) {
        params.totLen = mtu;
        return BPF_FIB_LKUP_RET_FRAG_NEEDED;
      }
    }
    view.setInt32(12, fi.priority, true);
    params.ifindex = out.ifindex;
    if ((flags & BPF_FIB_LOOKUP_SRC) !== 0) {
      const src = prefsrcOf(ns, result);
      if (src === 0) return BPF_FIB_LKUP_RET_NO_SRC_ADDR;
      params.ipv4Src = src;
    }
    if (nh.gw !== 0) params.ipv4Dst = nh.gw;
    if ((flags & BPF_FIB_LOOKUP_SKIP_NEIGH) === 0) {
      const n = out.arp.get(params.ipv4Dst);
      if (n === undefined || (n.state & NUD_VALID) === 0) return BPF_FIB_LKUP_RET_NO_NEIGH;
      params.bytes.set(out.mac, 52);
      params.bytes.set(n.ha, 58);
    }
    view.setInt32(48, 0, true);
    if (checkMtu) params.totLen = mtu;
    else {
      // bpf_skb_fib_lookup without a length: the packet itself must fit.
      if (skb.tail - skb.data > out.mtu + out.hardHeaderLen + 4) {
        params.totLen = out.mtu;
        return BPF_FIB_LKUP_RET_FRAG_NEEDED;
      }
      params.totLen = out.mtu;
    }
    return BPF_FIB_LKUP_RET_SUCCESS;
  }

  skb_set_tunnel_key(skb: Skb, key: TunnelKey, flags: number): number {
    skb.tunnel.copyFrom(key);
    skb.tunnel.flags = flags;
    skb.tunnel.present = true;
    skb.tunnel.optLen = 0;
    return 0;
  }

  skb_get_tunnel_key(skb: Skb, key: TunnelKey, _flags: number): number {
    if (!skb.tunnel.present) return -EINVAL;
    key.copyFrom(skb.tunnel);
    return 0;
  }

  skb_set_tunnel_opt(skb: Skb, opt: Uint8Array, len: number): number {
    if (!skb.tunnel.present || (len & 3) !== 0 || len > 255) return -EINVAL;
    for (let i = 0; i < len; i++) skb.tunnel.opt[i] = opt[i]!;
    skb.tunnel.optLen = len;
    return 0;
  }

  skb_get_tunnel_opt(skb: Skb, opt: Uint8Array, size: number): number {
    const t = skb.tunnel;
    if (!t.present || t.optLen === 0) return -ENOENT;
    if (size < t.optLen) return -12;
    for (let i = 0; i < t.optLen; i++) opt[i] = t.opt[i]!;
    return t.optLen;
  }

  skb_change_type(skb: Skb, type: number): number {
    if (skb.pktType > 3 || type < 0 || type > 3) return -EINVAL;
    skb.pktType = type;
    return 0;
  }

  skb_change_tail(skb: Skb, len: number, flags: number): number {
    const min = Math.max(skb.network - skb.data, 14);
    if (flags !== 0 || len < min || len > 65535) return -EINVAL;
    const cur = skb.tail - skb.data;
    if (len > cur) skb.put(len - cur);
    else skb.trim(len);
    return 0;
  }

  skb_change_head(skb: Skb, len: number, flags: number): number {
    if (flags !== 0 || len > 255 || !skb.push(len)) return -EINVAL;
    for (let i = 0; i < len; i++) skb.bytes[skb.data + i] = 0;
    skb.mac = skb.data;
    return 0;
  }

  skb_adjust_room(skb: Skb, delta: number, mode: number, flags: number): number {
    void flags;
    const dev = skb.dev as NetDevice | null;
    const l2 = dev === null ? 14 : dev.hardHeaderLen;
    const b = skb.bytes;
    // BPF_ADJ_ROOM_NET (0) works behind the network header, BPF_ADJ_ROOM_MAC (1) behind the link-layer one.
    const off = mode === 1 ? l2 : l2 + (b[skb.data + l2]! >> 4 === 6 ? 40 : 20);
    if (delta >= 0) {
      if (!skb.push(delta)) return -12;
      for (let i = 0; i < off; i++) b[skb.data + i] = b[skb.data + delta + i]!;
      for (let i = 0; i < delta; i++) b[skb.data + off + i] = 0;
    } else {
      const n = -delta;
      if (skb.tail - skb.data < off + n) return -95;
      for (let i = off - 1; i >= 0; i--) b[skb.data + n + i] = b[skb.data + i]!;
      skb.data += n;
    }
    skb.mac = skb.data;
    skb.network = skb.data + l2;
    return 0;
  }

  sk_lookup(
    skb: Skb,
    proto: number,
    saddr: number,
    daddr: number,
    sport: number,
    dport: number,
  ): SockRef | null {
    const ns = (skb.dev as NetDevice).ns;
    // Ports as programs give them: network order as loaded little-endian.
    const sp = ((sport & 0xff) << 8) | ((sport >>> 8) & 0xff);
    const dp = ((dport & 0xff) << 8) | ((dport >>> 8) & 0xff);
    return proto === 6
      ? tcp_lookup(ns, saddr, sp, daddr, dp, skb.ifindex)
      : udp4_lookup(ns, saddr, sp, daddr, dp, skb.ifindex);
  }

  sk_assign(skb: Skb, sk: SockRef): number {
    skb.sk = sk;
    return 0;
  }

  get_netns_cookie(skb: Skb | null): number {
    if (skb === null) return this.kernel.namespaces[0]?.cookie ?? 0;
    return (skb.dev as NetDevice).ns.cookie;
  }
}

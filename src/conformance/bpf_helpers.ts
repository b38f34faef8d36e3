// The helpers of a recorded run: they write down what programs ask of the kernel, and answer what the recording says
// about the world outside (time, random numbers, FIB, tunnel metadata).

import type { FibLookup } from "../bpf/fib_lookup.js";
import { AF_INET, type Helpers, type RedirNeigh, type SockRef } from "../bpf/helpers.js";
import type { Skb, TunnelKey } from "../bpf/skb.js";
import { TC_ACT_REDIRECT, XDP_REDIRECT, XDP_TX } from "../bpf/verdict.js";
import { fromHex, toHex } from "../net/view.js";

export interface RecordedFib {
  readonly flags: number;
  readonly ret: number;
  readonly in: string;
  readonly out: string;
}

export interface RecordedRedirect {
  readonly kind: string;
  readonly ifindex: number;
  readonly flags: number;
  readonly nh?: string;
  readonly nh_family?: number;
}

/** What a step gives to and expects of the helpers. */
export interface HelperScript {
  readonly now_ns: number;
  readonly prandom: readonly number[];
  readonly fib_lookups: readonly RecordedFib[];
  readonly rx_tunnel_key?: string;
  readonly rx_tunnel_opt?: string;
}

const NO_SCRIPT: HelperScript = { now_ns: 0, prandom: [0], fib_lookups: [] };

export class RecordedHelpers implements Helpers {
  #script: HelperScript = NO_SCRIPT;
  prandomUsed = 0;
  readonly fib: { flags: number; in: string; out: string; ret: number }[] = [];
  readonly redirects: RecordedRedirect[] = [];
  tunnelKey: { flags: number; hex: string } | null = null;
  tunnelOpt: string | null = null;

  begin(script: HelperScript): void {
    this.#script = script;
    this.prandomUsed = 0;
    this.fib.length = 0;
    this.redirects.length = 0;
    this.tunnelKey = null;
    this.tunnelOpt = null;
  }

  ktime_get_ns(): number {
    return this.#script.now_ns;
  }

  ktime_get_sec(): number {
    return Math.floor(this.#script.now_ns / 1e9);
  }

  jiffies_shr8(): number {
    return Math.floor(this.#script.now_ns / 1e6 / 256);
  }

  get_prandom_u32(): number {
    const p = this.#script.prandom;
    return p[this.prandomUsed++ % p.length] | 0;
  }

  get_smp_processor_id(): number {
    return 0;
  }

  /** A test run cannot compute it: 0 in every sample. */
  get_hash_recalc(_skb: Skb): number {
    return 0;
  }

  redirect(_skb: Skb, ifindex: number, flags: number): number {
    this.redirects.push({ flags, ifindex, kind: "redirect" });
    return TC_ACT_REDIRECT;
  }

  redirect_peer(_skb: Skb, ifindex: number, flags: number): number {
    this.redirects.push({ flags, ifindex, kind: "redirect_peer" });
    return TC_ACT_REDIRECT;
  }

  redirect_neigh(_skb: Skb, ifindex: number, nh: RedirNeigh | null, flags: number): number {
    if (nh === null) this.redirects.push({ flags, ifindex, kind: "redirect_neigh" });
    else {
      const text = nh.nhFamily === AF_INET ? ipv4Text(nh.ipv4) : ipv6Text(nh.ipv6);
      this.redirects.push({ flags, ifindex, kind: "redirect_neigh", nh: text, nh_family: nh.nhFamily });
    }
    return TC_ACT_REDIRECT;
  }

  xdp_redirect(skb: Skb, ifindex: number, flags: number): number {
    const tx = ifindex === skb.ifindex;
    this.redirects.push({ flags, ifindex, kind: tx ? "xdp_tx" : "redirect" });
    return tx ? XDP_TX : XDP_REDIRECT;
  }

  /** The kernel's answer is part of the recording; a call that was not recorded fails. */
  fib_lookup(_skb: Skb, params: FibLookup, flags: number): number {
    const recorded = this.#script.fib_lookups[this.fib.length];
    const before = toHex(params.bytes);
    let ret = -22;
    if (recorded !== undefined && recorded.in === before) {
      params.bytes.set(fromHex(recorded.out)!);
      ret = recorded.ret;
    }
    this.fib.push({ flags, in: before, out: toHex(params.bytes), ret });
    return ret;
  }

  skb_set_tunnel_key(skb: Skb, key: TunnelKey, flags: number): number {
    skb.tunnel.copyFrom(key);
    // struct bpf_tunnel_key: id, remote (IPv4 in host order), tos, ttl, ext, label, local.
    const raw = new Uint8Array(44);
    const v = new DataView(raw.buffer);
    v.setInt32(0, key.id, true);
    if (key.isIp6) raw.set(key.remoteIp6, 4);
    else v.setInt32(4, key.remoteIp4, false);
    raw[20] = key.tos;
    raw[21] = key.ttl;
    v.setInt32(24, key.label, true);
    v.setInt32(28, key.localIp4, false);
    // Without a source address the programs give the short form.
    const size = key.localIp4 !== 0 ? 44 : 28;
    this.tunnelKey = { flags, hex: toHex(raw.subarray(0, size)) };
    return 0;
  }

  skb_get_tunnel_key(_skb: Skb, key: TunnelKey, _flags: number): number {
    const hex = this.#script.rx_tunnel_key;
    if (hex === undefined) return -22;
    const raw = fromHex(hex)!;
    const v = new DataView(raw.buffer);
    key.clear();
    key.present = true;
    key.id = v.getInt32(0, true);
    key.remoteIp4 = v.getInt32(4, false);
    key.tos = raw[20];
    key.ttl = raw[21];
    key.label = v.getInt32(24, true);
    return 0;
  }

  skb_set_tunnel_opt(_skb: Skb, opt: Uint8Array, len: number): number {
    this.tunnelOpt = toHex(opt.subarray(0, len));
    return 0;
  }

  skb_get_tunnel_opt(_skb: Skb, opt: Uint8Array, size: number): number {
    const hex = this.#script.rx_tunnel_opt;
    if (hex === undefined) return -2;
    const raw = fromHex(hex)!;
    if (raw.length > size) return -12;
    opt.fill(0, 0, size);
    opt.set(raw);
    return raw.length;
  }

  skb_change_type(skb: Skb, type: number): number {
    skb.pktType = type;
    return 0;
  }

  skb_change_tail(skb: Skb, len: number, _flags: number): number {
    const have = skb.tail - skb.data;
    if (len > have) skb.put(len - have);
    else skb.trim(len);
    return 0;
  }

  skb_change_head(skb: Skb, len: number, _flags: number): number {
    if (!skb.push(len)) return -12;
    skb.bytes.fill(0, skb.data, skb.data + len);
    return 0;
  }

  /** Mode 0: behind the network header, 1: behind the Ethernet header. */
  skb_adjust_room(skb: Skb, delta: number, mode: number, _flags: number): number {
    const keep = mode === 1 ? 14 : 14 + (skb.protocol === 0x86dd ? 40 : 20);
    if (delta > 0) {
      if (!skb.push(delta)) return -12;
      skb.bytes.copyWithin(skb.data, skb.data + delta, skb.data + delta + keep);
      skb.bytes.fill(0, skb.data + keep, skb.data + keep + delta);
    } else if (delta < 0) {
      const n = -delta;
      if (skb.tail - skb.data < keep + n) return -22;
      skb.bytes.copyWithin(skb.data + n, skb.data, skb.data + keep);
      skb.pull(n);
    }
    return 0;
  }

  sk_lookup(): SockRef | null {
    return null;
  }

  sk_assign(): number {
    return 0;
  }

  get_netns_cookie(): number {
    return 1;
  }
}

function ipv4Text(be32: number): string {
  return [be32 & 0xff, (be32 >>> 8) & 0xff, (be32 >>> 16) & 0xff, be32 >>> 24].join(".");
}

/** RFC 5952: the longest run of zero groups as `::`. */
function ipv6Text(b: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (b[2 * i] << 8) | b[2 * i + 1]);
  let best = -1;
  let bestLen = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > bestLen) {
      best = i;
      bestLen = n;
    }
  }
  const hex = (g: number[]): string => g.map((x) => x.toString(16)).join(":");
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLen))}`;
}

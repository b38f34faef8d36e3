// IPv6 routes of a namespace (net/ipv6/ip6_fib.c, route.c), the part that forwarding needs: longest prefix, metric,
// gateways, error types, local addresses.
//
// Differs from the kernel: one table, no rules, no multipath; path MTU exceptions count for this host's own packets only.

import { NS_PER_SEC } from "../../base/clock.js";
import type { NetDevice } from "../device.js";
import { RTN_UNICAST } from "../fib.js";
import type { Netns } from "../netns.js";

/** True if the first `plen` bits at a[ai..] and b[bi..] agree. */
export function prefixMatch(a: Uint8Array, ai: number, b: Uint8Array, bi: number, plen: number): boolean {
  const full = plen >> 3;
  for (let i = 0; i < full; i++) if (a[ai + i] !== b[bi + i]) return false;
  const rest = plen & 7;
  if (rest === 0) return true;
  const m = 0xff << (8 - rest);
  return ((a[ai + full]! ^ b[bi + full]!) & m & 0xff) === 0;
}

/** struct fib6_info. */
export interface Route6 {
  readonly prefix: Uint8Array;
  readonly plen: number;
  readonly dev: NetDevice | null;
  /** Null: the destination itself. */
  readonly gw: Uint8Array | null;
  readonly metric: number;
  /** RTN_*. */
  readonly type: number;
  readonly mtu: number;
  readonly src: Uint8Array | null;
}

/** IPV6_MIN_MTU. */
const MIN_MTU = 1280;
/** net.ipv6.route.mtu_expires. */
const MTU_EXPIRES = 600 * NS_PER_SEC;

/** struct rt6_exception of a destination whose path takes less than its route. */
interface Exception6 {
  readonly addr: Uint8Array;
  mtu: number;
  untilNs: number;
}

export class Fib6 {
  /** Longest prefix first, then lowest metric. */
  readonly routes: Route6[] = [];
  readonly #exceptions: Exception6[] = [];
  /** Where packets to the host's own addresses go. */
  readonly #local: Route6;
  #credit = 50;
  #creditNs = 0;

  constructor(readonly ns: Netns) {
    const anywhere = new Uint8Array(16);
    const rest = { gw: null, metric: 0, type: RTN_UNICAST, mtu: 0, src: null };
    this.#local = { prefix: anywhere, plen: 128, dev: ns.lo, ...rest };
  }

  /** The limit of ICMPv6 errors: 1000 a second, 50 in a burst. */
  allowIcmp(): boolean {
    const now = this.ns.kernel.clock.ns;
    this.#credit = Math.min(50, this.#credit + (now - this.#creditNs) / 1e6);
    this.#creditNs = now;
    if (this.#credit < 1) return false;
    this.#credit--;
    return true;
  }

  /** False when an equal route (prefix, metric) is there. */
  add(r: Partial<Route6> & { prefix: Uint8Array; plen: number }): boolean {
    const full: Route6 = {
      dev: null,
      gw: null,
      metric: 1024,
      type: RTN_UNICAST,
      mtu: 0,
      src: null,
      ...r,
    };
    if (
      this.routes.some(
        (x) =>
          x.plen === full.plen &&
          x.metric === full.metric &&
          prefixMatch(x.prefix, 0, full.prefix, 0, full.plen),
      )
    )
      return false;
    let i = 0;
    while (
      i < this.routes.length &&
      (this.routes[i]!.plen > full.plen ||
        (this.routes[i]!.plen === full.plen && this.routes[i]!.metric <= full.metric))
    )
      i++;
    this.routes.splice(i, 0, full);
    return true;
  }

  remove(prefix: Uint8Array, plen: number): boolean {
    const at = this.routes.findIndex((x) => x.plen === plen && prefixMatch(x.prefix, 0, prefix, 0, plen));
    if (at < 0) return false;
    this.routes.splice(at, 1);
    return true;
  }

  /** The route to the 16 bytes at b[off..], by device `oif` if it is not 0; null when there is none. */
  lookup(b: Uint8Array, off: number, oif: number): Route6 | null {
    const list = this.routes;
    for (let i = 0; i < list.length; i++) {
      const r = list[i]!;
      if (oif !== 0 && r.dev !== null && r.dev.ifindex !== oif) continue;
      if (r.dev !== null && !r.dev.up) continue;
      if (prefixMatch(b, off, r.prefix, 0, r.plen)) return r;
    }
    return null;
  }

  /**
   * ip6_route_output: the way of a packet of this host to the 16 bytes at b[off..], by lo to its own addresses; null when
   * there is none.
   */
  output(b: Uint8Array, off: number, oif: number): Route6 | null {
    if (this.localDev(b, off) !== null) return this.#local;
    const rt = this.lookup(b, off, oif);
    return rt === null || rt.dev === null || rt.type !== RTN_UNICAST ? null : rt;
  }

  /** Source address of packets by `rt` to the 16 bytes at b[off..]; null when no device has one. */
  outputSource(rt: Route6, b: Uint8Array, off: number): Uint8Array | null {
    if (rt === this.#local) return b.slice(off, off + 16);
    return rt.src ?? this.source(rt.dev!, b, off);
  }

  /** ip6_dst_mtu_maybe_forward for this host's own packets: the route's MTU, or what an error said of the path. */
  pathMtu(rt: Route6, b: Uint8Array, off: number): number {
    const mtu = rt.mtu !== 0 ? rt.mtu : rt.dev!.mtu;
    for (let i = 0; i < this.#exceptions.length; i++) {
      const e = this.#exceptions[i]!;
      if (e.untilNs > this.ns.kernel.clock.ns && prefixMatch(b, off, e.addr, 0, 128))
        return Math.min(mtu, e.mtu);
    }
    return mtu;
  }

  /** __ip6_rt_update_pmtu: "packet too big" about a packet to the 16 bytes at b[off..]. */
  updatePmtu(b: Uint8Array, off: number, mtu: number): void {
    const m = Math.max(mtu, MIN_MTU);
    const rt = this.output(b, off, 0);
    if (rt === null || m >= this.pathMtu(rt, b, off)) return;
    const untilNs = this.ns.kernel.clock.ns + MTU_EXPIRES;
    const old = this.#exceptions.find((e) => prefixMatch(b, off, e.addr, 0, 128));
    if (old === undefined) this.#exceptions.push({ addr: b.slice(off, off + 16), mtu: m, untilNs });
    else {
      old.mtu = m;
      old.untilNs = untilNs;
    }
  }

  /** The device that has the address at b[off..], or null. */
  localDev(b: Uint8Array, off: number): NetDevice | null {
    const devs = this.ns.devOrder;
    for (let i = 0; i < devs.length; i++) {
      const d = devs[i]!;
      for (let j = 0; j < d.addrs6.length; j++) if (prefixMatch(b, off, d.addrs6[j]!.bytes, 0, 128)) return d;
    }
    return null;
  }

  /** ipv6_dev_get_saddr, coarsely: an address of the device, global ones first unless the peer is link-local. */
  source(dev: NetDevice, b: Uint8Array, off: number): Uint8Array | null {
    const ll = b[off] === 0xfe && (b[off + 1]! & 0xc0) === 0x80;
    const want = (a: Uint8Array): boolean => (a[0] === 0xfe && (a[1]! & 0xc0) === 0x80) === ll;
    for (const d of [dev, ...this.ns.devOrder]) {
      if (ll && d !== dev) continue;
      for (const a of d.addrs6) if (want(a.bytes) && a.bytes[0] !== 0) return a.bytes;
    }
    return dev.addrs6[0]?.bytes ?? null;
  }
}

// net/ipv6/ndisc.c: neighbour solicitation and advertisement.

import type { Skb } from "../../bpf/skb.js";
import { dev_queue_xmit } from "../dev.js";
import { IFF_LOOPBACK, IFF_NOARP, type NetDevice } from "../device.js";
import * as R from "../drop_reason.js";
import { ETH_P_IPV6, eth_push_header } from "../eth.js";
import {
  NEIGH_UPDATE_F_OVERRIDE,
  NEIGH_UPDATE_F_WEAK_OVERRIDE,
  Neighbour,
  NUD_NOARP,
  NUD_REACHABLE,
  NUD_STALE,
} from "../neighbour.js";
import type { Netns } from "../netns.js";
import { alloc_local_skb, consume_skb, kfree_skb_reason, skb_set_dev } from "../skbuff.js";
import { prefixMatch } from "./fib6.js";
import { ICMPV6_DEST_UNREACH, icmp6_send, icmpv6_checksum } from "./icmpv6.js";

export const NDISC_NEIGHBOUR_SOLICITATION = 135;
export const NDISC_NEIGHBOUR_ADVERTISEMENT = 136;

const UNSPECIFIED = new Uint8Array(16);

/** The entry of the address at b[off..] on `dev`; made when `create`. */
export function neigh6(dev: NetDevice, b: Uint8Array, off: number, create: boolean): Neighbour | null {
  const list = dev.nd;
  for (let i = 0; i < list.length; i++) if (prefixMatch(b, off, list[i]!.ip6!, 0, 128)) return list[i]!;
  if (!create) return null;
  const n = new Neighbour(dev, 0, b.slice(off, off + 16));
  list.push(n);
  return n;
}

/** ndisc_constructor. */
export function ndisc_constructor(n: Neighbour): void {
  const dev = n.dev;
  const ip = n.ip6!;
  if (dev.hardHeaderLen === 0) n.state = NUD_NOARP;
  else if (ip[0] === 0xff) {
    n.ha.set([0x33, 0x33, ip[12]!, ip[13]!, ip[14]!, ip[15]!]);
    n.state = NUD_NOARP;
  } else if ((dev.flags & (IFF_NOARP | IFF_LOOPBACK)) !== 0) {
    n.ha.set(dev.mac);
    n.state = NUD_NOARP;
  }
}

/** A neighbour message of 24 bytes with one link-layer address option. */
function send(
  dev: NetDevice,
  type: number,
  flags: number,
  target: Uint8Array,
  toff: number,
  src: Uint8Array,
  dst: Uint8Array,
  doff: number,
  mac: Uint8Array,
  moff: number,
): void {
  const ns = dev.ns;
  const skb = alloc_local_skb(ns);
  const n = skb.data;
  const b = skb.bytes;
  skb.tail = n + 40 + 32;
  skb.network = n;
  b.fill(0, n, skb.tail);
  b[n] = 0x60;
  b[n + 5] = 32;
  b[n + 6] = 58;
  b[n + 7] = 255;
  for (let i = 0; i < 16; i++) {
    b[n + 8 + i] = src[i]!;
    b[n + 24 + i] = dst[doff + i]!;
    b[n + 48 + i] = target[toff + i]!;
  }
  b[n + 40] = type;
  b[n + 44] = flags;
  b[n + 64] = type === NDISC_NEIGHBOUR_SOLICITATION ? 1 : 2;
  b[n + 65] = 1;
  for (let i = 0; i < 6; i++) b[n + 66 + i] = dev.mac[i]!;
  icmpv6_checksum(skb, n, n + 40);
  if (ns.outputMark6 !== null) skb.mark = ns.outputMark6(skb.mark);
  skb_set_dev(skb, dev);
  eth_push_header(skb, ETH_P_IPV6, mac, dev.mac);
  if (moff !== 0) for (let i = 0; i < 6; i++) b[skb.data + i] = mac[moff + i]!;
  dev_queue_xmit(skb);
}

const group = new Uint8Array([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0]);
const groupMac = new Uint8Array([0x33, 0x33, 0xff, 0, 0, 0]);

/** ndisc_solicit: asks for the address of `n`. */
export function ndisc_solicit(n: Neighbour, skb: Skb | null): void {
  const dev = n.dev;
  const ip = n.ip6!;
  const fib = dev.ns.fib6;
  let src: Uint8Array | null = null;
  if (skb !== null && fib !== null && fib.localDev(skb.bytes, skb.network + 8) === dev)
    src = skb.bytes.slice(skb.network + 8, skb.network + 24);
  src ??= fib?.source(dev, ip, 0) ?? UNSPECIFIED;
  if (n.probes < n.parms.ucast_solicit) {
    send(dev, NDISC_NEIGHBOUR_SOLICITATION, 0, ip, 0, src, ip, 0, n.ha, 0);
    return;
  }
  group.set(ip.subarray(13), 13);
  groupMac.set(ip.subarray(13), 3);
  send(dev, NDISC_NEIGHBOUR_SOLICITATION, 0, ip, 0, src, group, 0, groupMac, 0);
}

/** ndisc_error_report. */
export function ndisc_error_report(n: Neighbour, skb: Skb): void {
  icmp6_send(n.dev.ns, skb, ICMPV6_DEST_UNREACH, 3, 0);
  kfree_skb_reason(n.dev.ns, skb, R.NEIGH_FAILED);
}

/** Offset of the link-layer address in option `kind` of the message at `d`, or 0. */
function option(skb: Skb, d: number, kind: number): number {
  const b = skb.bytes;
  for (let o = d + 24; o + 8 <= skb.tail; ) {
    const len = b[o + 1]! * 8;
    if (len === 0) return 0;
    if (b[o] === kind && o + len <= skb.tail) return o + 2;
    o += len;
  }
  return 0;
}

/** ndisc_rcv of solicitations and advertisements; `d` is the ICMPv6 header. Takes the packet. */
export function ndisc_rcv(ns: Netns, skb: Skb, dev: NetDevice, n: number, d: number): void {
  const b = skb.bytes;
  const k = ns.kernel;
  if (b[n + 7] !== 255 || b[d + 1] !== 0 || skb.tail - d < 24 || b[d + 8] === 0xff) {
    kfree_skb_reason(ns, skb, R.IPV6_NDISC_BAD_OPTIONS);
    return;
  }
  const target = d + 8;
  if (b[d] === NDISC_NEIGHBOUR_SOLICITATION) {
    const mine = dev.addrs6.some((a) => prefixMatch(b, target, a.bytes, 0, 128));
    if (mine) {
      const own = b.slice(target, target + 16);
      const lladdr = option(skb, d, 1);
      const router = dev.conf.forwarding6 !== 0 ? 0x80 : 0;
      const anonymous = prefixMatch(b, n + 8, UNSPECIFIED, 0, 128);
      if (anonymous) {
        // Duplicate address detection of somebody else: answered to all nodes.
        const all = new Uint8Array([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        send(
          dev,
          NDISC_NEIGHBOUR_ADVERTISEMENT,
          router | 0x20,
          own,
          0,
          own,
          all,
          0,
          new Uint8Array([0x33, 0x33, 0, 0, 0, 1]),
          0,
        );
      } else if (lladdr !== 0) {
        const e = neigh6(dev, b, n + 8, true)!;
        e.update(b, lladdr, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE);
        send(dev, NDISC_NEIGHBOUR_ADVERTISEMENT, router | 0x60, own, 0, own, b, n + 8, b, lladdr);
      }
    }
    consume_skb(k, skb);
    return;
  }
  const e = neigh6(dev, b, target, false);
  const lladdr = option(skb, d, 2);
  if (e !== null && lladdr !== 0) {
    const solicited = (b[d + 4]! & 0x40) !== 0;
    const override = (b[d + 4]! & 0x20) !== 0;
    e.isRouter = (b[d + 4]! & 0x80) !== 0;
    e.update(
      b,
      lladdr,
      solicited ? NUD_REACHABLE : NUD_STALE,
      override ? NEIGH_UPDATE_F_OVERRIDE : NEIGH_UPDATE_F_WEAK_OVERRIDE,
    );
  }
  consume_skb(k, skb);
}

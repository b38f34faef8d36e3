// Software segmentation of TCP GSO packets (skb_segment, tcp4_gso_segment, inet_gso_segment, and
// tcp6_gso_segment, ipv6_gso_segment for packets without extension headers).

import type { Skb } from "../bpf/skb.js";
import { csum_fold, csum_partial, csum_pseudo, ip_send_check } from "./csum.js";
import { csum_ipv6_magic } from "./ipv6/icmpv6.js";
import type { Kernel } from "./kernel.js";
import { alloc_skb, consume_skb, copy_skb_header } from "./skbuff.js";

/**
 * Cuts a TCP packet (link-layer header in front or not) into segments of gsoSize, linked by `next`. Takes the
 * packet. IPv4 ids count on; PSH and FIN stay on the last segment only, CWR on the first.
 */
export function skb_gso_segment(k: Kernel, skb: Skb): Skb | null {
  const n = skb.network;
  const b = skb.bytes;
  const v = skb.view;
  const v6 = b[n]! >> 4 === 6;
  const hlen = v6 ? 40 : (b[n]! & 15) * 4;
  const l4 = n + hlen;
  const thlen = (b[l4 + 12]! >> 4) * 4;
  const head = l4 + thlen - skb.data;
  const total = skb.tail - (l4 + thlen);
  const mss = skb.gsoSize;
  const id = v.getUint16(n + 4, false);
  const seq = v.getInt32(l4 + 4, false);
  const flags = b[l4 + 13]!;
  let first: Skb | null = null;
  let last: Skb | null = null;
  let off = 0;
  let i = 0;
  do {
    const len = Math.min(mss, total - off);
    const s = alloc_skb(k);
    copy_skb_header(s, skb);
    s.gsoSize = 0;
    s.ensure(s.data + head + len);
    const d = s.data;
    s.tail = d + head + len;
    s.network = d + (n - skb.data);
    s.mac = skb.mac < 0 ? -1 : d + (skb.mac - skb.data);
    const to = s.bytes;
    for (let j = 0; j < head; j++) to[d + j] = b[skb.data + j]!;
    const from = l4 + thlen + off;
    for (let j = 0; j < len; j++) to[d + head + j] = b[from + j]!;
    const sn = s.network;
    const st = sn + hlen;
    const isLast = off + len >= total;
    if (v6) s.view.setUint16(sn + 4, thlen + len, false);
    else {
      s.view.setUint16(sn + 2, hlen + thlen + len, false);
      s.view.setUint16(sn + 4, (id + i) & 0xffff, false);
      ip_send_check(s, sn);
    }
    s.view.setInt32(st + 4, (seq + off) | 0, false);
    let fl = flags;
    if (!isLast) fl &= ~9;
    if (i > 0) fl &= ~0x80;
    to[st + 13] = fl;
    s.view.setUint16(st + 16, 0, false);
    const tl = thlen + len;
    const sum = v6
      ? csum_ipv6_magic(s, sn, 6, st, tl)
      : csum_fold(csum_partial(to, st, tl, csum_pseudo(s, sn, 6, tl)));
    s.view.setUint16(st + 16, sum, false);
    if (last === null) first = s;
    else last.next = s;
    last = s;
    off += len;
    i++;
  } while (off < total);
  consume_skb(k, skb);
  return first;
}

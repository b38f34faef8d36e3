// net/ipv4/esp4.c, xfrm4_output.c and xfrm_input.c: ESP in tunnel mode with AES-GCM (RFC 4303, RFC 4106).
//
//   outer IPv4 | SPI 4 | sequence 4 | IV 8 | inner packet, padding, its length 1, next header 1 | ICV 16
//
// Extended sequence numbers: the upper half is authenticated but not sent. It is always 0 here, where nobody sends 2^32
// packets.

import { PACKET_HOST, type Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { netif_rx } from "../dev.js";
import type { NetDevice } from "../device.js";
import * as R from "../drop_reason.js";
import { ETH_P_IP } from "../eth.js";
import { ip_build_header, ip_local_out, ip_select_ident } from "../ip_output.js";
import { ecn_decapsulate, ecn_encapsulate, tunnel_route_output } from "../ip_tunnel_core.js";
import { NF_ACCEPT, NF_DROP, NF_INET_POST_ROUTING, nf_hook, nf_reset_ct } from "../netfilter/hooks.js";
import type { Netns } from "../netns.js";
import { flowOut, type Rtable } from "../route.js";
import { kfree_skb_reason } from "../skbuff.js";
import type { XfrmState } from "./xfrm.js";

export const IPPROTO_ESP = 50;
const IPPROTO_IPIP = 4;
const HEADER_LEN = 8;
const IV_LEN = 8;
const ICV_LEN = 16;

/** SPI and both halves of the sequence number. */
const aad = new Uint8Array(12);
const aadView = new DataView(aad.buffer);

function authenticated(spi: number, seq: number): void {
  aadView.setUint32(0, spi, false);
  aadView.setUint32(4, 0, false);
  aadView.setUint32(8, seq, false);
}

/**
 * xfrm4_output: a packet that a policy chose, IP header at skb.network, routed by `rt`. POSTROUTING sees it as it was; the ESP
 * packet then leaves as one made here.
 */
export function xfrm4_output(ns: Netns, skb: Skb, x: XfrmState, rt: Rtable): void {
  const verdict = nf_hook(ns, NF_INET_POST_ROUTING, skb, skb.dev as NetDevice, rt.dev);
  if (verdict !== NF_ACCEPT) {
    if (verdict === NF_DROP) kfree_skb_reason(ns, skb, R.NETFILTER_DROP);
    return;
  }
  const mark = x.markAfter(skb.mark);
  const f = flowOut(ns);
  f.daddr = x.dst;
  f.saddr = x.src;
  f.mark = mark;
  f.proto = IPPROTO_ESP;
  const outer = tunnel_route_output(ns, skb, f);
  if (outer === null) {
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const n = skb.network;
  const b = skb.bytes;
  const tos = b[n + 1]!;
  const df = (b[n + 6]! & 0x40) !== 0;
  skb.data = n;
  esp_output(skb, x);
  nf_reset_ct(skb);
  skb.mark = mark;
  skb.dst = outer;
  skb.ipcb = 0;
  skb.fragMaxSize = 0;
  skb.data -= 20;
  skb.network = skb.data;
  ip_build_header(
    skb,
    skb.data,
    ecn_encapsulate(tos, tos),
    ip_select_ident(ns, x.dst, x.src, IPPROTO_ESP),
    df,
    ns.sysctl.ip_default_ttl,
    IPPROTO_ESP,
    x.src,
    x.dst,
  );
  if (ns.recorder !== null) ns.recorder.step(Step.ENCAP, skb, skb.dev, x.spi, 0, 0);
  ip_local_out(ns, skb);
}

/** esp_output of the packet at skb.data: trailer, encryption, header. */
function esp_output(skb: Skb, x: XfrmState): void {
  const n = skb.data;
  const len = skb.tail - n;
  const clen = (len + 2 + 3) & ~3;
  skb.put(clen - len + ICV_LEN);
  const b = skb.bytes;
  const v = skb.view;
  const pad = clen - len - 2;
  for (let i = 0; i < pad; i++) b[n + len + i] = i + 1;
  b[n + clen - 2] = pad;
  b[n + clen - 1] = IPPROTO_IPIP;
  const seq = ++x.seq;
  const iv0 = x.ivSalt[0];
  const iv1 = x.ivSalt[1] ^ seq;
  authenticated(x.spi, seq);
  x.aead.seal(b, n, clen, x.salt, iv0, iv1, aad, 0, aad.length);
  const d = n - HEADER_LEN - IV_LEN;
  v.setUint32(d, x.spi, false);
  v.setUint32(d + 4, seq, false);
  v.setInt32(d + 8, iv0, false);
  v.setInt32(d + 12, iv1, false);
  skb.data = d;
  x.packets++;
  x.bytes += len;
}

/** xfrm4_rcv and esp_input: `skb.data` is the ESP header. What was inside is received again on the same device. */
export function xfrm4_rcv(ns: Netns, skb: Skb): void {
  const xfrm = ns.xfrm!;
  const o = skb.network;
  const d = skb.data;
  const v = skb.view;
  const b = skb.bytes;
  const clen = skb.tail - d - HEADER_LEN - IV_LEN - ICV_LEN;
  if (clen < 2 || (clen & 3) !== 0) {
    xfrm.stats.inStateProtoError++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const spi = v.getUint32(d, false);
  const seq = v.getUint32(d + 4, false);
  const x = xfrm.lookupIn(skb.mark, v.getInt32(o + 16, true), spi);
  if (x === null) {
    xfrm.stats.inNoStates++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  if (!x.replay.check(seq)) {
    xfrm.stats.inStateSeqError++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  const body = d + HEADER_LEN + IV_LEN;
  authenticated(spi, seq);
  const opened = x.aead.open(
    b,
    body,
    clen,
    x.salt,
    v.getInt32(d + 8, false),
    v.getInt32(d + 12, false),
    aad,
    0,
    aad.length,
  );
  const pad = opened ? b[body + clen - 2]! : 0;
  const len = clen - 2 - pad;
  if (!opened || b[body + clen - 1] !== IPPROTO_IPIP || len < 20) {
    xfrm.stats.inStateProtoError++;
    kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
    return;
  }
  x.replay.validate(seq);
  x.packets++;
  x.bytes += len;
  const outerTos = b[o + 1]!;
  // skb_mac_header_rebuild: the frame's own header moves in front of the inner packet.
  const dev = skb.dev as NetDevice;
  const l2 = dev.hardHeaderLen;
  const mac = skb.mac;
  for (let i = l2 - 1; i >= 0; i--) b[body - l2 + i] = b[mac + i]!;
  skb.mac = body - l2;
  skb.data = body;
  skb.network = body;
  skb.tail = body + len;
  skb.protocol = ETH_P_IP;
  skb.pktType = PACKET_HOST;
  skb.mark = x.markAfter(skb.mark);
  skb.ipcb = 0;
  skb.dst = null;
  nf_reset_ct(skb);
  ecn_decapsulate(skb, body, ETH_P_IP, outerTos);
  if (ns.recorder !== null) ns.recorder.step(Step.DECAP, skb, dev, spi, 0, 0);
  netif_rx(skb);
}

// drivers/net/wireguard/device.c and receive.c: the WireGuard device. A packet sent through it goes to the peer whose
// allowed IPs hold its destination, encrypted, in UDP; one that a peer sent is decrypted, must have a source that the
// peer's allowed IPs hold, and is received on the device. There is no link-layer header and nothing to resolve.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { netif_rx } from "../dev.js";
import {
  ARPHRD_NONE,
  IFF_NOARP,
  IFF_POINTOPOINT,
  NetDevice,
  RX_BYTES,
  RX_ERRORS,
  RX_FRAME_ERRORS,
  RX_PACKETS,
  TX_DROPPED,
  TX_ERRORS,
} from "../device.js";
import * as R from "../drop_reason.js";
import { ETH_P_IP, ETH_P_IPV6 } from "../eth.js";
import { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, icmp_send } from "../icmp.js";
import { ecn_decapsulate } from "../ip_tunnel_core.js";
import type { Netns } from "../netns.js";
import { dst_mtu, type Rtable } from "../route.js";
import { consume_skb, kfree_skb_reason, skb_scrub_packet, skb_set_dev } from "../skbuff.js";
import type { UdpTunnel } from "../sock.js";
import { AllowedIps } from "./allowedips.js";
import {
  COOKIE_LEN,
  DATA_HEADER_LEN,
  DATA_MIN_LEN,
  INITIATION_LEN,
  MESSAGE_DATA,
  MESSAGE_HANDSHAKE_COOKIE,
  MESSAGE_HANDSHAKE_INITIATION,
  MESSAGE_HANDSHAKE_RESPONSE,
  OFF_DATA_COUNTER,
  OFF_DATA_RECEIVER,
  OFF_INIT_MAC1,
  OFF_RESP_MAC1,
  OFF_RESP_RECEIVER,
  REJECT_AFTER_TIME,
  RESPONSE_LEN,
} from "./messages.js";
import { type Keypair, openInitiation, type StaticIdentity, validMac1 } from "./noise.js";
import { messageDataLen, type PeerOptions, WireguardPeer } from "./peer.js";

const TAG_LEN = 16;

export interface WireguardOptions {
  readonly identity: StaticIdentity;
  /** UDP port of the device's socket. */
  readonly listenPort: number;
  /** Mark of the encrypted packets; 0 = none. */
  readonly fwmark?: number;
  /** 1420 leaves room on a link of 1500 with IPv6 outside. */
  readonly mtu?: number;
}

export class WireguardDevice extends NetDevice implements UdpTunnel {
  override readonly kind = "wireguard";
  readonly identity: StaticIdentity;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: WireguardPeer[] = [];
  readonly allowedIps = new AllowedIps<WireguardPeer>();
  /** wg->peer_hashtable, by the hexadecimal public key. */
  readonly #byKey = new Map<string, WireguardPeer>();
  /** wg->index_hashtable: handshakes in progress and sessions, by this side's index. */
  readonly #handshakes = new Map<number, WireguardPeer>();
  readonly #sessions = new Map<number, Keypair<WireguardPeer>>();

  constructor(ns: Netns, name: string, o: WireguardOptions) {
    super(ns, name);
    this.identity = o.identity;
    this.listenPort = o.listenPort;
    this.fwmark = o.fwmark ?? 0;
    this.mtu = o.mtu ?? 1420;
    this.type = ARPHRD_NONE;
    this.hardHeaderLen = 0;
    this.flags = IFF_POINTOPOINT | IFF_NOARP;
    this.keepDst = true;
  }

  get port(): number {
    return this.listenPort;
  }

  override opened(): void {
    this.ns.sockets.udpTunnels.set(this.listenPort, this);
    for (const p of this.peers) if (p.persistentKeepalive > 0) p.sendKeepalive();
  }

  override stopped(): void {
    if (this.ns.sockets.udpTunnels.get(this.listenPort) === this)
      this.ns.sockets.udpTunnels.delete(this.listenPort);
    for (const p of this.peers) p.stop();
  }

  /** `wg set DEV peer KEY endpoint A:P`. */
  addPeer(o: PeerOptions): WireguardPeer {
    const peer = new WireguardPeer(this, o);
    this.peers.push(peer);
    this.#byKey.set(keyText(o.publicKey), peer);
    return peer;
  }

  /** `wg set DEV peer KEY allowed-ips PREFIX`: 4 or 16 bytes of address. */
  allow(peer: WireguardPeer, address: Uint8Array, bits: number): void {
    this.allowedIps.insert(address, bits, peer);
  }

  // --- what a peer needs of the device ---------------------------------------------------------------------------------

  /** wg_index_hashtable_insert: a free index for a handshake of this peer, whose earlier one is given back. */
  newIndex(peer: WireguardPeer): number {
    const old = peer.handshake.localIndex;
    if (this.#handshakes.get(old) === peer) this.#handshakes.delete(old);
    for (;;) {
      const index = this.ns.kernel.prng.nextInt32() >>> 0;
      if (this.#handshakes.has(index) || this.#sessions.has(index)) continue;
      this.#handshakes.set(index, peer);
      return index;
    }
  }

  addKeypair(pair: Keypair<WireguardPeer>): void {
    this.#handshakes.delete(pair.localIndex);
    this.#sessions.set(pair.localIndex, pair);
  }

  removeKeypair(pair: Keypair<WireguardPeer>): void {
    this.#sessions.delete(pair.localIndex);
  }

  countDropped(): void {
    this.stats[TX_DROPPED]!++;
  }

  // --- transmission -----------------------------------------------------------------------------------------------------

  /** wg_xmit. */
  override xmit(skb: Skb): number {
    const ns = this.ns;
    const n = skb.data;
    const version = skb.tail === n ? 0 : skb.bytes[n]! >> 4;
    if (skb.protocol !== (version === 4 ? ETH_P_IP : version === 6 ? ETH_P_IPV6 : -1)) {
      this.stats[TX_ERRORS]!++;
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    skb.network = n;
    const peer = this.allowedIps.lookupDst(skb.bytes, n);
    if (peer === null || peer.endpoint === 0) {
      this.stats[TX_ERRORS]!++;
      if (version === 4) icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return 0;
    }
    const rt = skb.dst as Rtable | null;
    const mtu = rt === null ? this.mtu : dst_mtu(ns, rt);
    skb.dst = null;
    peer.stage(skb, mtu);
    peer.sendStaged();
    return 0;
  }

  // --- reception --------------------------------------------------------------------------------------------------------

  /** wg_packet_receive: `skb.data` is the UDP header, `skb.network` the outer IP header. Takes every packet. */
  udpRcv(ns: Netns, skb: Skb): boolean {
    const h = skb.data + 8;
    const len = skb.tail - h;
    const type = len < 4 ? 0 : skb.view.getUint32(h, true);
    if (type === MESSAGE_DATA && len >= DATA_MIN_LEN) {
      this.#consumeData(skb, h, len);
      return true;
    }
    const handshake =
      (type === MESSAGE_HANDSHAKE_INITIATION && len === INITIATION_LEN) ||
      (type === MESSAGE_HANDSHAKE_RESPONSE && len === RESPONSE_LEN) ||
      (type === MESSAGE_HANDSHAKE_COOKIE && len === COOKIE_LEN);
    if (!handshake || !this.#consumeHandshake(skb, h, len, type)) {
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return true;
    }
    return true;
  }

  /** wg_receive_handshake_packet: true if the message was right; it is gone then. */
  #consumeHandshake(skb: Skb, h: number, len: number, type: number): boolean {
    if (type === MESSAGE_HANDSHAKE_COOKIE) return false;
    const ns = this.ns;
    const now = ns.kernel.clock.ns;
    const initiation = type === MESSAGE_HANDSHAKE_INITIATION;
    const message = skb.bytes.slice(h, h + len);
    if (!validMac1(this.identity, message, initiation ? OFF_INIT_MAC1 : OFF_RESP_MAC1)) return false;
    let peer: WireguardPeer | undefined;
    if (initiation) {
      const opened = openInitiation(this.identity, message);
      if (opened === null) return false;
      peer = this.#byKey.get(keyText(opened.remoteStatic));
      if (peer === undefined || !peer.handshake.acceptInitiation(opened, message, now)) return false;
    } else {
      peer = this.#handshakes.get(skb.view.getUint32(h + OFF_RESP_RECEIVER, true));
      if (peer === undefined || !peer.handshake.consumeResponse(message)) return false;
    }
    this.#endpointFrom(peer, skb);
    peer.rxBytes += len;
    this.stats[RX_PACKETS]!++;
    this.stats[RX_BYTES]! += len;
    if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, this, 17, 0, 0);
    consume_skb(ns.kernel, skb);
    if (initiation) peer.sendResponse();
    else if (peer.beginSession()) {
      peer.handshakeComplete();
      // Confirms the session: with what waits, else with a keepalive.
      peer.sendKeepalive();
    }
    peer.authenticatedReceived();
    return true;
  }

  #endpointFrom(peer: WireguardPeer, skb: Skb): void {
    const v = skb.view;
    const o = skb.network;
    peer.calledFrom(v.getInt32(o + 12, true), v.getUint16(skb.data, false), v.getInt32(o + 16, true));
  }

  /** wg_packet_consume_data, decrypt_packet and wg_packet_rx_poll. */
  #consumeData(skb: Skb, h: number, len: number): void {
    const ns = this.ns;
    const v = skb.view;
    const pair = this.#sessions.get(v.getUint32(h + OFF_DATA_RECEIVER, true));
    const lo = v.getUint32(h + OFF_DATA_COUNTER, true);
    const hi = v.getUint32(h + OFF_DATA_COUNTER + 4, true);
    const body = h + DATA_HEADER_LEN;
    const plain = len - DATA_MIN_LEN;
    if (
      pair === undefined ||
      ns.kernel.clock.ns >= pair.receiving.birthNs + REJECT_AFTER_TIME ||
      !pair.receiving.aead.open(skb.bytes, body, plain, 0, lo, hi) ||
      !pair.replay.validate(hi * 0x1_0000_0000 + lo)
    ) {
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return;
    }
    const peer = pair.peer;
    const outerTos = skb.bytes[skb.network + 1]!;
    this.#endpointFrom(peer, skb);
    if (peer.receivedWith(pair)) {
      peer.handshakeComplete();
      peer.sendStaged();
    }
    peer.keepKeyFreshReceiving();
    peer.authenticatedReceived();
    skb.data = body;
    skb.tail -= TAG_LEN;
    skb_scrub_packet(skb, true);
    skb.hash = 0;
    if (plain === 0) {
      this.#received(peer, 0);
      if (ns.recorder !== null) ns.recorder.step(Step.DELIVER, skb, this, 17, 0, 0);
      consume_skb(ns.kernel, skb);
      return;
    }
    peer.dataReceived();
    skb_set_dev(skb, this);
    skb.mac = body;
    skb.network = body;
    const total = ipLength(skb, body, plain);
    if (
      total === 0 ||
      ecn_decapsulate(skb, body, skb.protocol, outerTos) > 1 ||
      this.allowedIps.lookupSrc(skb.bytes, body) !== peer
    ) {
      this.stats[RX_ERRORS]!++;
      this.stats[RX_FRAME_ERRORS]!++;
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return;
    }
    skb.tail = body + total;
    this.#received(peer, plain);
    if (ns.recorder !== null) ns.recorder.step(Step.DECAP, skb, this, pair.localIndex, 0, 0);
    netif_rx(skb);
  }

  /** update_rx_stats. */
  #received(peer: WireguardPeer, plain: number): void {
    const len = messageDataLen(plain);
    peer.rxBytes += len;
    this.stats[RX_PACKETS]!++;
    this.stats[RX_BYTES]! += len;
  }
}

/** Sets skb.protocol from the IP version and gives the length that the header says; 0 if the packet is none. */
function ipLength(skb: Skb, n: number, len: number): number {
  const version = skb.bytes[n]! >> 4;
  let total = 0;
  if (version === 4 && len >= 20) {
    skb.protocol = ETH_P_IP;
    total = skb.view.getUint16(n + 2, false);
    if (total < 20) return 0;
  } else if (version === 6 && len >= 40) {
    skb.protocol = ETH_P_IPV6;
    total = skb.view.getUint16(n + 4, false) + 40;
  }
  return total > len ? 0 : total;
}

function keyText(key: Uint8Array): string {
  return Array.from(key, (x) => x.toString(16).padStart(2, "0")).join("");
}

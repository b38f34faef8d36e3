// drivers/net/wireguard/peer.c, send.c and timers.c: a peer, its sessions, the packets that wait for one, and the timers
// that start handshakes and keepalives by themselves.
//
//   packet -> staged -> (no session: initiation, response) -> encrypted -> UDP
//
// The kernel encrypts on all CPUs and sends in order from a work queue; here both happen at once.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import * as R from "../drop_reason.js";
import { ecn_encapsulate, inner_tos, tunnel_route_output, udp_tunnel_xmit } from "../ip_tunnel_core.js";
import { flowOut } from "../route.js";
import { alloc_local_skb, kfree_skb_reason, skb_scrub_packet, skb_set_dev } from "../skbuff.js";
import type { WireguardDevice } from "./device.js";
import {
  DATA_HEADER_LEN,
  DATA_MIN_LEN,
  HANDSHAKE_DSCP,
  KEEPALIVE_TIMEOUT,
  MAX_STAGED_PACKETS,
  MAX_TIMER_HANDSHAKES,
  MESSAGE_DATA,
  MESSAGE_PADDING_MULTIPLE,
  OFF_DATA_COUNTER,
  OFF_DATA_RECEIVER,
  REJECT_AFTER_TIME,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER_MAX,
} from "./messages.js";
import { Handshake, type Keypair } from "./noise.js";
import { MovingTimer } from "./timer.js";

const TAG_LEN = 16;

export interface PeerOptions {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Be32; 0 = not known until it calls. */
  readonly endpoint: number;
  readonly port: number;
  /** Seconds; 0 = off. */
  readonly persistentKeepalive?: number;
}

export class WireguardPeer {
  readonly publicKey: Uint8Array;
  readonly handshake: Handshake;
  /** Where it is reached, Be32 and port, and the local address it last called (0: by route). */
  endpoint: number;
  port: number;
  source = 0;
  readonly persistentKeepalive: number;

  current: Keypair<WireguardPeer> | null = null;
  previous: Keypair<WireguardPeer> | null = null;
  /** A responder's new session: used for sending once the initiator has shown that it has it too. */
  next: Keypair<WireguardPeer> | null = null;

  rxBytes = 0;
  txBytes = 0;
  /** Of the last finished handshake, virtual time in ns; -1 = never. */
  lastHandshakeNs = -1;

  #head: Skb | null = null;
  #tail: Skb | null = null;
  #staged = 0;
  #lastSentHandshakeNs = Number.NEGATIVE_INFINITY;
  #attempts = 0;
  #needAnotherKeepalive = false;
  /** The key nearly too old to receive with was noticed: one handshake is enough. */
  #sentLastMinuteHandshake = false;
  readonly #retransmit: MovingTimer;
  readonly #keepalive: MovingTimer;
  readonly #newHandshake: MovingTimer;
  readonly #zeroKeys: MovingTimer;
  readonly #persistent: MovingTimer;

  constructor(
    readonly device: WireguardDevice,
    o: PeerOptions,
  ) {
    const k = device.ns.kernel;
    this.publicKey = o.publicKey;
    this.endpoint = o.endpoint;
    this.port = o.port;
    this.persistentKeepalive = o.persistentKeepalive ?? 0;
    this.handshake = new Handshake(device.identity, o.publicKey, k.prng);
    this.#retransmit = new MovingTimer(k, () => this.#expiredRetransmit());
    this.#keepalive = new MovingTimer(k, () => this.#expiredKeepalive());
    this.#newHandshake = new MovingTimer(k, () => {
      this.source = 0;
      this.sendQueuedInitiation(false);
    });
    this.#zeroKeys = new MovingTimer(k, () => this.clearKeys());
    this.#persistent = new MovingTimer(k, () => this.sendKeepalive());
  }

  // --- sending --------------------------------------------------------------------------------------------------------

  /** The end of wg_xmit: takes a packet whose IP header is at `data`. `mtu`: the route's or the device's. */
  stage(skb: Skb, mtu: number): void {
    skb.cb[0] = mtu;
    skb.next = null;
    if (this.#tail === null) this.#head = skb;
    else this.#tail.next = skb;
    this.#tail = skb;
    if (++this.#staged > MAX_STAGED_PACKETS) {
      kfree_skb_reason(this.device.ns, this.#unstage()!, R.NOT_SPECIFIED);
      this.device.countDropped();
    }
  }

  #unstage(): Skb | null {
    const skb = this.#head;
    if (skb === null) return null;
    this.#head = skb.next;
    if (this.#head === null) this.#tail = null;
    skb.next = null;
    this.#staged--;
    return skb;
  }

  /** wg_packet_send_staged_packets. */
  sendStaged(): void {
    if (this.#head === null) return;
    const pair = this.current;
    if (pair === null || !this.#usable(pair)) {
      this.sendQueuedInitiation(false);
      return;
    }
    for (let skb = this.#unstage(); skb !== null; skb = this.#unstage()) this.#sendData(skb, pair);
  }

  #usable(pair: Keypair<WireguardPeer>): boolean {
    const key = pair.sending;
    if (key.valid && this.#now() >= key.birthNs + REJECT_AFTER_TIME) key.valid = false;
    return key.valid;
  }

  /** encrypt_packet and wg_packet_create_data_done. */
  #sendData(skb: Skb, pair: Keypair<WireguardPeer>): void {
    const n = skb.data;
    const len = skb.tail - n;
    const ds = len === 0 ? 0 : ecn_encapsulate(0, inner_tos(skb, n, skb.protocol));
    const mtu = skb.cb[0]!;
    skb_scrub_packet(skb, true);
    const plain = len + padding(len, mtu);
    skb.put(plain - len + TAG_LEN);
    const counter = pair.sendingCounter++;
    const lo = counter % 0x1_0000_0000;
    const hi = Math.floor(counter / 0x1_0000_0000);
    pair.sending.aead.seal(skb.bytes, n, plain, 0, lo, hi);
    skb.data = n - DATA_HEADER_LEN;
    const v = skb.view;
    const d = skb.data;
    v.setUint32(d, MESSAGE_DATA, true);
    v.setUint32(d + OFF_DATA_RECEIVER, pair.remoteIndex, true);
    v.setUint32(d + OFF_DATA_COUNTER, lo, true);
    v.setUint32(d + OFF_DATA_COUNTER + 4, hi, true);
    this.#traversed();
    this.#authenticatedSent();
    if (this.#sendSkb(skb, ds, plain + TAG_LEN, pair.remoteIndex) && len !== 0) this.#dataSent();
    this.#keepKeyFreshSending();
  }

  /**
   * wg_socket_send_skb_to_peer: the message at `data` as UDP; `receiver` is the session's index, for walks. False if there is
   * no way to the peer.
   */
  #sendSkb(skb: Skb, ds: number, innerLen: number, receiver: number): boolean {
    const dev = this.device;
    const ns = dev.ns;
    if (this.source !== 0 && !ns.fib.isLocalAddr(this.source)) this.source = 0;
    const f = flowOut(ns);
    f.daddr = this.endpoint;
    f.saddr = this.source;
    f.mark = dev.fwmark;
    f.proto = 17;
    f.sport = dev.listenPort;
    f.dport = this.port;
    const rt = this.endpoint === 0 ? null : tunnel_route_output(ns, skb, f);
    if (rt === null || rt.dev === dev) {
      kfree_skb_reason(ns, skb, R.NOT_SPECIFIED);
      return false;
    }
    this.txBytes += skb.tail - skb.data;
    skb_set_dev(skb, dev);
    skb.mark = dev.fwmark;
    udp_tunnel_xmit(
      dev,
      rt,
      skb,
      f.saddr,
      this.endpoint,
      ds,
      ns.sysctl.ip_default_ttl,
      false,
      dev.listenPort,
      this.port,
      true,
      innerLen,
      receiver,
    );
    return true;
  }

  /** wg_socket_send_buffer_to_peer: a handshake message. */
  #sendBuffer(message: Uint8Array): void {
    const ns = this.device.ns;
    const skb = alloc_local_skb(ns);
    const d = skb.data;
    skb.put(message.length);
    skb.bytes.set(message, d);
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this.device, 17, 0, 0);
    this.#sendSkb(skb, HANDSHAKE_DSCP, message.length, 0);
  }

  /** wg_packet_send_keepalive: an empty packet, unless there are real ones waiting. */
  sendKeepalive(): void {
    if (this.#head === null) {
      const ns = this.device.ns;
      const skb = alloc_local_skb(ns);
      if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this.device, 17, 0, 0);
      this.stage(skb, this.device.mtu);
    }
    this.sendStaged();
  }

  /** wg_packet_send_queued_handshake_initiation: at most one every five seconds. */
  sendQueuedInitiation(retry: boolean): void {
    if (!retry) this.#attempts = 0;
    const now = this.#now();
    if (now < this.#lastSentHandshakeNs + REKEY_TIMEOUT) return;
    this.#lastSentHandshakeNs = now;
    const index = this.device.newIndex(this);
    const message = this.handshake.createInitiation(index, now);
    this.#traversed();
    this.#authenticatedSent();
    this.#sendBuffer(message);
    this.#retransmit.mod(REKEY_TIMEOUT + this.#jitter());
  }

  /** wg_packet_send_handshake_response. */
  sendResponse(): void {
    this.#lastSentHandshakeNs = this.#now();
    const message = this.handshake.createResponse(this.device.newIndex(this));
    if (!this.beginSession()) return;
    this.#traversed();
    this.#authenticatedSent();
    this.#sendBuffer(message);
  }

  // --- sessions -------------------------------------------------------------------------------------------------------

  /** wg_noise_handshake_begin_session and add_new_keypair. */
  beginSession(): boolean {
    const pair = this.handshake.beginSession<WireguardPeer>(this, this.#now());
    if (pair === null) return false;
    this.device.addKeypair(pair);
    if (pair.initiator) {
      if (this.next !== null) {
        this.#drop(this.current);
        this.#drop(this.previous);
        this.previous = this.next;
        this.next = null;
      } else {
        this.#drop(this.previous);
        this.previous = this.current;
      }
      this.current = pair;
    } else {
      this.#drop(this.next);
      this.#drop(this.previous);
      this.next = pair;
      this.previous = null;
    }
    this.#zeroKeys.mod(REJECT_AFTER_TIME * 3);
    return true;
  }

  /** wg_noise_received_with_keypair: true when this packet confirms the responder's new session. */
  receivedWith(pair: Keypair<WireguardPeer>): boolean {
    if (pair !== this.next) return false;
    this.#drop(this.previous);
    this.previous = this.current;
    this.current = pair;
    this.next = null;
    return true;
  }

  #drop(pair: Keypair<WireguardPeer> | null): void {
    if (pair !== null) this.device.removeKeypair(pair);
  }

  /** wg_noise_handshake_clear and wg_noise_keypairs_clear. */
  clearKeys(): void {
    this.#drop(this.current);
    this.#drop(this.previous);
    this.#drop(this.next);
    this.current = null;
    this.previous = null;
    this.next = null;
  }

  /** The device goes down: timers stop, what waits is freed. */
  stop(): void {
    this.clearKeys();
    for (const t of [this.#retransmit, this.#keepalive, this.#newHandshake, this.#zeroKeys, this.#persistent])
      t.del();
    this.#purge();
  }

  #purge(): void {
    for (let skb = this.#unstage(); skb !== null; skb = this.#unstage()) {
      kfree_skb_reason(this.device.ns, skb, R.NOT_SPECIFIED);
      this.device.countDropped();
    }
  }

  // --- timers ---------------------------------------------------------------------------------------------------------

  #now(): number {
    return this.device.ns.kernel.clock.ns;
  }

  #jitter(): number {
    return this.device.ns.kernel.prng.below(REKEY_TIMEOUT_JITTER_MAX);
  }

  /** wg_expired_retransmit_handshake. */
  #expiredRetransmit(): void {
    if (this.#attempts > MAX_TIMER_HANDSHAKES) {
      this.#keepalive.del();
      this.#purge();
      if (!this.#zeroKeys.pending) this.#zeroKeys.mod(REJECT_AFTER_TIME * 3);
      return;
    }
    this.#attempts++;
    this.source = 0;
    this.sendQueuedInitiation(true);
  }

  /** wg_expired_send_keepalive. */
  #expiredKeepalive(): void {
    this.sendKeepalive();
    if (!this.#needAnotherKeepalive) return;
    this.#needAnotherKeepalive = false;
    this.#keepalive.mod(KEEPALIVE_TIMEOUT);
  }

  /** wg_timers_data_sent: without an answer the peer is taken to have lost its session. */
  #dataSent(): void {
    if (!this.#newHandshake.pending)
      this.#newHandshake.mod(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + this.#jitter());
  }

  /** wg_timers_data_received: without anything to send back, a keepalive tells the peer that it arrived. */
  dataReceived(): void {
    if (!this.#keepalive.pending) this.#keepalive.mod(KEEPALIVE_TIMEOUT);
    else this.#needAnotherKeepalive = true;
  }

  /** wg_timers_any_authenticated_packet_sent. */
  #authenticatedSent(): void {
    this.#keepalive.del();
  }

  /** wg_timers_any_authenticated_packet_received and ..._traversal. */
  authenticatedReceived(): void {
    this.#newHandshake.del();
    this.#traversed();
  }

  /** wg_timers_any_authenticated_packet_traversal. */
  #traversed(): void {
    if (this.persistentKeepalive > 0) this.#persistent.mod(this.persistentKeepalive * 1e9);
  }

  /** wg_timers_handshake_complete. */
  handshakeComplete(): void {
    this.#retransmit.del();
    this.#attempts = 0;
    this.#sentLastMinuteHandshake = false;
    this.lastHandshakeNs = this.#now();
  }

  /** keep_key_fresh() of send.c. */
  #keepKeyFreshSending(): void {
    const pair = this.current;
    if (pair === null || !pair.sending.valid) return;
    if (
      pair.sendingCounter > REKEY_AFTER_MESSAGES ||
      (pair.initiator && this.#now() >= pair.sending.birthNs + REKEY_AFTER_TIME)
    ) {
      this.sendQueuedInitiation(false);
    }
  }

  /** keep_key_fresh() of receive.c: the initiator renews a key that will soon be too old to receive with. */
  keepKeyFreshReceiving(): void {
    const pair = this.current;
    if (this.#sentLastMinuteHandshake || pair === null || !pair.sending.valid || !pair.initiator) return;
    if (this.#now() < pair.sending.birthNs + REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT) return;
    this.#sentLastMinuteHandshake = true;
    this.sendQueuedInitiation(false);
  }

  /** wg_socket_set_peer_endpoint_from_skb: the peer is where its last authenticated message came from. */
  calledFrom(address: number, port: number, source: number): void {
    this.endpoint = address;
    this.port = port;
    this.source = source;
  }
}

/** calculate_skb_padding: to a multiple of 16, but not beyond the MTU. */
function padding(len: number, mtu: number): number {
  const round = (n: number): number => Math.ceil(n / MESSAGE_PADDING_MULTIPLE) * MESSAGE_PADDING_MULTIPLE;
  if (mtu === 0) return round(len) - len;
  const last = len > mtu ? len % mtu : len;
  return Math.min(mtu, round(last)) - last;
}

/** message_data_len: of a message around `plain` bytes. */
export const messageDataLen = (plain: number): number => plain + DATA_MIN_LEN;

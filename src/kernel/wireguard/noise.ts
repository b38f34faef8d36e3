// drivers/net/wireguard/noise.c: the handshake (Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, WireGuard white paper 5.4) and the
// keys that come out of it. The cryptography is the real one; what differs is where randomness comes from: static and
// ephemeral keys and session indexes are drawn from the lab's seeded generator, so that the same lab sends the same
// bytes. Cookies (messages under load) are not modelled: mac2 is always zero.

import { blake2s, hkdfBlake2s } from "../../base/crypto/blake2s.js";
import { ChaCha20Poly1305 } from "../../base/crypto/chacha20poly1305.js";
import { x25519, x25519Public } from "../../base/crypto/x25519.js";
import type { Prng } from "../../base/prng.js";
import { ReplayWindow } from "../replay_window.js";
import {
  INITIATION_LEN,
  INITIATIONS_PER_SECOND,
  MAC_LEN,
  MESSAGE_HANDSHAKE_INITIATION,
  MESSAGE_HANDSHAKE_RESPONSE,
  OFF_INIT_EPHEMERAL,
  OFF_INIT_MAC1,
  OFF_INIT_STATIC,
  OFF_INIT_TIMESTAMP,
  OFF_RESP_EPHEMERAL,
  OFF_RESP_MAC1,
  OFF_RESP_NOTHING,
  OFF_RESP_RECEIVER,
  OFF_SENDER,
  RESPONSE_LEN,
} from "./messages.js";

const KEY_LEN = 32;
const TAG_LEN = 16;
const TIMESTAMP_LEN = 12;
const EMPTY = new Uint8Array(0);

const ascii = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));
const CHAIN = blake2s([ascii("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")]);
const CHAIN_HASH = blake2s([CHAIN, ascii("WireGuard v1 zx2c4 Jason@zx2c4.com")]);
const LABEL_MAC1 = ascii("mac1----");
/** No preshared key is configured: all zeros. */
const NO_PSK = new Uint8Array(KEY_LEN);

/** A static key pair. */
export class StaticIdentity {
  readonly publicKey: Uint8Array;

  constructor(readonly privateKey: Uint8Array) {
    this.publicKey = x25519Public(privateKey);
  }

  static random(prng: Prng): StaticIdentity {
    return new StaticIdentity(randomSecret(prng));
  }
}

function randomSecret(prng: Prng): Uint8Array {
  const k = new Uint8Array(KEY_LEN);
  const v = new DataView(k.buffer);
  for (let i = 0; i < KEY_LEN; i += 4) v.setInt32(i, prng.nextInt32(), true);
  k[0]! &= 248;
  k[31] = (k[31]! & 127) | 64;
  return k;
}

/** One direction of a session. */
export class SessionKey {
  readonly aead: ChaCha20Poly1305;
  valid = true;

  constructor(
    /** 32 bytes, readable so that a capture can be decrypted. */
    readonly key: Uint8Array,
    readonly birthNs: number,
  ) {
    this.aead = new ChaCha20Poly1305(key);
  }
}

/** struct noise_keypair: a session between two peers. Indexes are unsigned 32-bit numbers that the owner chose. */
export class Keypair<P> {
  /** Next counter to send with. */
  sendingCounter = 0;
  readonly replay = new ReplayWindow(COUNTER_BITS);

  constructor(
    readonly peer: P,
    readonly localIndex: number,
    readonly remoteIndex: number,
    readonly sending: SessionKey,
    readonly receiving: SessionKey,
    readonly initiator: boolean,
  ) {}
}

/** COUNTER_BITS_TOTAL. */
const COUNTER_BITS = 8192;

export const HANDSHAKE_ZEROED = 0;
export const HANDSHAKE_CREATED_INITIATION = 1;
export const HANDSHAKE_CONSUMED_INITIATION = 2;
export const HANDSHAKE_CREATED_RESPONSE = 3;
export const HANDSHAKE_CONSUMED_RESPONSE = 4;

/** struct noise_handshake: the state of a handshake with one peer. */
export class Handshake {
  /** HANDSHAKE_*. */
  state = HANDSHAKE_ZEROED;
  localIndex = 0;
  remoteIndex = 0;
  lastInitiationConsumedNs = Number.NEGATIVE_INFINITY;
  #ephemeral: Uint8Array = EMPTY;
  #remoteEphemeral: Uint8Array = EMPTY;
  #hash: Uint8Array = EMPTY;
  #chain: Uint8Array = EMPTY;
  /** DH of the two static keys, made when it is first needed. */
  #staticStatic: Uint8Array | null = null;
  readonly #latestTimestamp = new Uint8Array(TIMESTAMP_LEN);
  readonly #mac1Key: Uint8Array;

  constructor(
    readonly local: StaticIdentity,
    readonly remoteStatic: Uint8Array,
    private readonly prng: Prng,
  ) {
    this.#mac1Key = mac1Key(remoteStatic);
  }

  #sharedStatic(): Uint8Array {
    this.#staticStatic ??= x25519(this.local.privateKey, this.remoteStatic);
    return this.#staticStatic;
  }

  #begin(responder: Uint8Array): void {
    this.#chain = CHAIN;
    this.#hash = blake2s([CHAIN_HASH, responder]);
  }

  #mixHash(data: Uint8Array): void {
    this.#hash = blake2s([this.#hash, data]);
  }

  #mixDh(shared: Uint8Array): Uint8Array {
    const [chain, key] = hkdfBlake2s(this.#chain, shared, 2);
    this.#chain = chain!;
    return key!;
  }

  #mixEphemeral(publicKey: Uint8Array): void {
    this.#mixHash(publicKey);
    this.#chain = hkdfBlake2s(this.#chain, publicKey, 1)[0]!;
  }

  /** message_encrypt: `plain` to `out`, and into the hash. */
  #encrypt(key: Uint8Array, plain: Uint8Array, out: Uint8Array): void {
    out.set(plain);
    new ChaCha20Poly1305(key).seal(out, 0, plain.length, 0, 0, 0, this.#hash);
    this.#mixHash(out);
  }

  /** message_decrypt: null if it was made with another key. */
  #decrypt(key: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const plain = sealed.slice();
    const ok = new ChaCha20Poly1305(key).open(plain, 0, sealed.length - TAG_LEN, 0, 0, 0, this.#hash);
    this.#mixHash(sealed);
    return ok ? plain.subarray(0, sealed.length - TAG_LEN) : null;
  }

  /** wg_noise_handshake_create_initiation: the message, with its mac1. `index` is this side's session index. */
  createInitiation(index: number, nowNs: number): Uint8Array {
    const m = new Uint8Array(INITIATION_LEN);
    const v = new DataView(m.buffer);
    v.setUint32(0, MESSAGE_HANDSHAKE_INITIATION, true);
    v.setUint32(OFF_SENDER, index, true);
    this.#begin(this.remoteStatic);
    this.#ephemeral = randomSecret(this.prng);
    const ephemeral = x25519Public(this.#ephemeral);
    m.set(ephemeral, OFF_INIT_EPHEMERAL);
    this.#mixEphemeral(ephemeral);
    const es = this.#mixDh(x25519(this.#ephemeral, this.remoteStatic));
    this.#encrypt(es, this.local.publicKey, m.subarray(OFF_INIT_STATIC, OFF_INIT_TIMESTAMP));
    const ss = this.#mixDh(this.#sharedStatic());
    this.#encrypt(ss, tai64n(nowNs), m.subarray(OFF_INIT_TIMESTAMP, OFF_INIT_MAC1));
    m.set(blake2s([m.subarray(0, OFF_INIT_MAC1)], MAC_LEN, this.#mac1Key), OFF_INIT_MAC1);
    this.localIndex = index;
    this.state = HANDSHAKE_CREATED_INITIATION;
    return m;
  }

  /**
   * The second half of wg_noise_handshake_consume_initiation, once the sender is known: false for a replayed or a flood of
   * initiations. `opened` is what openInitiation gave.
   */
  acceptInitiation(opened: OpenedInitiation, message: Uint8Array, nowNs: number): boolean {
    this.#chain = opened.chain;
    this.#hash = opened.hash;
    const ss = this.#mixDh(this.#sharedStatic());
    const timestamp = this.#decrypt(ss, message.subarray(OFF_INIT_TIMESTAMP, OFF_INIT_MAC1));
    if (timestamp === null || compare(timestamp, this.#latestTimestamp) <= 0) return false;
    if (nowNs < this.lastInitiationConsumedNs + 1e9 / INITIATIONS_PER_SECOND) return false;
    this.#latestTimestamp.set(timestamp);
    this.lastInitiationConsumedNs = nowNs;
    this.#remoteEphemeral = message.slice(OFF_INIT_EPHEMERAL, OFF_INIT_STATIC);
    this.remoteIndex = new DataView(message.buffer, message.byteOffset).getUint32(OFF_SENDER, true);
    this.state = HANDSHAKE_CONSUMED_INITIATION;
    return true;
  }

  /** wg_noise_handshake_create_response: the message, with its mac1. */
  createResponse(index: number): Uint8Array {
    const m = new Uint8Array(RESPONSE_LEN);
    const v = new DataView(m.buffer);
    v.setUint32(0, MESSAGE_HANDSHAKE_RESPONSE, true);
    v.setUint32(OFF_SENDER, index, true);
    v.setUint32(OFF_RESP_RECEIVER, this.remoteIndex, true);
    this.#ephemeral = randomSecret(this.prng);
    const ephemeral = x25519Public(this.#ephemeral);
    m.set(ephemeral, OFF_RESP_EPHEMERAL);
    this.#mixEphemeral(ephemeral);
    this.#mixDh(x25519(this.#ephemeral, this.#remoteEphemeral));
    this.#mixDh(x25519(this.#ephemeral, this.remoteStatic));
    this.#encrypt(this.#mixPsk(), EMPTY, m.subarray(OFF_RESP_NOTHING, OFF_RESP_MAC1));
    m.set(blake2s([m.subarray(0, OFF_RESP_MAC1)], MAC_LEN, this.#mac1Key), OFF_RESP_MAC1);
    this.localIndex = index;
    this.state = HANDSHAKE_CREATED_RESPONSE;
    return m;
  }

  #mixPsk(): Uint8Array {
    const [chain, hash, key] = hkdfBlake2s(this.#chain, NO_PSK, 3);
    this.#chain = chain!;
    this.#mixHash(hash!);
    return key!;
  }

  /** wg_noise_handshake_consume_response: false if it does not answer this handshake. */
  consumeResponse(message: Uint8Array): boolean {
    if (this.state !== HANDSHAKE_CREATED_INITIATION) return false;
    const chain = this.#chain;
    const hash = this.#hash;
    const ephemeral = message.slice(OFF_RESP_EPHEMERAL, OFF_RESP_NOTHING);
    this.#mixEphemeral(ephemeral);
    this.#mixDh(x25519(this.#ephemeral, ephemeral));
    this.#mixDh(x25519(this.local.privateKey, ephemeral));
    if (this.#decrypt(this.#mixPsk(), message.subarray(OFF_RESP_NOTHING, OFF_RESP_MAC1)) === null) {
      this.#chain = chain;
      this.#hash = hash;
      return false;
    }
    this.#remoteEphemeral = ephemeral;
    this.remoteIndex = new DataView(message.buffer, message.byteOffset).getUint32(OFF_SENDER, true);
    this.state = HANDSHAKE_CONSUMED_RESPONSE;
    return true;
  }

  /** wg_noise_handshake_begin_session: the session's keys, or null when there is no finished handshake. */
  beginSession<P>(peer: P, nowNs: number): Keypair<P> | null {
    if (this.state !== HANDSHAKE_CREATED_RESPONSE && this.state !== HANDSHAKE_CONSUMED_RESPONSE) return null;
    const initiator = this.state === HANDSHAKE_CONSUMED_RESPONSE;
    const [first, second] = hkdfBlake2s(this.#chain, EMPTY, 2);
    const sending = new SessionKey(initiator ? first! : second!, nowNs);
    const receiving = new SessionKey(initiator ? second! : first!, nowNs);
    this.state = HANDSHAKE_ZEROED;
    return new Keypair(peer, this.localIndex, this.remoteIndex, sending, receiving, initiator);
  }
}

/** What the responder reads before it knows who calls. */
export interface OpenedInitiation {
  readonly remoteStatic: Uint8Array;
  readonly chain: Uint8Array;
  readonly hash: Uint8Array;
}

/** The first half of wg_noise_handshake_consume_initiation: the caller's static key, or null. */
export function openInitiation(local: StaticIdentity, message: Uint8Array): OpenedInitiation | null {
  let hash = blake2s([CHAIN_HASH, local.publicKey]);
  const ephemeral = message.slice(OFF_INIT_EPHEMERAL, OFF_INIT_STATIC);
  hash = blake2s([hash, ephemeral]);
  const first = hkdfBlake2s(CHAIN, ephemeral, 1)[0]!;
  const [chain, key] = hkdfBlake2s(first, x25519(local.privateKey, ephemeral), 2);
  const sealed = message.slice(OFF_INIT_STATIC, OFF_INIT_TIMESTAMP);
  const plain = sealed.slice();
  if (!new ChaCha20Poly1305(key!).open(plain, 0, KEY_LEN, 0, 0, 0, hash)) return null;
  return {
    remoteStatic: plain.subarray(0, KEY_LEN),
    chain: chain!,
    hash: blake2s([hash, sealed]),
  };
}

/** wg_cookie_validate_packet as far as it goes here: mac1 is made with this device's public key. */
export function validMac1(local: StaticIdentity, message: Uint8Array, off: number): boolean {
  const mac = blake2s([message.subarray(0, off)], MAC_LEN, mac1Key(local.publicKey));
  return compare(mac, message.subarray(off, off + MAC_LEN)) === 0;
}

function mac1Key(publicKey: Uint8Array): Uint8Array {
  return blake2s([LABEL_MAC1, publicKey]);
}

/** tai64n_now: seconds since 1970 in TAI and nanoseconds cut to what the initiation rate needs, big-endian. */
function tai64n(nowNs: number): Uint8Array {
  const out = new Uint8Array(TIMESTAMP_LEN);
  const v = new DataView(out.buffer);
  const sec = Math.floor(nowNs / 1e9);
  v.setBigUint64(0, 0x400000000000000an + BigInt(sec), false);
  // The largest power of two below a fiftieth of a second.
  const grain = 1 << 24;
  v.setUint32(8, Math.floor((nowNs - sec * 1e9) / grain) * grain, false);
  return out;
}

/** memcmp. */
function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

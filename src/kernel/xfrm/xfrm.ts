// net/xfrm: IPsec's states (what is done to packets) and policies (which packets it is done to), as far as ESP in tunnel
// mode between IPv4 hosts needs them. Packets are chosen by mark and addresses where they are forwarded. Not modelled:
// policies for packets made here, transport mode, the checks that inbound policies make, key exchange, lifetimes.

import { AesGcm } from "../../base/crypto/aes_gcm.js";
import type { Skb } from "../../bpf/skb.js";
import { ReplayWindow } from "../replay_window.js";

/** A mark under a mask. */
export interface XfrmMark {
  readonly v: number;
  readonly m: number;
}

const REPLAY_WINDOW = 1024;

export interface XfrmStateOptions {
  /** Ends of the tunnel, Be32. */
  readonly src: number;
  readonly dst: number;
  /** Host order. */
  readonly spi: number;
  readonly mark: XfrmMark;
  /** What the packet's mark becomes under the mask. */
  readonly outputMark: XfrmMark;
  /** rfc4106(gcm(aes)): 16 or 32 bytes of key and 4 of salt. */
  readonly key: Uint8Array;
  /** Eight bytes that the sender's IVs are made different with (crypto/seqiv.c), as two words. */
  readonly ivSalt: readonly [number, number];
}

/** struct xfrm_state: one direction of an ESP tunnel, AES-GCM with ICVs of 16 bytes, extended sequence numbers. */
export class XfrmState {
  readonly src: number;
  readonly dst: number;
  readonly spi: number;
  readonly mark: XfrmMark;
  readonly outputMark: XfrmMark;
  readonly aead: AesGcm;
  /** First word of every nonce. */
  readonly salt: number;
  readonly ivSalt: readonly [number, number];
  /** Sequence number of the last packet sent. */
  seq = 0;
  readonly replay = new ReplayWindow(REPLAY_WINDOW);
  packets = 0;
  bytes = 0;

  constructor(o: XfrmStateOptions) {
    this.src = o.src;
    this.dst = o.dst;
    this.spi = o.spi;
    this.mark = o.mark;
    this.outputMark = o.outputMark;
    const n = o.key.length - 4;
    this.aead = new AesGcm(o.key.slice(0, n));
    this.salt = new DataView(o.key.buffer, o.key.byteOffset).getInt32(n, false);
    this.ivSalt = o.ivSalt;
  }

  /** xfrm_smark_get. */
  markAfter(mark: number): number {
    const { v, m } = this.outputMark;
    return (v & m) | (mark & ~m);
  }

  /** xfrm_state_mtu and esp's part of it: how long a packet may be whose ESP packet is `mtu` bytes. */
  innerMtu(mtu: number): number {
    return ((mtu - ESP_OVERHEAD) & ~3) - 2;
  }
}

/** Outer IPv4 header, SPI and sequence number, IV, ICV. */
const ESP_OVERHEAD = 20 + 8 + 8 + 16;

/** An outbound policy. Addresses are Be32. */
export interface XfrmPolicy {
  readonly src: number;
  readonly srcMask: number;
  readonly dst: number;
  readonly dstMask: number;
  readonly mark: XfrmMark;
  /** Lower comes first. */
  readonly priority: number;
  /** The tunnel that packets go through; null: they are dropped. */
  readonly template: { readonly src: number; readonly dst: number; readonly spi: number } | null;
}

const matches = (mark: number, m: XfrmMark): boolean => ((mark ^ m.v) & m.m) === 0;

/** struct netns_xfrm. */
export class Xfrm {
  readonly states: XfrmState[] = [];
  readonly #out: XfrmPolicy[] = [];
  /** LINUX_MIB_XFRM*: packets that policy blocked, that no state took, that failed the check, that came twice. */
  readonly stats = {
    outPolBlock: 0,
    outNoStates: 0,
    inNoStates: 0,
    inStateProtoError: 0,
    inStateSeqError: 0,
  };

  addPolicy(p: XfrmPolicy): void {
    this.#out.push(p);
    this.#out.sort((a, b) => a.priority - b.priority);
  }

  get policies(): readonly XfrmPolicy[] {
    return this.#out;
  }

  /** xfrm_policy_lookup for a packet whose IPv4 header is at skb.network; null: it goes as it is. */
  lookupOut(skb: Skb): XfrmPolicy | null {
    const n = skb.network;
    const saddr = skb.view.getInt32(n + 12, true);
    const daddr = skb.view.getInt32(n + 16, true);
    const list = this.#out;
    for (let i = 0; i < list.length; i++) {
      const p = list[i]!;
      if (
        matches(skb.mark, p.mark) &&
        ((saddr ^ p.src) & p.srcMask) === 0 &&
        ((daddr ^ p.dst) & p.dstMask) === 0
      )
        return p;
    }
    return null;
  }

  /** xfrm_state_find: the state that a policy's template asks for. */
  stateFor(p: XfrmPolicy, mark: number): XfrmState | null {
    const t = p.template!;
    const list = this.states;
    for (let i = 0; i < list.length; i++) {
      const s = list[i]!;
      if (s.dst === t.dst && s.src === t.src && s.spi === t.spi && matches(mark, s.mark)) return s;
    }
    return null;
  }

  /** xfrm_state_lookup: the state of a packet that arrived. */
  lookupIn(mark: number, daddr: number, spi: number): XfrmState | null {
    const list = this.states;
    for (let i = 0; i < list.length; i++) {
      const s = list[i]!;
      if (s.spi === spi && s.dst === daddr && matches(mark, s.mark)) return s;
    }
    return null;
  }
}

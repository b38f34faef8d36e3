// drivers/net/wireguard/allowedips.c: which peer a packet goes to by its destination, and which one may have sent it by
// its source. A binary trie for each family, the longest prefix winning. Differs from the kernel: one node a bit; the
// kernel leaves out nodes with a single child.

/** Index of the first and the second child, then of the peer, of each node. */
const NODE = 3;

class Trie<P> {
  #nodes = new Int32Array(64 * NODE);
  #used = 1;
  readonly #peers: (P | null)[] = [null];

  constructor(private readonly bits: number) {}

  /** Puts a prefix in, or moves it to another peer. */
  insert(addr: Uint8Array, bits: number, peer: P): void {
    let n = 0;
    for (let i = 0; i < bits; i++) {
      const bit = (addr[i >> 3]! >> (7 - (i & 7))) & 1;
      let child = this.#nodes[n * NODE + bit]!;
      if (child === 0) {
        child = this.#used++;
        if (this.#used * NODE > this.#nodes.length) {
          const more = new Int32Array(this.#nodes.length * 2);
          more.set(this.#nodes);
          this.#nodes = more;
        }
        this.#nodes[n * NODE + bit] = child;
      }
      n = child;
    }
    let p = this.#peers.indexOf(peer);
    if (p < 0) p = this.#peers.push(peer) - 1;
    this.#nodes[n * NODE + 2] = p;
  }

  /** The peer of the longest prefix that holds the address at `off`. */
  lookup(b: Uint8Array, off: number): P | null {
    const nodes = this.#nodes;
    let n = 0;
    let found = nodes[2]!;
    for (let i = 0; i < this.bits; i++) {
      n = nodes[n * NODE + ((b[off + (i >> 3)]! >> (7 - (i & 7))) & 1)]!;
      if (n === 0) break;
      const p = nodes[n * NODE + 2]!;
      if (p !== 0) found = p;
    }
    return this.#peers[found]!;
  }
}

/** A prefix as it was configured. */
export interface AllowedIp<P> {
  readonly address: Uint8Array;
  readonly bits: number;
  peer: P;
}

/** The allowed IPs of all peers of a device. */
export class AllowedIps<P> {
  readonly #four = new Trie<P>(32);
  readonly #six = new Trie<P>(128);
  /** In order of insertion, for listings. */
  readonly list: AllowedIp<P>[] = [];

  /** wg_allowedips_insert_v4 and _v6: 4 or 16 bytes of address. A prefix that another peer had moves to `peer`. */
  insert(address: Uint8Array, bits: number, peer: P): void {
    (address.length === 4 ? this.#four : this.#six).insert(address, bits, peer);
    const have = this.list.find((a) => a.bits === bits && samePrefix(a.address, address, bits));
    if (have !== undefined) have.peer = peer;
    else this.list.push({ address, bits, peer });
  }

  /** wg_allowedips_lookup_dst: the peer for the packet that begins at `n`, or null. */
  lookupDst(b: Uint8Array, n: number): P | null {
    const version = b[n]! >> 4;
    if (version === 4) return this.#four.lookup(b, n + 16);
    return version === 6 ? this.#six.lookup(b, n + 24) : null;
  }

  /** wg_allowedips_lookup_src: the peer that may send the packet that begins at `n`, or null. */
  lookupSrc(b: Uint8Array, n: number): P | null {
    const version = b[n]! >> 4;
    if (version === 4) return this.#four.lookup(b, n + 12);
    return version === 6 ? this.#six.lookup(b, n + 8) : null;
  }
}

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < bits; i++) if (((a[i >> 3]! ^ b[i >> 3]!) & (0x80 >> (i & 7))) !== 0) return false;
  return true;
}

// Calico's address management (libcalico-go/lib/ipam): pools are cut into blocks of blockSize (/26), each affine to one
// node. Blocks are taken from IPAMBlock and BlockAffinity objects, from the addresses that pods have, and for a node
// without any, claimed from the pool in an order that depends on the node's name.

import { addressOf, fields, inPrefix, numberOf, prefixOf, text } from "../linux_plane.js";
import type { ClusterModel } from "../model.js";
import type { IpPool } from "./config.js";

export interface Block {
  readonly cidr: string;
  readonly pool: IpPool;
  /** Node it is affine to. */
  readonly node: string;
}

/** A pod's address inside another node's block: announced on its own. */
export interface Borrowed {
  readonly address: string;
  readonly pool: IpPool;
  readonly node: string;
}

/** Annotations by which calico-node tells its tunnel addresses. */
const TUNNEL_ADDRESS = [
  "projectcalico.org/IPv4IPIPTunnelAddr",
  "projectcalico.org/IPv4VXLANTunnelAddr",
] as const;

export class Ipam {
  /** In the order in which they were claimed. */
  readonly blocks: Block[] = [];
  readonly borrowed: Borrowed[] = [];
  /** Address of tunl0 or vxlan.calico by node. */
  readonly tunnelAddress = new Map<string, string>();
  readonly #owner = new Map<string, string>();

  constructor(
    model: ClusterModel,
    readonly pools: readonly IpPool[],
  ) {
    for (const o of model.objects) {
      const s = fields(o.raw.spec);
      const cidr = text(s.cidr);
      if (cidr === undefined) continue;
      if (o.kind === "IPAMBlock") {
        const affinity = text(s.affinity);
        if (affinity?.startsWith("host:") === true) this.#claim(cidr, affinity.slice(5));
      } else if (o.kind === "BlockAffinity" && text(s.state) !== "pendingDeletion") {
        const node = text(s.node);
        if (node !== undefined) this.#claim(cidr, node);
      }
    }
    // A tunnel address is the node's own, so its block is the node's too.
    for (const n of model.nodes) {
      for (const key of TUNNEL_ADDRESS) {
        const a = n.annotations[key];
        if (a !== undefined) this.#claimFor(a, n.name);
      }
    }
    const pods = model.pods.filter((p) => !p.hostNetwork && p.ip4 !== undefined);
    for (const p of pods) this.#claimFor(p.ip4!, p.nodeName);
    for (const p of pods) {
      const pool = this.poolOf(p.ip4!);
      if (pool === undefined) continue;
      if (this.#owner.get(prefixOf(p.ip4!, pool.blockSize)) !== p.nodeName)
        this.borrowed.push({ address: p.ip4!, pool, node: p.nodeName });
    }
    for (const n of model.nodes) if (!this.blocks.some((b) => b.node === n.name)) this.#claimNew(n.name);

    const used = new Set(pods.map((p) => p.ip4!));
    for (const n of model.nodes) {
      const annotated = TUNNEL_ADDRESS.map((k) => n.annotations[k]).find((a) => a !== undefined);
      const a = annotated ?? this.#free(n.name, used);
      if (a === undefined) continue;
      used.add(a);
      this.tunnelAddress.set(n.name, a);
    }
  }

  poolOf(address: string): IpPool | undefined {
    return this.pools.find((p) => inPrefix(p.cidr, address));
  }

  blocksOf(node: string): Block[] {
    return this.blocks.filter((b) => b.node === node);
  }

  #claim(cidr: string, node: string): void {
    const pool = this.poolOf(cidr);
    if (pool === undefined || this.#owner.has(cidr)) return;
    this.#owner.set(cidr, node);
    this.blocks.push({ cidr, pool, node });
  }

  #claimFor(address: string, node: string): void {
    const pool = this.poolOf(address);
    if (pool !== undefined) this.#claim(prefixOf(address, pool.blockSize), node);
  }

  #claimNew(node: string): void {
    for (const pool of this.pools) {
      if (pool.disabled) continue;
      const bits = Number(pool.cidr.split("/")[1]);
      const count = 2 ** Math.max(0, pool.blockSize - bits);
      const size = 2 ** (32 - pool.blockSize);
      const base = numberOf(pool.cidr.split("/")[0]!);
      const start = hash(node) % count;
      for (let i = 0; i < count; i++) {
        const cidr = `${addressOf(base + ((start + i) % count) * size)}/${pool.blockSize}`;
        if (this.#owner.has(cidr)) continue;
        this.#claim(cidr, node);
        return;
      }
    }
  }

  /** The first address of the node's first block that nobody has. */
  #free(node: string, used: ReadonlySet<string>): string | undefined {
    for (const b of this.blocksOf(node)) {
      const [a, bits] = b.cidr.split("/");
      const base = numberOf(a!);
      for (let i = 0; i < 2 ** (32 - Number(bits)); i++)
        if (!used.has(addressOf(base + i))) return addressOf(base + i);
    }
    return undefined;
  }
}

/** FNV-1a. Differs from Calico, whose order comes from a generator seeded by such a hash. */
function hash(s: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i++) h = Math.imul(h ^ s.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

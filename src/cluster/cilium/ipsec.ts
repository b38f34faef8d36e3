// What the agent does for IPsec (pkg/datapath/linux/ipsec): node ids and the key in use in maps, XFRM states and policies
// for each other node, routes of table 200.

import type { CiliumMaps } from "../../../maps/cilium_maps.js";
import { NodeKey, NodeValue } from "../../../maps/node.js";
import { BPF_ANY } from "../../../maps/spec.js";
import type { Prng } from "../../base/prng.js";
import { sha256 } from "../../base/sha.js";
import type { NetDevice } from "../../kernel/device.js";
import type { Netns } from "../../kernel/netns.js";
import { Xfrm, type XfrmMark, XfrmState } from "../../kernel/xfrm/xfrm.js";
import { parseIpv4 } from "../../net/address.js";
import { addMarkRule, addRoute } from "../netcfg.js";
import type { AgentConfig } from "./agent_config.js";

/** What an ESP packet with the longest padding is longer than the packet inside it (pkg/mtu). */
export const IPSEC_OVERHEAD = 77;
/** SPI of the key, as the installation guide names it. */
export const IPSEC_KEY = 3;

const MARK_DECRYPT = 0x0d00;
const MARK_ENCRYPT = 0x0e00;
const TABLE_IPSEC = 200;
/** rfc4106(gcm(aes)) with 128 bits: key and salt. */
const KEY_LEN = 20;

/** A node as IPsec sees it. */
export interface IpsecNode {
  readonly name: string;
  readonly ns: Netns;
  readonly maps: CiliumMaps;
  /** Where encrypted packets arrive. */
  readonly device: NetDevice;
  readonly ciliumHost: NetDevice;
  readonly mtu: number;
  /** IPv4 addresses of the node and its router. */
  readonly ip: string | undefined;
  readonly router: string | undefined;
  readonly podCidrs: readonly string[];
}

/** Sets IPsec up on all nodes, with one key for the cluster from `prng`. */
export function installIpsec(nodes: readonly IpsecNode[], a: AgentConfig, prng: Prng): void {
  const clusterKey = prng.nextInt32() >>> 0;
  for (const node of nodes) {
    const xfrm = new Xfrm();
    node.ns.xfrm = xfrm;
    node.maps.cilium_encrypt_state.update(new Int32Array(1), Int32Array.of(IPSEC_KEY), BPF_ANY);
    addMarkRule(node.ns, 1, MARK_DECRYPT, 0xf00, TABLE_IPSEC);
    if (!a.endpointRoutes) {
      for (const to of node.podCidrs)
        addRoute(node.ns, { to, dev: node.device, type: "local", table: TABLE_IPSEC });
    }
    // What is marked for encryption and finds no state must not leave as it is.
    xfrm.addPolicy({
      src: 0,
      srcMask: 0,
      dst: 0,
      dstMask: 0,
      mark: { v: MARK_ENCRYPT, m: 0xf00 },
      priority: 100,
      template: null,
    });
    let id = 0;
    for (const other of nodes) {
      if (other === node || other.ip === undefined || node.ip === undefined) continue;
      connect(node, other, ++id, xfrm, a, clusterKey);
    }
  }
}

/** enableIPsecIPv4(): another node's id, routes, states and policies. */
function connect(
  node: IpsecNode,
  other: IpsecNode,
  id: number,
  xfrm: Xfrm,
  a: AgentConfig,
  clusterKey: number,
): void {
  const value = new NodeValue().set(id, IPSEC_KEY);
  for (const ip of [other.ip, other.router]) {
    if (ip === undefined) continue;
    node.maps.cilium_node_map_v2.update(new NodeKey().setIpv4(parseIpv4(ip)).words, value.words, BPF_ANY);
  }
  const postEncryptMtu = node.mtu - (a.routingMode === "tunnel" ? 50 : 0);
  for (const to of other.podCidrs)
    addRoute(node.ns, { to, dev: node.ciliumHost, table: TABLE_IPSEC, mtu: postEncryptMtu });
  const outMark: XfrmMark = { v: (id << 16) | (IPSEC_KEY << 12) | MARK_ENCRYPT, m: 0xffffff00 | 0 };
  const tunnel = (local: string, remote: string, policies: readonly (readonly [string, string])[]): void => {
    const src = parseIpv4(local);
    const dst = parseIpv4(remote);
    const common = { spi: IPSEC_KEY };
    xfrm.states.push(
      new XfrmState({
        ...common,
        src,
        dst,
        mark: outMark,
        outputMark: { v: MARK_ENCRYPT, m: 0xffffff00 | 0 },
        ...keyMaterial(clusterKey, local, remote),
      }),
      new XfrmState({
        ...common,
        src: dst,
        dst: src,
        mark: { v: (id << 16) | MARK_DECRYPT, m: 0xffff0f00 | 0 },
        outputMark: { v: a.endpointRoutes ? 0 : MARK_DECRYPT, m: 0xffffff00 | 0 },
        ...keyMaterial(clusterKey, remote, local),
      }),
    );
    for (const [from, to] of policies) {
      const s = prefix(from);
      const d = prefix(to);
      xfrm.addPolicy({
        src: s.address,
        srcMask: s.mask,
        dst: d.address,
        dstMask: d.mask,
        mark: outMark,
        priority: 0,
        template: { src, dst, spi: IPSEC_KEY },
      });
    }
  };
  // Between the routers for what goes to pods; in tunnel mode between the nodes, for the tunnel's own packets.
  if (a.routingMode === "tunnel") tunnel(node.ip!, other.ip!, [[`${node.ip}/32`, `${other.ip}/32`]]);
  else if (node.router !== undefined && other.router !== undefined)
    tunnel(
      node.router,
      other.router,
      other.podCidrs.map((c) => ["0.0.0.0/0", c] as const),
    );
}

/**
 * The key of one direction, from the cluster's and both ends' addresses. The agent hashes the key's bytes and the nodes' boot
 * ids as well; here a hash of text does the same: other keys for each pair and direction, the same in every run.
 */
function keyMaterial(
  clusterKey: number,
  src: string,
  dst: string,
): { readonly key: Uint8Array; readonly ivSalt: readonly [number, number] } {
  const key = sha256(`${clusterKey} ${src} ${dst}`);
  const iv = new DataView(sha256(`iv ${clusterKey} ${src} ${dst}`).buffer);
  return { key: key.slice(0, KEY_LEN), ivSalt: [iv.getInt32(0, false), iv.getInt32(4, false)] };
}

function prefix(cidr: string): { readonly address: number; readonly mask: number } {
  const [address, bits] = cidr.split("/");
  const n = Number(bits);
  const host = n === 0 ? 0 : (0xffffffff << (32 - n)) >>> 0;
  // Be32, as addresses are kept.
  const mask = (host >>> 24) | ((host >>> 8) & 0xff00) | ((host << 8) & 0xff0000) | (host << 24);
  return { address: parseIpv4(address!) & mask, mask };
}

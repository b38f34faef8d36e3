// What the agent does for WireGuard (pkg/wireguard/agent): the device, a peer for each other node, and which addresses
// each peer may have.

import type { Prng } from "../../base/prng.js";
import type { Netns } from "../../kernel/netns.js";
import { WireguardDevice } from "../../kernel/wireguard/device.js";
import { StaticIdentity } from "../../kernel/wireguard/noise.js";
import { parseIpv4, parseIpv6 } from "../../net/address.js";
import { linkUp, setSysctl } from "../netcfg.js";

export const WIREGUARD_DEVICE = "cilium_wg0";
export const WIREGUARD_PORT = 51871;
/** MARK_MAGIC_ENCRYPT: what the device sends, so that cil_to_netdev does not send it round again. */
const FWMARK = 0x0e00;
/** Outer IPv6 and UDP headers and the message around a packet. */
export const WIREGUARD_OVERHEAD = 80;
/** The key that ipcache entries carry: there is only one, the nodes' own keys are the device's business. */
export const WIREGUARD_KEY = 255;

/** cilium_wg0, up, with a key from `prng` and no peers. `mtu`: of the node's devices. */
export function addWireguardDevice(ns: Netns, prng: Prng, mtu: number): WireguardDevice {
  const dev = new WireguardDevice(ns, WIREGUARD_DEVICE, {
    identity: StaticIdentity.random(prng),
    listenPort: WIREGUARD_PORT,
    fwmark: FWMARK,
    mtu: mtu - WIREGUARD_OVERHEAD,
  });
  setSysctl(ns, `net/ipv4/conf/${WIREGUARD_DEVICE}/rp_filter`, 0);
  linkUp(dev);
  return dev;
}

/** Another node, as the agent knows it. */
export interface RemoteNode {
  readonly device: WireguardDevice;
  readonly ip4: string | undefined;
  readonly ip6: string | undefined;
  /** Addresses that the ipcache puts behind the node: its pods' and its router's. */
  readonly addresses: readonly string[];
}

/**
 * updatePeer(): the peer for a node. It may have the node's own addresses, and in native routing also those behind it;
 * in tunnel mode everything between the nodes is in packets of the nodes. Seconds of persistent keepalive, 0 = off.
 */
export function addWireguardPeer(
  dev: WireguardDevice,
  node: RemoteNode,
  native: boolean,
  persistentKeepalive: number,
): void {
  const peer = dev.addPeer({
    publicKey: node.device.identity.publicKey,
    endpoint: node.ip4 === undefined ? 0 : parseIpv4(node.ip4),
    port: WIREGUARD_PORT,
    persistentKeepalive,
  });
  const own = [node.ip4, node.ip6].filter((ip) => ip !== undefined);
  for (const ip of [...(native ? node.addresses : []), ...own]) {
    const bytes = ip.includes(":") ? parseIpv6(ip) : Uint8Array.from(ip.split("."), Number);
    dev.allow(peer, bytes, 8 * bytes.length);
  }
}

// net/ipv6/addrconf.c: addresses of devices.
//
// Differs from the kernel: no duplicate address detection, no router solicitation, no multicast listener reports; a
// link-local address appears with the first address, so a device without IPv6 addresses sends no IPv6 at all.

import type { NetDevice } from "../device.js";
import { Fib6 } from "./fib6.js";

const LINK_LOCAL = new Uint8Array([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** addrconf_ifid_eui48. */
export function linkLocal(mac: Uint8Array): Uint8Array {
  const a = LINK_LOCAL.slice();
  a.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!], 8);
  return a;
}

/** `ip -6 addr add`. False when the device has it. */
export function addr6_add(dev: NetDevice, bytes: Uint8Array, prefixLen: number): boolean {
  const ns = dev.ns;
  ns.fib6 ??= new Fib6(ns);
  const has = (b: Uint8Array): boolean => dev.addrs6.some((a) => a.bytes.every((x, i) => x === b[i]));
  if (has(bytes)) return false;
  dev.addrs6.push({ bytes: bytes.slice(), prefixLen, scope: 0 });
  const net = bytes.slice();
  for (let i = 0; i < 128; i++) if (i >= prefixLen) net[i >> 3]! &= ~(0x80 >> (i & 7));
  if (prefixLen < 128) ns.fib6.add({ prefix: net, plen: prefixLen, dev, metric: 256 });
  if (dev.hardHeaderLen !== 0 && (dev.flags & 8) === 0) {
    const ll = linkLocal(dev.mac);
    if (!has(ll)) {
      dev.addrs6.push({ bytes: ll, prefixLen: 64, scope: 253 });
      ns.fib6.add({ prefix: LINK_LOCAL, plen: 64, dev, metric: 256 + dev.ifindex });
    }
  }
  return true;
}

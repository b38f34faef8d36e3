// The pods of KernelNet's ONE_NODE over IPv6: fd00::1 and fd00::2 behind the node's fe80::1 and fe80::2, fd01::1 its
// uplink's address. The second pod's devices have an MTU of 1400.

import { addr6_add } from "../../src/kernel/ipv6/addrconf.js";
import { sysctl_set } from "../../src/kernel/rtnetlink.js";
import { parseIpv6 } from "../../src/net/address.js";
import { KernelNet } from "./kernel_net.js";

export function net6(): KernelNet {
  const net = new KernelNet();
  sysctl_set(net.ns("n1"), "net/ipv6/conf/all/forwarding", 1);
  for (const [i, pod] of ["p1", "p2"].entries()) {
    const gw = parseIpv6(`fe80::${i + 1}`);
    addr6_add(net.dev("n1", `c${i + 1}`), gw, 64);
    addr6_add(net.dev(pod, "eth0"), parseIpv6(`fd00::${i + 1}`), 128);
    net.ns(pod).fib6!.add({ prefix: new Uint8Array(16), plen: 0, dev: net.dev(pod, "eth0"), gw });
    net
      .ns("n1")
      .fib6!.add({ prefix: parseIpv6(`fd00::${i + 1}`), plen: 128, dev: net.dev("n1", `c${i + 1}`) });
  }
  addr6_add(net.dev("n1", "eth0"), parseIpv6("fd01::1"), 64);
  return net;
}

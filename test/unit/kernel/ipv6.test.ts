import { describe, expect, it } from "vitest";
import { FibLookup } from "../../../src/bpf/fib_lookup.js";
import { AF_INET6 } from "../../../src/bpf/helpers.js";
import { KernelHelpers } from "../../../src/kernel/helpers.js";
import { icmpv6_checksum } from "../../../src/kernel/ipv6/icmpv6.js";
import { ip6_local_out } from "../../../src/kernel/ipv6/ip6_output.js";
import { Raw6Sock } from "../../../src/kernel/ipv6/raw6.js";
import { alloc_local_skb } from "../../../src/kernel/skbuff.js";
import { parseIpv6 } from "../../../src/net/address.js";
import { toHex } from "../../../src/net/view.js";
import type { KernelNet } from "../../support/kernel_net.js";
import { net6 } from "../../support/kernel_net6.js";

function echo(
  net: KernelNet,
  from: string,
  src: string,
  dst: string,
  hops: number,
  size: number,
): { replies: string[]; errors: string[] } {
  const ns = net.ns(from);
  const replies: string[] = [];
  const errors: string[] = [];
  const text = (p: Uint8Array): string =>
    `${toHex(p.slice(8, 24))} hops ${p[7]} type ${p[40]}/${p[41]} ${toHex(p.slice(44, 48))}`;
  const sock = new Raw6Sock(ns);
  sock.onPacket = (p) => (p[40] === 129 ? replies : errors).push(text(p));
  const skb = alloc_local_skb(ns);
  const n = skb.data;
  skb.ensure(n + 48 + size);
  skb.tail = n + 48 + size;
  skb.network = n;
  skb.bytes.fill(0, n, skb.tail);
  skb.bytes[n] = 0x60;
  skb.view.setUint16(n + 4, 8 + size, false);
  skb.bytes[n + 6] = 58;
  skb.bytes[n + 7] = hops;
  skb.bytes.set(parseIpv6(src), n + 8);
  skb.bytes.set(parseIpv6(dst), n + 24);
  skb.bytes[n + 40] = 128;
  skb.view.setUint32(n + 44, 0x00070001, false);
  icmpv6_checksum(skb, n, n + 40);
  ip6_local_out(ns, skb);
  net.ms(5);
  sock.close();
  return { replies, errors };
}

describe("IPv6", () => {
  it("is forwarded between pods with one hop less, after neighbour solicitation on both sides", () => {
    const net = net6();
    const tap = net.tap("p2", "eth0");
    expect(echo(net, "p1", "fd00::1", "fd00::2", 64, 8)).toEqual({
      replies: [`${toHex(parseIpv6("fd00::2"))} hops 63 type 129/0 00070001`],
      errors: [],
    });
    const short = (l: string): string => {
      const [dir, macs, , hex] = l.split(" ");
      return `${dir} ${macs} hops ${Number.parseInt(hex!.slice(14, 16), 16)} type ${Number.parseInt(hex!.slice(80, 82), 16)}`;
    };
    expect(tap.lines.map(short)).toEqual([
      "< 3333ff000002<-eeeeeeeeeeee hops 255 type 135",
      "> eeeeeeeeeeee<-020000000102 hops 255 type 136",
      "< 020000000102<-eeeeeeeeeeee hops 63 type 128",
      "> 3333ff000002<-020000000102 hops 255 type 135",
      "< 020000000102<-eeeeeeeeeeee hops 255 type 136",
      "> eeeeeeeeeeee<-020000000102 hops 64 type 129",
    ]);
  });

  it("expires, is too big, and finds no route as ICMPv6 says", () => {
    const net = net6();
    const node = toHex(parseIpv6("fd01::1"));
    expect(echo(net, "p1", "fd00::1", "fd00::2", 1, 8).errors).toEqual([`${node} hops 64 type 3/0 00000000`]);
    expect(echo(net, "p1", "fd00::1", "fd00::2", 64, 1400).errors).toEqual([
      `${node} hops 64 type 2/0 00000578`,
    ]);
    expect(echo(net, "p1", "fd00::1", "fd99::2", 64, 8).errors).toEqual([
      `${node} hops 64 type 1/0 00000000`,
    ]);
  });

  it("bpf_fib_lookup finds device, MACs and MTU once the neighbour is known", () => {
    const net = net6();
    const h = new KernelHelpers(net.kernel);
    const skb = alloc_local_skb(net.ns("n1"));
    skb.dev = net.dev("n1", "c1");
    const look = (): { ret: number; ifindex: number; dmac: string } => {
      const p = new FibLookup();
      p.family = AF_INET6;
      p.ifindex = net.dev("n1", "c1").ifindex;
      p.bytes.set(parseIpv6("fd00::1"), 16);
      p.bytes.set(parseIpv6("fd00::2"), 32);
      const ret = h.fib_lookup(skb, p, 0);
      return { ret, ifindex: p.ifindex, dmac: toHex(p.bytes.slice(58)) };
    };
    const c2 = net.dev("n1", "c2").ifindex;
    expect(look()).toEqual({ ret: 7, ifindex: c2, dmac: "000000000000" });
    echo(net, "p1", "fd00::1", "fd00::2", 64, 8);
    expect(look()).toEqual({ ret: 0, ifindex: c2, dmac: "020000000102" });
  });
});

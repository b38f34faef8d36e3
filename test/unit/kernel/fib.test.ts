import { describe, expect, it } from "vitest";
import { FibResult, Flowi4 } from "../../../src/kernel/fib.js";
import { ip_command } from "../../../src/kernel/iproute.js";
import { ip_route_output_flow } from "../../../src/kernel/route.js";
import { formatIpv4, parseIpv4 } from "../../../src/net/address.js";
import { KernelNet } from "../../support/kernel_net.js";

const ip = (net: KernelNet, cmd: string): string => {
  const r = ip_command(net.ns("n1"), cmd.split(" "));
  return `${r.rc} ${r.out.trim()}`.trim();
};

/** Where a flow goes: device, gateway, source; or the errno. */
function way(net: KernelNet, dst: string, o: Partial<Flowi4> = {}): string {
  const f = new Flowi4();
  Object.assign(f, o);
  f.daddr = parseIpv4(dst);
  const rt = ip_route_output_flow(net.ns("n1"), f);
  if (rt === null) {
    const res = new FibResult();
    return String(net.ns("n1").fib.lookup(f, res, 0));
  }
  return `${rt.dev.name}${rt.rt_gw !== 0 ? ` via ${formatIpv4(rt.rt_gw)}` : ""} src ${formatIpv4(f.saddr)}`;
}

describe("ip route", () => {
  it("says what the kernel says", () => {
    const net = new KernelNet();
    expect([
      ip(net, "route add 10.0.0.1/32 dev c1"),
      ip(net, "route del 10.99.0.0/24"),
      ip(net, "route add 10.1.0.0/24 via 172.16.9.9"),
      ip(net, "route add 10.1.0.0/24 via 192.168.0.1 dev eth0 onlink"),
      ip(net, "route add 10.1.0.0/24 via 192.168.0.9 src 1.2.3.4"),
      ip(net, "route add 10.1.0.5/24 via 192.168.0.9"),
      ip(net, "route add 10.1.0.0/24 via 192.168.0.9 dev nope"),
      ip(net, "route add 10.1.0.0/24 via 192.168.0.9"),
      ip(net, "route add 10.1.0.0/24 via 192.168.0.8"),
      ip(net, "route replace 10.1.0.0/24 via 192.168.0.8"),
    ]).toEqual([
      "2 RTNETLINK answers: File exists",
      "2 RTNETLINK answers: No such process",
      "2 Error: Nexthop has invalid gateway.",
      "2 Error: Nexthop has invalid gateway.",
      "2 Error: Invalid prefsrc address.",
      "2 Error: Invalid prefix for given prefix length.",
      '1 Cannot find device "nope"',
      "0",
      "2 RTNETLINK answers: File exists",
      "0",
    ]);
    expect(way(net, "10.1.0.7")).toBe("eth0 via 192.168.0.8 src 192.168.0.1");
  });

  it("prefers the longest prefix, then the lowest metric, and follows a throw to the next table", () => {
    const net = new KernelNet();
    ip(net, "route add 10.20.0.0/16 via 192.168.0.2 metric 50");
    ip(net, "route add 10.20.0.0/16 via 192.168.0.3 metric 20");
    ip(net, "route add 10.20.1.0/24 via 192.168.0.4");
    expect([way(net, "10.20.9.9"), way(net, "10.20.1.9"), way(net, "9.9.9.9")]).toEqual([
      "eth0 via 192.168.0.3 src 192.168.0.1",
      "eth0 via 192.168.0.4 src 192.168.0.1",
      "eth0 via 192.168.0.254 src 192.168.0.1",
    ]);
    ip(net, "route add throw 10.20.1.0/24 table 100");
    ip(net, "route add 10.20.0.0/16 via 192.168.0.9 table 100");
    ip(net, "rule add fwmark 0x200/0xf00 table 100");
    expect([
      way(net, "10.20.9.9", { mark: 0x200 }),
      way(net, "10.20.1.9", { mark: 0x2ff }),
      way(net, "10.20.9.9"),
    ]).toEqual([
      "eth0 via 192.168.0.9 src 192.168.0.1",
      "eth0 via 192.168.0.4 src 192.168.0.1",
      "eth0 via 192.168.0.3 src 192.168.0.1",
    ]);
  });

  it("spreads flows over weighted next hops, each flow staying on its own", () => {
    const net = new KernelNet();
    ip(net, "route add 10.30.0.0/16 nexthop via 192.168.0.2 weight 3 nexthop via 192.168.0.3 weight 1");
    const count: Record<string, number> = {};
    for (let i = 0; i < 2000; i++) {
      const d = `10.30.${i >> 8}.${i & 255}`;
      const w = way(net, d);
      expect(way(net, d)).toBe(w);
      count[w.split(" ")[2]!] = (count[w.split(" ")[2]!] ?? 0) + 1;
    }
    expect(Object.keys(count).sort()).toEqual(["192.168.0.2", "192.168.0.3"]);
    expect(Math.abs(count["192.168.0.2"]! - 1500)).toBeLessThan(100);
  });

  it("loses the routes of a device that goes down and keeps local addresses", () => {
    const net = new KernelNet();
    ip(net, "link set eth0 down");
    expect([way(net, "9.9.9.9"), way(net, "192.168.0.1")]).toEqual(["-101", "lo src 192.168.0.1"]);
    ip(net, "link set eth0 up");
    expect(way(net, "192.168.0.7")).toBe("eth0 src 192.168.0.1");
  });

  it("a gateway that is the host's own address is taken and not used, as on a wrong tunnel route", () => {
    const net = new KernelNet();
    expect(ip(net, "route add 10.40.0.0/24 via 192.168.0.1 dev eth0")).toBe("0");
    expect(way(net, "10.40.0.9")).toBe("eth0 src 192.168.0.1");
  });
});

import { describe, expect, it } from "vitest";
import { craftIpv4 } from "../../../src/conformance/kernel_traffic.js";
import { BridgeDevice } from "../../../src/kernel/bridge.js";
import {
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
} from "../../../src/kernel/neighbour.js";
import { iptablesRestore } from "../../../src/kernel/netfilter/iptables.js";
import { RawSock } from "../../../src/kernel/raw.js";
import { link_down, neigh_set, sysctl_set } from "../../../src/kernel/rtnetlink.js";
import type { Topology } from "../../../src/kernel/topology.js";
import { parseIpv4 } from "../../../src/net/address.js";
import { KernelNet } from "../../support/kernel_net.js";

const state = (net: KernelNet, ns: string, dev: string, ip: string): number | undefined =>
  net.dev(ns, dev).arp.get(parseIpv4(ip))?.state;

describe("neighbour states", () => {
  it("go from an answer to REACHABLE, with time to STALE, with use to DELAY, PROBE and back", () => {
    const net = new KernelNet();
    net.ping("n1", "192.168.0.254");
    const at = (): number | undefined => state(net, "n1", "eth0", "192.168.0.254");
    expect(at()).toBe(NUD_REACHABLE);
    net.ms(60_000);
    expect(at()).toBe(NUD_STALE);
    net.ping("n1", "192.168.0.254");
    expect(at()).toBe(NUD_DELAY);
    const tap = net.tap("n1", "eth0");
    net.ms(5300);
    // Questions go to the address that is known, not to everybody; the other side asks too, in the same jiffy.
    expect([at(), tap.lines.map((l) => l.slice(0, 14))]).toEqual([
      NUD_REACHABLE,
      ["> 0200000000fe", "< 020000000001", "> 0200000000fe", "< 020000000001"],
    ]);
  });

  it("end in FAILED when unicast questions stay without answer", () => {
    const net = new KernelNet();
    net.ping("n1", "192.168.0.254");
    net.ms(60_000);
    link_down(net.dev("host", "eth0"));
    net.dev("n1", "eth0").carrier = true;
    net.dev("host", "eth0").flags |= 1;
    sysctl_set(net.ns("host"), "net/ipv4/conf/eth0/arp_ignore", 8);
    neigh_set(net.dev("n1", "eth0"), parseIpv4("192.168.0.254"), net.dev("host", "eth0").mac, NUD_STALE);
    net.ping("n1", "192.168.0.254");
    const at = (): number | undefined => state(net, "n1", "eth0", "192.168.0.254");
    const seen = [at()];
    for (const t of [5300, 3200]) {
      net.ms(t);
      seen.push(at());
    }
    expect(seen).toEqual([NUD_DELAY, NUD_PROBE, NUD_FAILED]);
  });

  it("keep what waits within unres_qlen_bytes and deliver it in order; a permanent entry never asks", () => {
    const net = new KernelNet();
    net.dev("n1", "eth0").arpParms.unres_qlen_bytes = 2500;
    net.dev("host", "eth0").flags |= 0x80;
    const s = new RawSock(net.ns("n1"), 255);
    for (let i = 1; i <= 6; i++)
      s.sendto(
        craftIpv4({
          src: "192.168.0.1",
          dst: "192.168.0.77",
          id: i,
          l4: { kind: "udp", sport: 1, dport: 2 },
        }),
        parseIpv4("192.168.0.77"),
      );
    const n = net.dev("n1", "eth0").arp.get(parseIpv4("192.168.0.77"))!;
    expect([n.state, n.queued, net.ns("n1").drops[16]]).toEqual([NUD_INCOMPLETE, 3, 3]);
    const tap = net.tap("n1", "eth0");
    neigh_set(net.dev("n1", "eth0"), parseIpv4("192.168.0.77"), net.dev("host", "eth0").mac);
    expect([n.state, n.queued, tap.lines.length]).toEqual([NUD_PERMANENT, 0, 3]);
  });

  it("learn from a request only when it is for this host, and from gratuitous ARP only what they know", () => {
    const net = new KernelNet();
    net.ping("p1", "169.254.1.1");
    expect(state(net, "n1", "c1", "10.0.0.1")).toBe(NUD_STALE);
    expect(net.dev("n1", "c2").arp.size).toBe(0);
  });
});

/** Three hosts on a bridge with an address of its own. */
const LAN: Topology = {
  netns: {
    b: {
      addresses: [{ dev: "br0", addr: "10.0.0.254/24" }],
      sysctl: { "net/bridge/bridge-nf-call-iptables": 0 },
    },
    h1: { addresses: [{ dev: "eth0", addr: "10.0.0.1/24" }] },
    h2: { addresses: [{ dev: "eth0", addr: "10.0.0.2/24" }] },
    h3: { addresses: [{ dev: "eth0", addr: "10.0.0.3/24" }] },
  },
  links: [
    { kind: "bridge", ns: "b", name: "br0", mac: "02:00:00:00:00:ff" },
    ...[1, 2, 3].map((i) => ({
      kind: "veth",
      ends: [
        { ns: "b", name: `v${i}`, mac: `02:00:00:00:01:0${i}`, master: "br0" },
        { ns: `h${i}`, name: "eth0", mac: `02:00:00:00:00:0${i}` },
      ],
    })),
  ],
};

describe("bridge", () => {
  it("floods what it does not know, learns senders, forgets them after the ageing time, and answers itself", () => {
    const net = new KernelNet(LAN);
    const h3 = net.tap("h3", "eth0");
    expect(net.ping("h1", "10.0.0.2").reply?.ttl).toBe(64);
    // Only the broadcast question came by.
    expect(h3.lines.map((l) => l.slice(0, 14))).toEqual(["< ffffffffffff"]);
    const br = net.dev("b", "br0") as BridgeDevice;
    expect(br).toBeInstanceOf(BridgeDevice);
    expect(
      [...br.fdb.values()]
        .filter((e) => !e.isLocal)
        .map((e) => e.port?.dev.name)
        .sort(),
    ).toEqual(["v1", "v2"]);
    expect(net.ping("h1", "10.0.0.254").reply?.ttl).toBe(64);
    net.ms(400_000);
    neigh_set(net.dev("h1", "eth0"), parseIpv4("10.0.0.2"), net.dev("h2", "eth0").mac);
    neigh_set(net.dev("h2", "eth0"), parseIpv4("10.0.0.1"), net.dev("h1", "eth0").mac);
    h3.lines.length = 0;
    net.ping("h1", "10.0.0.2");
    expect(h3.lines.map((l) => l.slice(0, 14))).toEqual(["< 020000000002"]);
  });

  it("passes bridged packets through FORWARD where bridge-nf-call-iptables says so, and knows their ports", () => {
    const net = new KernelNet(LAN);
    iptablesRestore(
      net.ns("b"),
      "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n-A FORWARD -i br0 -o br0 -m physdev --physdev-in v1 --physdev-out v2 -p icmp -j DROP\nCOMMIT\n",
    );
    expect(net.ping("h1", "10.0.0.2").reply?.ttl).toBe(64);
    sysctl_set(net.ns("b"), "net/bridge/bridge-nf-call-iptables", 1);
    expect(net.ping("h1", "10.0.0.2").reply).toBe(null);
    expect(net.ping("h1", "10.0.0.3").reply?.ttl).toBe(64);
    expect(net.ping("h1", "10.0.0.254").reply?.ttl).toBe(64);
  });
});

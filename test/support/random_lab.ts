// Random labs in the form of kernel-lab's topology.json: a few nodes with pods on a switch, routed directly, by VXLAN,
// or through a router with a smaller MTU; odd routes and sysctls; pings, datagrams, connections, crafted packets.

import type { Prng } from "../../src/base/prng.js";
import type { LabTopology } from "../../src/conformance/kernel.js";
import type { TrafficOp } from "../../src/conformance/kernel_traffic.js";
import type { TopoLink, TopoNetns, TopoRoute } from "../../src/kernel/topology.js";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const hex2 = (n: number): string => n.toString(16).padStart(2, "0");

/** A lab drawn from `r`. The same generator state gives the same lab. */
export function randomLab(r: Prng, name: string, rules = false): LabTopology {
  const pick = <T>(a: readonly T[]): T => a[r.below(a.length)]!;
  const chance = (percent: number): boolean => r.below(100) < percent;
  const netns: Record<string, Mutable<TopoNetns> & Record<string, unknown>> = {};
  const links: TopoLink[] = [];
  const nodes = 1 + r.below(3);
  const mode = nodes === 1 ? "direct" : pick(["direct", "vxlan", "router"]);
  const podMtu = mode === "vxlan" ? 1450 : pick([1500, 1480, 1400]);
  const pods: { ns: string; ip: string; node: number; mac: string }[] = [];
  let mac = 1 + r.below(200);
  const nextMac = (): string => `02:00:${hex2(r.below(256))}:00:00:${hex2(mac++ & 255)}`;
  const fabric = mode === "router" ? "rt" : "sw";
  netns[fabric] =
    mode === "router"
      ? {
          role: "node",
          sysctl: { "net/ipv4/ip_forward": 1 },
          addresses: [],
          routes: [],
          neigh: [],
          trace: false,
        }
      : { role: "switch", sysctl: {}, addresses: [], routes: [], neigh: [] };
  if (mode !== "router") links.push({ kind: "bridge", ns: "sw", name: "br0", mac: nextMac(), mtu: 1500 });
  const pathMtu = mode === "router" && chance(50) ? pick([1400, 1300, 1000]) : 1500;
  for (let i = 0; i < nodes; i++) {
    const n = `n${i + 1}`;
    const gateway = pick(["169.254.1.1", "node"]) === "169.254.1.1";
    const up = mode === "router" ? `172.16.${i + 1}.2` : `172.16.0.${i + 1}`;
    const node: Mutable<TopoNetns> & {
      sysctl: Record<string, number>;
      routes: TopoRoute[];
      neigh: object[];
      addresses: object[];
    } & Record<string, unknown> = {
      role: "node",
      sysctl: { "net/ipv4/ip_forward": 1 },
      addresses: [],
      routes: [],
      neigh: [],
    };
    netns[n] = node as never;
    const uplinkMac = nextMac();
    links.push({
      kind: "veth",
      ends: [
        { ns: n, name: "eth0", mac: uplinkMac, mtu: pathMtu < 1500 && i === 1 ? pathMtu : 1500 },
        mode === "router"
          ? { ns: "rt", name: `r${i + 1}`, mac: nextMac(), mtu: pathMtu < 1500 && i === 1 ? pathMtu : 1500 }
          : { ns: "sw", name: `s${i + 1}`, mac: nextMac(), mtu: 1500, master: "br0" },
      ],
    });
    node.addresses.push({ dev: "eth0", addr: mode === "router" ? `${up}/24` : `${up}/24` });
    if (mode === "router") {
      (netns.rt!.addresses as object[]).push({ dev: `r${i + 1}`, addr: `172.16.${i + 1}.1/24` });
      (netns.rt!.routes as TopoRoute[]).push({ dst: `10.${i + 1}.0.0/24`, via: up, dev: `r${i + 1}` });
      node.routes.push({ dst: "default", via: `172.16.${i + 1}.1`, dev: "eth0" });
    } else if (chance(60)) node.routes.push({ dst: "default", via: "172.16.0.254", dev: "eth0" });
    if (mode === "vxlan") {
      links.push({
        kind: "vxlan",
        ns: n,
        name: "vx0",
        mac: `02:aa:00:00:00:${hex2(i + 1)}`,
        vni: 77,
        local: up,
        dev: "eth0",
        dstport: 4789,
        mtu: 1450,
        ...(chance(30) ? { udpcsum: false } : {}),
        ...(chance(20) ? { ttl: 9 + r.below(50) } : {}),
        ...(chance(20) ? { tos: "inherit" } : {}),
        ...(chance(20) ? { df: pick(["set", "inherit"]) } : {}),
      });
      node.addresses.push({ dev: "vx0", addr: `10.${i + 1}.0.0/32` });
      const fdb: object[] = [];
      for (let j = 0; j < nodes; j++) {
        if (j === i) continue;
        node.routes.push({ dst: `10.${j + 1}.0.0/24`, via: `10.${j + 1}.0.0`, dev: "vx0", onlink: true });
        node.neigh.push({ ip: `10.${j + 1}.0.0`, mac: `02:aa:00:00:00:${hex2(j + 1)}`, dev: "vx0" });
        fdb.push({ mac: `02:aa:00:00:00:${hex2(j + 1)}`, dev: "vx0", dst: `172.16.0.${j + 1}` });
      }
      node.fdb = fdb as never;
    } else if (mode === "direct") {
      for (let j = 0; j < nodes; j++)
        if (j !== i)
          node.routes.push({
            dst: `10.${j + 1}.0.0/24`,
            via: `172.16.0.${j + 1}`,
            dev: "eth0",
            ...(chance(15) ? { mtu: 1300 } : {}),
          });
    }
    if (chance(40))
      node.routes.push({ dst: `10.${i + 1}.0.0/24`, type: pick(["blackhole", "unreachable", "prohibit"]) });
    if (chance(20)) node.sysctl["net/ipv4/conf/all/rp_filter"] = 1 + r.below(2);
    if (chance(15)) node.sysctl["net/ipv4/ip_default_ttl"] = 32 + r.below(100);
    if (chance(15)) node.sysctl["net/ipv4/conf/all/send_redirects"] = 0;
    // Pods of a node behind a bridge of their own (docker, flannel), instead of a routed veth each.
    const bridged = chance(25);
    if (bridged) {
      links.push({ kind: "bridge", ns: n, name: "cni0", mac: nextMac(), mtu: podMtu });
      node.sysctl["net/bridge/bridge-nf-call-iptables"] = r.below(2);
      node.addresses.push({ dev: "cni0", addr: `10.${i + 1}.0.1/24` });
      node.routes = node.routes.filter((x) => x.dst !== `10.${i + 1}.0.0/24`);
    }
    const count = 1 + r.below(2);
    for (let p = 0; p < count; p++) {
      const pod = `p${i + 1}${p + 1}`;
      const ip = `10.${i + 1}.0.${10 + p + r.below(100) * 2}`;
      const dev = `cali${i + 1}${p + 1}`;
      const hostMac = gateway ? "ee:ee:ee:ee:ee:ee" : nextMac();
      const podMac = nextMac();
      if (pods.some((x) => x.ip === ip)) continue;
      pods.push({ ns: pod, ip, node: i, mac: podMac });
      if (bridged) {
        links.push({
          kind: "veth",
          ends: [
            { ns: n, name: dev, mac: nextMac(), mtu: podMtu, master: "cni0" },
            { ns: pod, name: "eth0", mac: podMac, mtu: podMtu },
          ],
        });
        netns[pod] = {
          role: "pod",
          sysctl: {},
          addresses: [{ dev: "eth0", addr: `${ip}/24` }],
          routes: [{ dst: "default", via: `10.${i + 1}.0.1`, dev: "eth0" }],
          neigh: [],
          node: n,
        };
        continue;
      }
      links.push({
        kind: "veth",
        ends: [
          { ns: n, name: dev, mac: hostMac, mtu: podMtu },
          { ns: pod, name: "eth0", mac: podMac, mtu: podMtu },
        ],
      });
      node.routes.push({ dst: `${ip}/32`, dev, scope: "link" });
      const gw = gateway ? "169.254.1.1" : `10.${i + 1}.0.1`;
      if (gateway) {
        node.sysctl[`net/ipv4/conf/${dev}/proxy_arp`] = 1;
        node.sysctl[`net/ipv4/neigh/${dev}/proxy_delay`] = 0;
        if (chance(50)) node.sysctl[`net/ipv4/conf/${dev}/rp_filter`] = 1;
      } else node.addresses.push({ dev, addr: `${gw}/32` });
      netns[pod] = {
        role: "pod",
        sysctl: {},
        addresses: [{ dev: "eth0", addr: `${ip}/32` }],
        routes: [
          { dst: gw, dev: "eth0", scope: "link" },
          { dst: "default", via: gw, dev: "eth0" },
        ],
        neigh: [],
        node: n,
      };
    }
  }
  const services: { vip: string; port: number; proto: string; pod: (typeof pods)[number]; target: number }[] =
    [];
  if (rules) {
    for (let i = 0; i < 3; i++)
      services.push({
        vip: `10.96.0.${10 + i}`,
        port: 80 + i,
        proto: pick(["tcp", "udp"]),
        pod: pick(pods),
        target: 9000 + i,
      });
    for (let i = 0; i < nodes; i++) {
      const nat: string[] = [];
      const filter: string[] = [];
      const mangle: string[] = [];
      if (chance(60)) nat.push(`-A POSTROUTING -s 10.${i + 1}.0.0/24 ! -d 10.0.0.0/8 -j MASQUERADE`);
      if (chance(40)) nat.push("-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE");
      if (chance(30)) nat.push(`-A POSTROUTING -s 10.${i + 1}.0.0/24 -d 10.${i + 1}.0.0/24 -j MASQUERADE`);
      for (const s of services) {
        if (!chance(85)) continue;
        if (chance(40))
          for (const c of ["PREROUTING", "OUTPUT"])
            nat.push(
              `-A ${c} -d ${s.vip}/32 -p ${s.proto} -m ${s.proto} --dport ${s.port} -j MARK --set-xmark 0x4000/0x4000`,
            );
        for (const c of ["PREROUTING", "OUTPUT"])
          nat.push(
            `-A ${c} -d ${s.vip}/32 -p ${s.proto} -m ${s.proto} --dport ${s.port} -j DNAT --to-destination ${s.pod.ip}:${s.target}`,
          );
      }
      if (chance(50)) filter.push("-A FORWARD -m conntrack --ctstate INVALID -j DROP");
      if (chance(30)) filter.push("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
      if (chance(50))
        filter.push(
          `-A ${pick(["FORWARD", "FORWARD", "INPUT", "OUTPUT"])} -p ${pick(["tcp", "udp", "icmp"])} -d ${pick(pods).ip}/32 -j ${pick(["DROP", "REJECT --reject-with icmp-port-unreachable", "REJECT --reject-with icmp-admin-prohibited", "REJECT --reject-with icmp-host-unreachable"])}`,
        );
      if (chance(30))
        filter.push(
          `-A FORWARD -p tcp -m tcp --dport ${9000 + r.below(3)} -j REJECT --reject-with tcp-reset`,
        );
      if (chance(20))
        mangle.push(`-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`);
      let text = "";
      for (const [t, l] of [
        ["mangle", mangle],
        ["nat", nat],
        ["filter", filter],
      ] as const)
        if (l.length > 0) text += `*${t}\n${l.join("\n")}\nCOMMIT\n`;
      if (text !== "") netns[`n${i + 1}`]!.iptables = text;
    }
  }
  const traffic: TrafficOp[] = [];
  let port = 20000 + r.below(20000);
  const steps = 4 + r.below(6);
  for (let i = 0; i < steps; i++) {
    const a = pick(pods);
    const b = pick(pods.filter((x) => x !== a).length > 0 ? pods.filter((x) => x !== a) : pods);
    const from = chance(15) ? `n${a.node + 1}` : a.ns;
    const dst = chance(78)
      ? b.ip
      : pick([
          `10.${b.node + 1}.0.253`,
          "203.0.113.9",
          mode === "router" ? `172.16.${b.node + 1}.2` : `172.16.0.${b.node + 1}`,
        ]);
    const id = `s${i}`;
    if (services.length > 0 && chance(45)) {
      const s = pick(services);
      const common = { id, ns: from, dst: s.vip, sport: port++, dport: s.port, timeout: 0.4 };
      const server = chance(80) ? { server: { ns: s.pod.ns, port: s.target } } : {};
      if (s.proto === "udp")
        traffic.push({
          op: "udp",
          ...common,
          size: pick([10, 1400, 2000]),
          count: 1 + r.below(2),
          pmtu: pick(["dont", "want"]),
          ...server,
        });
      else traffic.push({ op: "tcp", ...common, c2s: 1 + r.below(2000), s2c: 1 + r.below(2000), ...server });
      continue;
    }
    const size = pick([0, 8, 56, 200, 1000, 1372, 1400, 1452, 1472, 2000, 4000]);
    switch (r.below(6)) {
      case 0:
      case 1:
        traffic.push({
          op: "ping",
          id,
          ns: from,
          dst,
          ident: 1000 + i,
          count: 1 + r.below(3),
          size,
          timeout: 0.4,
          ...(chance(30) ? { ttl: 1 + r.below(6) } : {}),
          ...(chance(30) ? { tos: r.below(256) } : {}),
          ...(chance(50) ? { pmtu: pick(["dont", "want", "do", "probe"]) } : {}),
        });
        break;
      case 2:
      case 3: {
        const open = chance(75) && dst === b.ip;
        const dport = 7000 + r.below(100);
        traffic.push({
          op: "udp",
          id,
          ns: from,
          dst,
          sport: port++,
          dport,
          size,
          count: 1 + r.below(3),
          timeout: 0.4,
          ...(chance(20) ? { ttl: 1 + r.below(6) } : {}),
          ...(chance(50) ? { pmtu: pick(["dont", "want", "do", "probe"]) } : {}),
          ...(open ? { server: { ns: b.ns, port: dport } } : {}),
          ...(chance(30) ? { connect: true } : {}),
        });
        break;
      }
      case 4: {
        const open = chance(80) && dst === b.ip;
        const dport = 8000 + r.below(100);
        traffic.push({
          op: "tcp",
          id,
          ns: from,
          dst,
          sport: port++,
          dport,
          timeout: 0.4,
          c2s: 1 + r.below(3000),
          s2c: 1 + r.below(3000),
          ...(open ? { server: { ns: b.ns, port: dport } } : {}),
        });
        break;
      }
      default: {
        const df = chance(50);
        traffic.push({
          op: "raw",
          id,
          ns: a.ns,
          settle: 0.3,
          ip: {
            src: chance(85) ? a.ip : pick(["10.9.9.9", "127.0.0.1", b.ip, "0.0.0.1", "224.0.0.5"]),
            dst,
            id: 1 + r.below(65535),
            ttl: pick([1, 2, 3, 64, 255]),
            tos: r.below(256),
            df,
            ...(chance(15) ? { mf: true } : {}),
            ...(chance(15) ? { frag: r.below(100) } : {}),
            ...(chance(15)
              ? {
                  ip_options_hex: pick(["07070400000000" + "00", "94040000", "01010101"]),
                }
              : {}),
            l4: pick([
              { kind: "udp", sport: 5000 + i, dport: 6000 + i, len: r.below(1400) },
              {
                kind: "icmp",
                type: pick([8, 13, 17, 0, 3, 42]),
                code: 0,
                id: 5,
                seq: 1,
                len: 12 + r.below(1000),
              },
              {
                kind: "tcp",
                sport: 5000 + i,
                dport: 6000 + i,
                flags: pick(["S", "A", "R", "SA", "FA"]),
                len: 0,
                seqno: 1000,
                ackno: 2000,
              },
            ]),
          },
        });
      }
    }
  }
  return {
    name,
    netns: netns as LabTopology["netns"],
    links,
    traffic,
    ...({ title: name, what: "random" } as object),
    kernel: "6.18",
  };
}

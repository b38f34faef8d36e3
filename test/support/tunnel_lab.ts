// Random labs in the form of kernel-lab's topology.json for the devices that not every kernel has: pods of two or three
// nodes over tunl0 with a route per node (Calico), over named IPIP tunnels or over Geneve, on a switch, through a router
// with a smaller MTU or with a second network card; kube-proxy's IPVS services, or its iptables rules; traffic that
// meets MTU, TTL and fragments inside and outside the tunnel.

import type { Prng } from "../../src/base/prng.js";
import type { LabTopology } from "../../src/conformance/kernel.js";
import type { TrafficOp } from "../../src/conformance/kernel_traffic.js";
import { addOutside, addPods, Draw, type DrawnNetns, type EndHost, type Fabric, hex2 } from "./random_lab.js";
import { addRules } from "./random_lab_rules.js";
import { randomTraffic, serversOf } from "./random_lab_traffic.js";

const SCHEDULERS = ["rr", "rr", "wrr", "lc", "wlc", "sh", "sed", "nq"];
const SIZES = [0, 20, 900, 1352, 1372, 1400, 1432, 1452, 1472, 2500, 4000, 8000];
const PMTU = ["dont", "want", "do", "probe"];

/** A lab drawn from `r`. The same generator state gives the same lab. */
export function tunnelLab(r: Prng, name: string): LabTopology {
  const d = new Draw(r);
  const nodes = d.pick([2, 2, 2, 3]);
  const mode = d.pick(["tunl0", "tunl0", "tunl0", "named", "geneve", "geneve"]);
  const routed = d.chance(45);
  const overhead = mode === "geneve" ? 50 : 20;
  const f: Fabric = {
    routed,
    vxlan: true,
    // Pods mostly know what the tunnel takes; some believe in a whole Ethernet.
    podMtu: d.chance(55) ? 1500 - overhead : d.pick([1500, 1400]),
    pathMtu: routed && d.chance(60) ? d.pick([1450, 1400, 1300, 1000]) : 1500,
    secondNic: !routed && d.chance(35),
  };
  if (routed) {
    const rt = d.ns("rt", "node");
    rt.sysctl["net/ipv4/ip_forward"] = 1;
    rt.trace = false;
  } else d.switch("sw");
  if (f.secondNic) d.switch("sw2");
  for (let i = 0; i < nodes; i++) addUplinks(d, f, i);
  if (mode === "geneve") addGeneve(d, nodes);
  else addIpip(d, f, nodes, mode === "named");
  for (let i = 0; i < nodes; i++) addPods(d, f, d.netns[`n${i + 1}`]!, i);
  if (d.chance(50)) addOutside(d, f, nodes);
  const ipvs = d.chance(60);
  if (ipvs) addIpvs(d, nodes);
  else if (d.chance(60)) addRules(d, nodes);
  const traffic = [...tunnelTraffic(d, ipvs), ...randomTraffic(d).slice(0, 3)];
  // Steps are named by their place.
  traffic.forEach((op, i) => {
    (op as { id: string }).id = `s${i}`;
  });
  traffic.push({ op: "sleep", id: "end", seconds: 3.6 });
  return {
    name,
    netns: d.netns as LabTopology["netns"],
    links: d.links,
    traffic,
    ...({ title: name, what: "tunnels and services" } as object),
  };
}

/** Node `i`'s way to the others: a switch (or two), or a network of its own behind the router. */
function addUplinks(d: Draw, f: Fabric, i: number): void {
  const n = `n${i + 1}`;
  const node = d.ns(n, "node");
  node.sysctl["net/ipv4/ip_forward"] = 1;
  const up = f.routed ? `172.16.${i + 1}.2` : `172.16.0.${i + 1}`;
  d.nodeIps.push(up);
  const mtu = f.pathMtu < 1500 && i === 1 ? f.pathMtu : 1500;
  if (f.routed) {
    // The node itself does not always know that its way is narrow: the router's side is.
    const own = d.chance(50) ? mtu : 1500;
    d.veth({ ns: n, name: "eth0", mtu: own }, { ns: "rt", name: `r${i + 1}`, mtu });
    d.netns.rt!.addresses.push({ dev: `r${i + 1}`, addr: `172.16.${i + 1}.1/24` });
    node.routes.push({ dst: "default", via: `172.16.${i + 1}.1`, dev: "eth0" });
  } else {
    d.veth({ ns: n, name: "eth0", mtu }, { ns: "sw", name: `s${i + 1}`, mtu: 1500, master: "br0" });
    if (d.chance(60)) node.routes.push({ dst: "default", via: "172.16.0.254", dev: "eth0" });
  }
  node.addresses.push({ dev: "eth0", addr: `${up}/24` });
  if (f.secondNic) {
    d.veth({ ns: n, name: "eth1", mtu: 1500 }, { ns: "sw2", name: `t${i + 1}`, mtu: 1500, master: "br0" });
    node.addresses.push({ dev: "eth1", addr: `172.17.0.${i + 1}/24` });
  }
  if (d.chance(30))
    node.routes.push({ dst: `10.${i + 1}.0.0/24`, type: d.pick(["blackhole", "unreachable", "prohibit"]) });
  if (d.chance(15)) node.sysctl["net/ipv4/conf/all/rp_filter"] = 1 + d.r.below(2);
  if (d.chance(15)) node.sysctl["net/ipv4/ip_default_ttl"] = 32 + d.r.below(100);
}

/** TTL, TOS and path MTU discovery of an IPIP device; the tools refuse a fixed TTL without the last. */
function ipipOptions(d: Draw): object {
  const kind = d.r.below(10);
  return {
    ...(kind < 2 ? { pmtudisc: false } : kind < 4 ? { pmtudisc: true } : {}),
    ...(kind === 2 ? { ttl: 2 + d.r.below(60) } : {}),
    ...(d.chance(20) ? { tos: "inherit" } : {}),
  };
}

function addIpip(d: Draw, f: Fabric, nodes: number, named: boolean): void {
  for (let i = 0; i < nodes; i++) {
    const ns = `n${i + 1}`;
    const node = d.netns[ns]!;
    if (!named) {
      d.links.push({
        kind: "ipip",
        ns,
        name: "tunl0",
        mtu: d.pick([1480, 1480, 1440, 1500]),
        ...ipipOptions(d),
      });
      if (d.chance(85)) node.addresses.push({ dev: "tunl0", addr: `10.${i + 1}.0.0/32` });
    }
    for (let j = 0; j < nodes; j++) {
      if (j === i) continue;
      const second = f.secondNic && d.chance(50);
      const to = second ? `172.17.0.${j + 1}` : d.nodeIps[j]!;
      const route = { dst: `10.${j + 1}.0.0/24`, ...(d.chance(15) ? { mtu: 1300 } : {}) };
      if (!named) {
        node.routes.push({ ...route, via: to, dev: "tunl0", onlink: true });
        continue;
      }
      const dev = `tun${j + 1}`;
      d.links.push({
        kind: "ipip",
        ns,
        name: dev,
        mtu: d.pick([1480, 1480, 1440]),
        local: second ? `172.17.0.${i + 1}` : d.nodeIps[i]!,
        remote: to,
        ...(d.chance(30) ? { dev: second ? "eth1" : "eth0" } : {}),
        ...ipipOptions(d),
      });
      if (d.chance(40)) node.addresses.push({ dev, addr: `10.${i + 1}.0.0/32` });
      node.routes.push({ ...route, dev, scope: "link" });
    }
  }
}

/** A device for each pair of nodes, with the MAC of the other end in the neighbour table. */
function addGeneve(d: Draw, nodes: number): void {
  const mac = (i: number, j: number): string => `02:bb:00:00:${hex2(i + 1)}:${hex2(j + 1)}`;
  for (let i = 0; i < nodes; i++) {
    const ns = `n${i + 1}`;
    const node = d.netns[ns]!;
    for (let j = 0; j < nodes; j++) {
      if (j === i) continue;
      const dev = `gnv${j + 1}`;
      d.links.push({
        kind: "geneve",
        ns,
        name: dev,
        mac: mac(i, j),
        vni: 100 + i + j,
        remote: d.nodeIps[j]!,
        mtu: d.pick([1450, 1450, 1450, 1400]),
        ...(d.chance(50) ? { udpcsum: d.chance(50) } : {}),
        ...(d.chance(30) ? { ttl: d.pick([2, 20, "inherit"]) } : {}),
        ...(d.chance(30) ? { tos: "inherit" } : {}),
        ...(d.chance(50) ? { df: d.pick(["set", "inherit", "unset"]) } : {}),
      });
      if (d.chance(85)) node.addresses.push({ dev, addr: `10.${i + 1}.0.0/32` });
      node.routes.push({ dst: `10.${j + 1}.0.0/24`, via: `10.${j + 1}.0.0`, dev, onlink: true });
      node.neigh.push({ ip: `10.${j + 1}.0.0`, mac: mac(j, i), dev });
    }
  }
}

/** Three services behind kube-ipvs0 of some nodes, with node ports, and the rules that masquerade. */
function addIpvs(d: Draw, nodes: number): void {
  for (let i = 0; i < 3; i++) {
    const backends = d.pods.filter(() => d.chance(60)).slice(0, 4);
    if (backends.length === 0) backends.push(d.pick(d.pods));
    d.services.push({
      vip: `10.96.0.${10 + i}`,
      port: 80 + i,
      nodePort: 30080 + i,
      proto: d.pick(["tcp", "udp"] as const),
      backend: backends[0]!,
      backends,
      target: 9000 + i,
    });
  }
  for (let i = 0; i < nodes; i++) if (i === 0 || d.chance(80)) addBalancer(d, i);
}

function addBalancer(d: Draw, i: number): void {
  const ns = `n${i + 1}`;
  const node = d.netns[ns]!;
  d.links.push({ kind: "dummy", ns, name: "kube-ipvs0", mac: `02:69:70:76:73:${hex2(i)}`, up: false });
  const services: object[] = [];
  const nat: string[] = [];
  const filter: string[] = [];
  const mark = "-j MARK --set-xmark 0x4000/0x4000";
  const cidr = `10.${i + 1}.0.0/24`;
  const masqAll = d.chance(25);
  for (const s of d.services) {
    node.addresses.push({ dev: "kube-ipvs0", addr: `${s.vip}/32` });
    const scheduler = d.pick(SCHEDULERS);
    const persistent = d.chance(15) ? { persistent: 10800 } : {};
    const weighted = d.chance(40);
    const servers = s.backends!.map((b) => ({
      addr: b.ip,
      port: s.target,
      weight: weighted ? d.pick([0, 1, 2, 3, 5]) : 1,
      forward: "masq",
    }));
    if (d.chance(8)) servers.length = 0;
    const common = { proto: s.proto, scheduler, servers, ...persistent };
    services.push({ ...common, addr: s.vip, port: s.port });
    services.push({ ...common, addr: d.nodeIps[i]!, port: s.nodePort });
    const at = `-p ${s.proto} -m ${s.proto} --dport`;
    for (const c of ["PREROUTING", "OUTPUT"]) {
      const from = masqAll ? "" : `! -s ${cidr} `;
      if (d.chance(85)) nat.push(`-A ${c} ${from}-d ${s.vip}/32 ${at} ${s.port} ${mark}`);
      if (d.chance(85)) nat.push(`-A ${c} ${at} ${s.nodePort} -m addrtype --dst-type LOCAL ${mark}`);
    }
    const b = d.pick(s.backends!);
    if (d.chance(20))
      filter.push(
        `-A ${d.pick(["OUTPUT", "FORWARD"])} -d ${b.ip}/32 ${at} ${s.target} -j REJECT --reject-with ${d.pick(
          ["icmp-port-unreachable", "icmp-admin-prohibited"],
        )}`,
      );
  }
  if (d.chance(70)) nat.push(`-A POSTROUTING -s ${cidr} -d ${cidr} -j MASQUERADE`);
  nat.push("-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE");
  if (d.chance(30)) filter.push("-A FORWARD -m conntrack --ctstate INVALID -j DROP");
  if (d.chance(30)) filter.push("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
  node.iptables = `*nat\n${nat.join("\n")}\nCOMMIT\n${filter.length > 0 ? `*filter\n${filter.join("\n")}\nCOMMIT\n` : ""}`;
  // What kube-proxy writes, mostly.
  node.sysctl["net/ipv4/vs/conntrack"] = d.chance(85) ? 1 : 0;
  node.sysctl["net/ipv4/vs/conn_reuse_mode"] = d.chance(60) ? 0 : 1;
  node.sysctl["net/ipv4/vs/expire_nodest_conn"] = d.chance(60) ? 1 : 0;
  if (d.chance(20)) node.sysctl["net/ipv4/vs/snat_reroute"] = 0;
  (node as DrawnNetns & { ipvs?: object }).ipvs = {
    services,
    ...(d.chance(20) ? { timeouts: [600, 60, d.pick([30, 120])] } : {}),
  };
}

/** Three to six steps that meet what tunnels and services do. */
function tunnelTraffic(d: Draw, ipvs: boolean): TrafficOp[] {
  const ops: TrafficOp[] = [];
  let port = 40_000 + d.r.below(10_000);
  const ends: EndHost[] = d.outside === null ? d.pods : [...d.pods, d.outside];
  for (let n = 3 + d.r.below(4); n > 0; n--) {
    const a = d.pick(ends);
    const from = a.node >= 0 && d.chance(20) ? `n${a.node + 1}` : a.ns;
    const kind = d.r.below(10);
    if (d.services.length > 0 && kind < 5) {
      serviceStep(d, ops, from, a, port++);
      continue;
    }
    const others = d.pods.filter((p) => p.node !== a.node);
    const b = d.pick(others.length > 0 ? others : d.pods);
    const dport = 7000 + d.r.below(100);
    const server = d.chance(80) ? { server: { ns: b.ns, port: dport } } : {};
    const ttl = d.chance(30) ? { ttl: 1 + d.r.below(3) } : {};
    const tos = d.chance(25) ? { tos: d.r.below(256) } : {};
    const common = { id: "", ns: from, dst: b.ip, timeout: 0.5 };
    if (kind < 7)
      ops.push({
        op: "ping",
        ...common,
        ident: port++,
        count: 2,
        size: d.pick(SIZES),
        pmtu: d.pick(PMTU),
        ...ttl,
        ...tos,
      });
    else if (kind < 9)
      ops.push({
        op: "udp",
        ...common,
        sport: port++,
        dport,
        size: d.pick(SIZES),
        count: 1 + d.r.below(3),
        pmtu: d.pick(PMTU),
        ...server,
        ...ttl,
        ...tos,
      });
    else
      ops.push({
        op: "tcp",
        ...common,
        sport: port++,
        dport,
        c2s: 1 + d.r.below(8000),
        s2c: 1 + d.r.below(8000),
        ...server,
        ...tos,
      });
  }
  if (ipvs && d.chance(35)) changeServers(d, ops, port);
  return ops;
}

function serviceStep(d: Draw, ops: TrafficOp[], from: string, a: EndHost, sport: number): void {
  const s = d.pick(d.services);
  const byNodePort = d.chance(35);
  const dst = byNodePort ? d.pick(d.nodeIps) : s.vip;
  const dport = byNodePort ? s.nodePort : s.port;
  if (d.chance(20)) {
    // In two fragments.
    const len = 800 + 8 * d.r.below(200);
    const udp = [sport, dport, len, 0].map((x) => x.toString(16).padStart(4, "0")).join("");
    const all = udp + "5a".repeat(len - 8);
    const ip = { src: a.ip, dst, id: 1 + d.r.below(65535), ttl: d.pick([2, 64]), tos: 0, proto: 17 };
    const cut = 8 * (1 + d.r.below(90));
    for (const part of [
      { ...ip, mf: true, payload_hex: all.slice(0, cut * 2) },
      { ...ip, frag: cut / 8, payload_hex: all.slice(cut * 2) },
    ])
      ops.push({ op: "raw", id: "", ns: a.ns, settle: 0.05, ip: part });
    return;
  }
  const common = {
    id: "",
    ns: from,
    dst,
    sport,
    dport,
    timeout: 0.5,
    ...(d.chance(80) ? { server: serversOf(s) } : {}),
    ...(d.chance(20) ? { ttl: 1 + d.r.below(4) } : {}),
  };
  if (s.proto === "udp")
    ops.push({ op: "udp", ...common, size: d.pick(SIZES), count: 1 + d.r.below(2), pmtu: d.pick(PMTU) });
  else {
    for (let k = 1 + d.r.below(3); k > 0; k--)
      ops.push({
        op: "tcp",
        ...common,
        sport: sport + 50 * k,
        c2s: 1 + d.r.below(8000),
        s2c: 1 + d.r.below(8000),
      });
  }
}

/** A server gets weight 0 or leaves; the same client asks again before and after. */
function changeServers(d: Draw, ops: TrafficOp[], port: number): void {
  const s = d.pick(d.services);
  const a = d.pick(d.pods);
  const t = s.proto === "tcp" ? "-t" : "-u";
  const key = [t, `${s.vip}:${s.port}`, "-r", `${s.backend.ip}:${s.target}`];
  const ask: TrafficOp = {
    op: s.proto,
    id: "",
    ns: a.ns,
    dst: s.vip,
    sport: port + 300,
    dport: s.port,
    timeout: 0.5,
    server: serversOf(s),
    ...(s.proto === "udp" ? { size: 30 } : { c2s: 20, s2c: 20 }),
  };
  ops.push({ ...ask });
  ops.push({
    op: "cmd",
    id: "",
    ns: `n${a.node + 1}`,
    argv: d.chance(50) ? ["ipvsadm", "-e", ...key, "-m", "-w", "0"] : ["ipvsadm", "-d", ...key],
  });
  ops.push({ ...ask }, { ...ask, sport: port + 301 });
}

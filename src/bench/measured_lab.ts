// The network on which legacy and BPF host routing were measured (two nodes on one veth pair, pods p1 and p2 on the first,
// p3 on the second, /32 routes), in the model: the same rule sets, the same operations, and what each operation's
// packets meet on the way. Counts of these walks are what the modelled cost is checked with.

import { PodpathError } from "../base/errors.js";
import { Program } from "../bpf/program.js";
import type { Skb } from "../bpf/skb.js";
import { Step, StepRecorder } from "../bpf/steps.js";
import { TC_ACT_OK, TC_ACT_SHOT } from "../bpf/verdict.js";
import { restoreIptables } from "../cluster/netcfg.js";
import { inject } from "../kernel/dev.js";
import { RX_PACKETS } from "../kernel/device.js";
import { KernelHelpers } from "../kernel/helpers.js";
import { ip_rule } from "../kernel/iproute.js";
import { Kernel } from "../kernel/kernel.js";
import type { Netns } from "../kernel/netns.js";
import { alloc_local_skb } from "../kernel/skbuff.js";
import { TcpSock } from "../kernel/tcp.js";
import { buildTopology, parseMac, type TopoNetns } from "../kernel/topology.js";
import { UdpSock } from "../kernel/udp.js";
import { parseIpv4 } from "../net/address.js";
import { buildFrame, eth, ip4, udp } from "../net/build.js";
import { ttlOf, walksOf } from "../walk/walk.js";
import { type StepCounts, stepCounts } from "./cost_model.js";

const BUILTIN = new Set([
  "PREROUTING",
  "INPUT",
  "FORWARD",
  "OUTPUT",
  "POSTROUTING",
  "ACCEPT",
  "DROP",
  "RETURN",
]);
const TARGETS = new Set(["MARK", "CT", "MASQUERADE", "SNAT", "DNAT"]);

/** Rules of the "about 30" configuration: what the agent of a node with iptables writes. */
export const THIRTY_RULES = rules({
  raw: [
    "PREROUTING -j CILIUM_PRE_raw",
    "OUTPUT -j CILIUM_OUTPUT_raw",
    "CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -j CT --notrack",
    "CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0xa00/0xfffffeff -j CT --notrack",
    "CILIUM_OUTPUT_raw -o cilium_host -m mark --mark 0xa00/0xfffffeff -j CT --notrack",
    "CILIUM_OUTPUT_raw -o lxc+ -m mark --mark 0x800/0xe00 -j CT --notrack",
  ],
  mangle: [
    "PREROUTING -j CILIUM_PRE_mangle",
    "POSTROUTING -j CILIUM_POST_mangle",
    "CILIUM_PRE_mangle ! -o lo -m socket --transparent -j MARK --set-xmark 0x200/0xffffffff",
    "CILIUM_PRE_mangle -p tcp -m mark --mark 0xf00/0xffff -j MARK --set-xmark 0x200/0xf00",
    "CILIUM_PRE_mangle -p udp -m mark --mark 0xf00/0xffff -j MARK --set-xmark 0x200/0xf00",
  ],
  nat: [
    "PREROUTING -j CILIUM_PRE_nat",
    "OUTPUT -j CILIUM_OUTPUT_nat",
    "POSTROUTING -j CILIUM_POST_nat",
    "CILIUM_POST_nat -s 10.0.0.0/24 ! -d 10.0.0.0/16 ! -o cilium_+ -j MASQUERADE",
    "CILIUM_POST_nat -m mark --mark 0xa00/0xe00 -j ACCEPT",
    "CILIUM_POST_nat ! -s 10.0.0.0/24 ! -d 10.0.0.0/24 -o cilium_host -j SNAT --to-source 10.0.0.1",
  ],
  filter: [
    "INPUT -j CILIUM_INPUT",
    "FORWARD -j CILIUM_FORWARD",
    "OUTPUT -j CILIUM_OUTPUT",
    "CILIUM_INPUT -m mark --mark 0x200/0xf00 -j ACCEPT",
    "CILIUM_OUTPUT -m mark --mark 0xa00/0xfffffeff -j ACCEPT",
    "CILIUM_FORWARD -o cilium_host -j ACCEPT",
    "CILIUM_FORWARD -i cilium_host -j ACCEPT",
    "CILIUM_FORWARD -i cilium_net -j ACCEPT",
    "CILIUM_FORWARD -o lxc+ -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
    "CILIUM_FORWARD -i lxc+ -j ACCEPT",
    "CILIUM_FORWARD -o lxc+ -j ACCEPT",
  ],
});

/** kube-proxy's rules for `n` ClusterIP services with two endpoints each. */
export function kubeRules(n: number): string {
  const nat = [
    "PREROUTING -j KUBE-SERVICES",
    "OUTPUT -j KUBE-SERVICES",
    "POSTROUTING -j KUBE-POSTROUTING",
    "KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    "KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
    "KUBE-POSTROUTING -j MASQUERADE",
  ];
  for (let i = 0; i < n; i++) {
    const ip = `10.96.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`;
    nat.push(
      `KUBE-SERVICES -d ${ip}/32 -p tcp -m comment --comment "s${i} cluster IP" -m tcp --dport 80 -j KUBE-SVC-${i}`,
      `KUBE-SVC-${i} ! -s 10.0.0.0/8 -d ${ip}/32 -p tcp -m comment --comment "s${i} cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ`,
      `KUBE-SVC-${i} -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-${i}A`,
      `KUBE-SVC-${i} -j KUBE-SEP-${i}B`,
    );
    for (const [side, ep] of [
      ["A", "10.0.0.86"],
      ["B", "10.0.1.124"],
    ]) {
      nat.push(
        `KUBE-SEP-${i}${side} -s ${ep}/32 -j KUBE-MARK-MASQ`,
        `KUBE-SEP-${i}${side} -p tcp -m tcp -j DNAT --to-destination ${ep}:8080`,
      );
    }
  }
  nat.push("KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS");
  return rules({
    nat,
    filter: [
      "INPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
      "INPUT -j KUBE-FIREWALL",
      "FORWARD -j KUBE-FORWARD",
      "FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
      "OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
      "OUTPUT -j KUBE-FIREWALL",
      "KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
      "KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
      "KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
      "KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ],
  });
}

/** `n` rules in FORWARD that no packet of the measurement meets, behind one that accepts what is established or not. */
export function forwardRules(n: number, conntrack = false): string {
  const drops = Array.from(
    { length: n },
    (_, i) => `FORWARD -s 172.16.${Math.floor(i / 250)}.${1 + (i % 250)}/32 -j DROP`,
  );
  const accept = "FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
  return rules({ filter: conntrack ? [accept, ...drops] : drops });
}

/** The pods' addresses behind others, which `operation` then calls: 10.96.x.y for 10.0.x.y. */
export const DNAT_RULES = rules({
  nat: ["0.86", "1.124"].map((pod) => `PREROUTING -d 10.96.${pod}/32 -j DNAT --to-destination 10.0.${pod}`),
});

/** iptables-restore text; chains are declared where they are named. */
function rules(tables: Readonly<Record<string, readonly string[]>>): string {
  let out = "";
  for (const [table, list] of Object.entries(tables)) {
    const chains = new Set<string>();
    for (const r of list) {
      for (const name of [r.split(" ")[0]!, / -j (\S+)/.exec(r)?.[1] ?? ""])
        if (name !== "" && !BUILTIN.has(name) && !TARGETS.has(name)) chains.add(name);
    }
    out += `*${table}\n${[...chains].map((c) => `:${c} - [0:0]\n`).join("")}${list.map((r) => `-A ${r}\n`).join("")}COMMIT\n`;
  }
  return out;
}

/** What one operation is: TCP request/response on a connection, connection with one, one datagram. */
export type MeasuredTest = "rr" | "crr" | "pps";
export type MeasuredPath = "same" | "cross";

export interface MeasuredLabOptions {
  /** BPF host routing: redirect_peer and redirect_neigh. */
  readonly bpf: boolean;
  /** iptables-restore text of both nodes; "" for none. */
  readonly rules: string;
  /** Policy routing rules in front of the main table on both nodes (`ip rule` arguments). */
  readonly ipRules?: readonly string[];
  /** Programs that let everything pass at both tc hooks of the pods' devices, as per-endpoint routes have. */
  readonly programs?: boolean;
  /** Operations call the addresses of DNAT_RULES. */
  readonly dnat?: boolean;
}

const PODS = { p1: "10.0.0.85", p2: "10.0.0.86", p3: "10.0.1.124" } as const;
const UPLINKS = { n1: "192.168.0.120", n2: "192.168.0.130" } as const;
const macOf = (kind: "aa" | "bb", ip: string): string =>
  `02:${kind}:00:00:00:${Number(ip.split(".")[3]).toString(16).padStart(2, "0")}`;

/** The built network. */
export class MeasuredLab {
  readonly kernel = new Kernel({ name: "measured", cpus: 1 });
  readonly #ns: ReadonlyMap<string, Netns>;
  #port = 7000;

  constructor(private readonly o: MeasuredLabOptions) {
    const nodes = [
      ["n1", "n2", ["p1", "p2"], "10.0.1.0/24"],
      ["n2", "n1", ["p3"], "10.0.0.0/24"],
    ] as const;
    const netns: Record<string, TopoNetns> = {};
    const links = [
      {
        kind: "veth",
        ends: [
          { ns: "n1", name: "ens33", mac: "02:cc:00:00:00:01" },
          { ns: "n2", name: "ens33", mac: "02:cc:00:00:00:02" },
        ],
      },
    ];
    for (const [name, other, pods, net] of nodes) {
      const routes: { dst: string; via?: string; dev: string; scope?: string }[] = [
        { dst: net, via: UPLINKS[other], dev: "ens33" },
      ];
      for (const p of pods) {
        const ip = PODS[p];
        const dev = `lxc${p.slice(1)}`;
        links.push({
          kind: "veth",
          ends: [
            { ns: name, name: dev, mac: macOf("bb", ip) },
            { ns: p, name: "eth0", mac: macOf("aa", ip) },
          ],
        });
        routes.push({ dst: `${ip}/32`, dev, scope: "link" });
        netns[p] = {
          addresses: [{ dev: "eth0", addr: `${ip}/32` }],
          routes: [
            { dst: "169.254.1.1", dev: "eth0", scope: "link" },
            { dst: "default", via: "169.254.1.1", dev: "eth0" },
          ],
          neigh: [{ dev: "eth0", ip: "169.254.1.1", mac: macOf("bb", ip) }],
        };
      }
      netns[name] = {
        sysctl: { "net/ipv4/ip_forward": 1 },
        addresses: [{ dev: "ens33", addr: `${UPLINKS[name]}/24` }],
        routes,
      };
    }
    this.kernel.clock.set(1000e9);
    const built = buildTopology(this.kernel, { netns, links }, (name, ns) => {
      if (!(name in UPLINKS)) return;
      for (const r of o.ipRules ?? []) ip_rule(ns, ["add", ...r.split(" ")]);
      if (o.rules !== "") restoreIptables(ns, o.rules, name);
      if (o.bpf) attachHostRouting(ns);
      if (o.programs === true) attachPassing(ns);
    });
    this.#ns = built.ns;
  }

  /** What the packets of one operation meet, after others of its kind went before (neighbours known, connection up). */
  operation(test: MeasuredTest, path: MeasuredPath): StepCounts {
    const to = path === "same" ? "p2" : "p3";
    const port = this.#port++;
    const client = this.#ns.get("p1")!;
    const server = this.#ns.get(to)!;
    const ip = parseIpv4(this.o.dnat === true ? PODS[to].replace("10.0.", "10.96.") : PODS[to]);
    if (test === "pps") {
      const s = new UdpSock(server);
      s.bind(0, port);
      const c = new UdpSock(client);
      c.connect(ip, port);
      const send = (): void => {
        c.sendto(new Uint8Array(64));
        this.#settle();
      };
      // The measured sender gets no answers: netfilter's entry is never confirmed by a reply, but it is there.
      send();
      return this.#count(send);
    }
    const listener = new TcpSock(server);
    listener.bind(0, port);
    listener.listen(16);
    listener.onAccept = () => {
      for (let a = listener.accept(); a !== null; a = listener.accept()) {
        const conn = a;
        const answer = (): void => {
          if (conn.recv(4096).length > 0) conn.send(new Uint8Array(64));
        };
        conn.onEvent = answer;
        answer();
      }
    };
    const connect = (): TcpSock => {
      const c = new TcpSock(client);
      c.connect(ip, port);
      this.#settle();
      return c;
    };
    const exchange = (c: TcpSock): void => {
      c.send(new Uint8Array(64));
      this.#settle();
      c.recv(4096);
    };
    if (test === "crr") {
      const whole = (): void => {
        const c = connect();
        exchange(c);
        c.abort();
        this.#settle();
      };
      whole();
      return this.#count(whole);
    }
    const c = connect();
    exchange(c);
    return this.#count(() => exchange(c));
  }

  /**
   * Packets of an established flow from p1 to p2 as the node forwards them: a datagram is put in where it comes from
   * p1's veth, and dropped at p2's end of the other. Gives what one meets, and a function that sends `n`.
   */
  forwarding(): { readonly counts: StepCounts; readonly send: (n: number) => void } {
    const [client, node, server] = ["p1", "n1", "p2"].map((n) => this.#ns.get(n)!) as [Netns, Netns, Netns];
    const port = this.#port++;
    const s = new UdpSock(server);
    s.bind(0, port);
    s.onDatagram = (d) => {
      s.sendto(d.data, d.from, d.sport);
    };
    const c = new UdpSock(client);
    c.bind(0, port);
    c.connect(parseIpv4(PODS.p2), port);
    c.onDatagram = () => {};
    // Answered once, so that connection tracking takes it for established, and neighbours are known.
    c.sendto(new Uint8Array(18));
    this.#settle();
    const eth0 = server.devByName("eth0")!;
    eth0.tc_ingress = new Program(
      { name: "drop", type: "sched_cls", section: "tc", file: "measured_lab.ts" },
      () => TC_ACT_SHOT,
    );
    const frame = buildFrame([
      eth({ dst: parseMac(macOf("bb", PODS.p1)), src: parseMac(macOf("aa", PODS.p1)), type: 0x0800 }),
      ip4({ src: PODS.p1, dst: PODS.p2, id: 1 }),
      udp({ src: port, dst: port }),
      new Uint8Array(18),
    ]);
    const from = node.devByName("lxc1")!;
    const send = (n: number): void => {
      for (let i = 0; i < n; i++) {
        const skb = alloc_local_skb(node);
        skb.setFrame(frame);
        inject(from, skb);
      }
    };
    const before = eth0.stats[RX_PACKETS]!;
    const counts = this.#count(() => send(1));
    if (eth0.stats[RX_PACKETS] !== before + 1)
      throw new PodpathError("UNSUPPORTED", "bench: the node does not forward");
    return { counts, send };
  }

  /** Runs what is due now, not timers of the future (delayed ACKs, retransmissions). */
  #settle(): void {
    this.kernel.runUntil(this.kernel.clock.ns);
  }

  #count(action: () => void): StepCounts {
    const rec = new StepRecorder(this.kernel.clock, 1 << 16);
    for (const ns of this.#ns.values()) ns.recorder = rec;
    action();
    for (const ns of this.#ns.values()) ns.recorder = null;
    const byId = new Map([...this.#ns.values()].map((n) => [n.id, n]));
    const walks = walksOf(rec.records(), {
      netns: (id) => byId.get(id)?.name ?? String(id),
      device: (id, i) => byId.get(id)?.dev(i)?.name ?? String(i),
      dropReason: (code) => String(code),
    });
    // A walk without an IP packet is ARP's.
    return stepCounts(
      walks.filter((w) => w.steps.some((s) => s.kind !== Step.ARP && ttlOf(s.record.frame) !== undefined)),
      (where) => where.startsWith("p"),
    );
  }
}

function attachPassing(ns: Netns): void {
  const pass = new Program(
    { name: "pass", type: "sched_cls", section: "tc", file: "measured_lab.ts" },
    () => TC_ACT_OK,
  );
  for (const d of ns.devOrder) {
    if (!d.name.startsWith("lxc")) continue;
    d.tc_ingress = pass;
    d.tc_egress = pass;
  }
}

/** Programs that do what the measured ones did: TTL and MACs, then redirect_peer or redirect_neigh. */
function attachHostRouting(ns: Netns): void {
  const h = new KernelHelpers(ns.kernel);
  const uplink = ns.devByName("ens33")!.ifindex;
  const local = new Map<number, { ifindex: number; pod: Uint8Array; node: Uint8Array }>();
  for (const ip of Object.values(PODS)) {
    const dev = ns.devOrder.find((d) => d.name === `lxc${Object.values(PODS).indexOf(ip) + 1}`);
    if (dev === undefined) continue;
    local.set(parseIpv4(ip), {
      ifindex: dev.ifindex,
      pod: parseMac(macOf("aa", ip)),
      node: parseMac(macOf("bb", ip)),
    });
  }
  const run =
    (fromPod: boolean) =>
    (skb: Skb): number => {
      const d = skb.data;
      if (skb.tail - d < 34 || skb.view.getUint16(d + 12, false) !== 0x0800) return TC_ACT_OK;
      const n = d + 14;
      const to = local.get(skb.view.getInt32(n + 16, true));
      if (to === undefined && !fromPod) return TC_ACT_OK;
      const sum = skb.view.getUint16(n + 10, false) + 0x0100;
      skb.view.setUint16(n + 10, sum + (sum >= 0xffff ? 1 : 0), false);
      skb.bytes[n + 8]!--;
      if (to === undefined) return h.redirect_neigh(skb, uplink, null, 0);
      skb.bytes.set(to.pod, d);
      skb.bytes.set(to.node, d + 6);
      return h.redirect_peer(skb, to.ifindex, 0);
    };
  const spec = (name: string) =>
    ({ name, type: "sched_cls", section: "tc", file: "measured_lab.ts" }) as const;
  for (const d of ns.devOrder) {
    if (d.name.startsWith("lxc")) d.tc_ingress = new Program(spec("from_pod"), run(true));
    if (d.name === "ens33") d.tc_ingress = new Program(spec("from_netdev"), run(false));
  }
}

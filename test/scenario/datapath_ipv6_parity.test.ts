// Every path of the datapath facts over IPv6 beside IPv4 in one dual-stack lab: the two traces are the same but for what
// the families differ in by design. Those differences are written down here, in `asIpv6`; everything else is compared in
// full: devices, programs, redirects, hop limits, events, their order and fields.
import { describe, expect, it } from "vitest";
import type { DatapathName } from "../../src/cluster/model.js";
import type { Lab } from "../../src/lab.js";
import { udpEnd } from "../../src/scenario/clients.js";
import { DEBUG, NAMES } from "../support/datapath_lab.js";
import { dualLab } from "../support/dual_lab.js";
import { traceOf } from "../support/event_trace.js";

type Family = "IPv4" | "IPv6";
/** What one case does over a family. */
type Run = (lab: Lab, ipFamily: Family) => void;

/** The addresses of the lab in both families. */
const ADDRESSES: Readonly<Record<string, string>> = {
  "10.0.0.1": "fd00:10::1",
  "10.0.1.1": "fd00:11::1",
  "10.0.0.11": "fd00:10::11",
  "10.0.0.12": "fd00:10::12",
  "10.0.1.21": "fd00:11::21",
  "10.96.0.10": "fd00:96::10",
  "169.254.42.1": "fe80::1",
  "192.168.0.11": "fd00:1::11",
  "192.168.0.12": "fd00:1::12",
  "192.168.0.99": "fd00:1::99",
};
const ADDRESS = /\b(?:10|169|192)(?:\.\d+){3}\b/g;

/** The last four bytes of an address as messages 51 and 59 print them; each is 0:x here. */
const p4 = (a: string): string => `[::0:${ADDRESSES[a]!.split(":").at(-1)}]`;

/** Debug messages of IPv4 and their IPv6 counterparts. */
function message(line: string): string {
  const [, who, n, text] = / {2}(\S+) D(\d+) (.*)/.exec(line)!;
  const to = (id: number, t: string): string => `  ${who} D${id} ${t}`;
  switch (Number(n)) {
    case 32:
      return to(24, text!);
    case 36:
      return to(28, text!);
    case 37:
      return to(
        29,
        text!.replace(
          /address=(\S+)/,
          (_m, a: string) => `address.p4=${ADDRESSES[a]!.split(":").at(-1)}000000`,
        ),
      );
    case 48:
      return to(51, text!.replace(ADDRESS, p4));
    case 49:
      return to(52, text!.replace("nexthdr=1 ", "nexthdr=58 "));
    case 50:
      return to(53, text!.replace(" lb=0.0.0.0", ""));
    case 58:
      return to(59, text!.replace("addr=", "addr.p4=").replace(ADDRESS, p4));
    default:
      return line;
  }
}

/** An IPv4 trace in the words of IPv6. */
function asIpv6(trace: string): string {
  const lines = trace.split("\n");
  let stateless = false;
  return lines
    .map((line, i) => {
      // The way back from a local backend in to-netdev: over IPv6 its look-up asks for no state, and prints none.
      if (/ D36 /.test(line) && / D48 /.test(lines[i + 1] ?? "")) stateless = true;
      if (stateless && / D15 /.test(line)) {
        stateless = false;
        return line.replace(/revnat=\d+/, "revnat=0");
      }
      // The outer packets of tunnels stay IPv4.
      const outer = / (vxlan|geneve)$/;
      if (outer.test(line) || (/ D58 /.test(line) && outer.test(lines[i + 1] ?? ""))) return line;
      const l = / D\d+ /.test(line) ? message(line) : line.replace(ADDRESS, (a) => ADDRESSES[a]!);
      // World has an identity of its own in each family.
      return l
        .replace(/ 0\/1 deny/, " 0/58 deny")
        .replace(/\b(identity=|seclabel |src=|dst=|from |to |ingress |egress )9\b/g, "$110")
        .replace(/([(,])9,/, "$110,");
    })
    .join("\n");
}

/** Without the netfilter hooks, which the model has for IPv4 only, and with every reverse NAT id the same. */
function comparable(trace: string): string {
  return trace
    .replace(/ (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)\b/g, "")
    .replace(/\b(revnat|index)=[1-9]\d*/g, "$1=R");
}

const udp =
  (from: string, to: string, port = 9000): Run =>
  (lab, ipFamily) =>
    void lab.udp({ from, to, port, sourcePort: 40000, size: 8, ipFamily });
const tcp =
  (from: string, to: string, port = 9000): Run =>
  (lab, ipFamily) =>
    void lab.tcp({ from, to, port, sourcePort: 40000, send: 8, receive: 8, ipFamily });
const ping =
  (from: string, to: string): Run =>
  (lab, ipFamily) =>
    void lab.ping({ from, to, id: 3072, ipFamily });
/** One datagram that nobody answers. */
const datagram =
  (from: string, to: string, port = 9000): Run =>
  (lab, ipFamily) => {
    const end = udpEnd(lab.endpoint(from).ns!, ipFamily === "IPv6");
    end.bind(40000);
    if (end.connect(lab.endpoint(to), port) !== 0) return;
    end.send(new Uint8Array(8));
    lab.advance("100ms");
    end.close();
  };
const listening =
  (backend: string, run: Run): Run =>
  (lab, ipFamily) => {
    for (const protocol of ["udp", "tcp"] as const)
      lab.traffic.listen({ on: `pod/${backend}`, port: 8080, protocol });
    run(lab, ipFamily);
  };

function service(backend: string, type = ""): string {
  const port = (protocol: string, nodePort: number): string =>
    `{name: ${protocol.toLowerCase()}, port: 80, targetPort: 8080, protocol: ${protocol}${type === "" ? "" : `, nodePort: ${nodePort}`}}`;
  return `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: ${backend}}, clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00:96::10"], ipFamilies: [IPv4, IPv6]${type}, ports: [${port("UDP", 30080)}, ${port("TCP", 30081)}]}
`;
}
const NODE_PORT = ", type: NodePort";

const DENY = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: c}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}
`;

const PER_PACKET = { "bpf-lb-sock-hostns-only": "true" };

const LEGACY = { "enable-host-legacy-routing": "true" };
const ENDPOINT_ROUTES = { "enable-endpoint-routes": "true" };
/** Name, datapath, options, and whether services are sent to. */
const DATAPATHS: readonly (readonly [string, DatapathName, Readonly<Record<string, string>>, boolean])[] = [
  ["BPF host routing", "cilium-host-routing", {}, true],
  ["legacy host routing", "cilium-legacy", {}, true],
  ["legacy host routing with per-endpoint routes", "cilium-legacy", ENDPOINT_ROUTES, true],
  ["VXLAN", "cilium-vxlan", {}, true],
  ["VXLAN with legacy host routing", "cilium-vxlan", LEGACY, false],
  ["Geneve", "cilium-geneve", {}, false],
];

/** Runs cases over both families in one lab and compares. */
function same(lab: Lab, runs: readonly Run[]): void {
  for (const run of runs) {
    const four = traceOf(lab, NAMES, () => run(lab, "IPv4")).text;
    const six = traceOf(lab, NAMES, () => run(lab, "IPv6")).text;
    expect(four).not.toBe("");
    expect(comparable(six)).toBe(comparable(asIpv6(four)));
  }
}

describe.each(DATAPATHS)("IPv6 beside IPv4 with %s", (_name, datapath, options, services) => {
  const build = (more: string, extra: Readonly<Record<string, string>> = {}): Lab =>
    dualLab({ datapath, options: { ...DEBUG, ...options, ...extra } }, more);

  it("goes from pod to pod, between pods and nodes, and masqueraded to the outside, by ICMP, UDP and TCP", () => {
    same(build(""), [
      ping("pod/a", "pod/b"),
      udp("pod/a", "pod/b"),
      tcp("pod/a", "pod/b"),
      ping("pod/a", "pod/c"),
      udp("pod/a", "pod/c"),
      tcp("pod/a", "pod/c"),
      udp("node/n1", "pod/a"),
      udp("node/n1", "pod/c"),
      ping("pod/a", "node/n1"),
      udp("pod/a", "node/n2"),
      ping("pod/a", "host/outside"),
      udp("pod/a", "host/outside"),
      tcp("pod/a", "host/outside"),
    ]);
  });

  it("is refused by policy", () => {
    same(build(DENY), [datagram("pod/a", "pod/c"), udp("pod/b", "pod/c")]);
  });

  // Services of the other two are those of VXLAN.
  if (!services) return;

  it("reaches a ClusterIP at the socket", () => {
    same(build(service("c")), [
      listening("c", udp("pod/a", "service/web", 80)),
      tcp("pod/a", "service/web", 80),
      tcp("node/n1", "service/web", 80),
    ]);
  });

  it("reaches a ClusterIP by packet, on another node and on its own", () => {
    for (const backend of ["c", "b"])
      same(build(service(backend), PER_PACKET), [
        listening(backend, udp("pod/a", "service/web", 80)),
        tcp("pod/a", "service/web", 80),
      ]);
  });

  it("reaches a node port whose backend is on the node, and on the other", () => {
    for (const backend of ["a", "c"])
      same(build(service(backend, NODE_PORT)), [
        listening(backend, udp("host/outside", "node/n1", 30080)),
        tcp("host/outside", "node/n1", 30081),
      ]);
  });
});

describe("IPv6 beside IPv4 with features of the services and of the node", () => {
  const build = (more: string, options: Readonly<Record<string, string>> = {}): Lab =>
    dualLab({ datapath: "cilium-host-routing", options: { ...DEBUG, ...options } }, more);
  const policies = (spec: string): string => service("a", `${NODE_PORT}, ${spec}`);

  it("is refused by a node without a backend under externalTrafficPolicy Local, and served by the other", () => {
    same(build(policies("externalTrafficPolicy: Local")), [
      listening("a", udp("host/outside", "node/n1", 30080)),
      datagram("host/outside", "node/n2", 30080),
    ]);
  });

  it("obeys internalTrafficPolicy Local", () => {
    same(build(policies("internalTrafficPolicy: Local"), PER_PACKET), [
      listening("a", udp("pod/b", "service/web", 80)),
      datagram("pod/c", "service/web", 80),
    ]);
  });

  it("is let in and out by the host firewall, or not", () => {
    const rules = `---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: nodes}
spec:
  nodeSelector: {}
  ingress: [{fromEntities: [world], toPorts: [{ports: [{port: "9000", protocol: UDP}]}]}]
  egress: [{toEntities: [world], toPorts: [{ports: [{port: "9002", protocol: UDP}]}]}]
`;
    same(build(rules, { "enable-host-firewall": "true" }), [
      udp("host/outside", "node/n1", 9000),
      datagram("host/outside", "node/n1", 9001),
      udp("node/n1", "host/outside", 9002),
      datagram("node/n1", "host/outside", 9003),
      udp("pod/a", "host/outside"),
    ]);
  });

  it("goes by DSR with the service in an option of a Geneve packet", () => {
    const geneve = { "bpf-lb-mode": "dsr", "bpf-lb-dsr-dispatch": "geneve", "tunnel-protocol": "geneve" };
    same(build(service("c", NODE_PORT), geneve), [listening("c", udp("host/outside", "node/n1", 30080))]);
  });

  it("goes by XDP with acceleration", () => {
    same(build(service("c", NODE_PORT), { "bpf-lb-acceleration": "native" }), [
      listening("c", udp("host/outside", "node/n1", 30080)),
    ]);
  });
});

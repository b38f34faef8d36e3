// What `podpath bench` measures: flows through whole labs, by datapath, path, protocol, state and Service. Two kinds of
// figures, kept apart: how fast the emulator itself sends packets end to end (monitor and recorder off), and what the
// real path is modelled to cost from the counted steps of one recorded operation.

import { PodpathError } from "../base/errors.js";
import { Step } from "../bpf/steps.js";
import type { DatapathName } from "../cluster/model.js";
import { Ping } from "../kernel/raw.js";
import { TcpSock } from "../kernel/tcp.js";
import { UdpSock } from "../kernel/udp.js";
import { Lab } from "../lab.js";
import { parseIpv4 } from "../net/address.js";
import { ttlOf } from "../walk/walk.js";
import { modelledCost, type StepCounts, stepCounts } from "./cost_model.js";
import { END_HOSTS, type EndHosts } from "./cost_weights.js";
import type { BenchCase } from "./suite.js";

export type FlowPath = "same" | "cross";
export type FlowKind = "icmp rr" | "udp rr" | "tcp rr" | "udp stream" | "tcp stream";

/** One thing to measure. */
export interface FlowCase {
  readonly datapath: DatapathName;
  readonly path: FlowPath;
  readonly kind: FlowKind;
  /** A flow that both ends know, or a new one each time. */
  readonly state: "new" | "established";
  readonly service: boolean;
}

/** (a) the emulator's own speed. */
export interface EmulatorFigures {
  readonly nsPerPacket: number;
  readonly packetsPerSec: number;
  /** Heap bytes per packet; null where collection cannot be forced. */
  readonly bytesPerPacket: number | null;
}

/** (b) the modelled cost of the real path. */
export interface ModelFigures {
  /** Nodes only, per operation. */
  readonly pathNs: number;
  /** With the end hosts' share, where it was measured for this kind; else null. */
  readonly operationNs: number | null;
  readonly counts: StepCounts;
}

const POD = { a: "10.0.0.11", same: "10.0.0.12", cross: "10.0.1.21" } as const;
const SERVICE = { same: "10.96.0.2", cross: "10.96.0.3" } as const;

const SCENARIO = `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: bench}
spec: {seed: 1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config}
data: {ipv4-native-routing-cidr: 10.0.0.0/16, monitor-aggregation: medium}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
${["1", "2"]
  .map(
    (n) => `---
apiVersion: v1
kind: Node
metadata: {name: n${n}}
spec: {podCIDR: 10.0.${Number(n) - 1}.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.1${n}}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: n${n}}
spec: {gateway: 192.168.0.1, nics: [{name: eth0, addresses: [192.168.0.1${n}/24]}]}
`,
  )
  .join("")}${(
  [
    ["a", "n1", POD.a],
    ["same", "n1", POD.same],
    ["cross", "n2", POD.cross],
  ] as const
)
  .map(
    ([name, node, ip]) => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec: {nodeName: ${node}, containers: [{ports: [{containerPort: 8080}]}]}
status: {podIP: ${ip}}
`,
  )
  .join("")}${(["same", "cross"] as const)
  .map(
    (p) => `---
apiVersion: v1
kind: Service
metadata: {name: ${p}}
spec: {clusterIP: ${SERVICE[p]}, selector: {app: ${p}}, ports: [{name: t, port: 80, targetPort: 8080}, {name: u, port: 80, targetPort: 8080, protocol: UDP}]}
`,
  )
  .join("")}`;

/** Operations in a batch. */
const BATCH = 256;
const CHUNK = 16_384;
/** New flows before a port or id comes again; until then the old ones have expired, or it would not be a new one. */
const NEW_FLOWS = 4096;
const FIRST_PORT = 20_000;

/** Every case for the datapaths. ICMP has no Service; streams are of established flows. */
export function flowCases(datapaths: readonly DatapathName[]): FlowCase[] {
  const out: FlowCase[] = [];
  for (const datapath of datapaths)
    for (const path of ["same", "cross"] as const)
      for (const kind of ["icmp rr", "udp rr", "tcp rr", "udp stream", "tcp stream"] as const)
        for (const state of ["established", "new"] as const)
          for (const service of [false, true]) {
            if (service && kind === "icmp rr") continue;
            if (state === "new" && kind.endsWith("stream")) continue;
            out.push({ datapath, path, kind, state, service });
          }
  return out;
}

/** Name of a case as the table prints it. */
export function caseName(c: FlowCase): string {
  return `${c.path === "same" ? "same node" : "cross node"}, ${c.kind}, ${c.state}${c.service ? ", Service" : ""}`;
}

/** A case made ready: one lab, its sockets open, neighbours known. */
export class FlowBench {
  readonly lab: Lab;
  readonly #op: () => void;
  /** IP packets that one operation sends, both directions. */
  readonly packets: number;
  readonly model: ModelFigures;

  constructor(readonly flow: FlowCase) {
    this.lab = Lab.fromYaml(SCENARIO, "bench.yaml", { datapath: flow.datapath });
    this.#op = this.#operation();
    for (let i = 0; i < 4; i++) this.#op();
    const walks = this.lab
      .record(this.#op)
      .filter((w) => w.steps.some((s) => s.kind !== Step.ARP && ttlOf(s.record.frame) !== undefined));
    this.packets = walks.length;
    if (walks.length === 0 || walks.some((w) => !w.delivered)) {
      throw new PodpathError(
        "UNSUPPORTED",
        `bench: ${flow.datapath}, ${caseName(flow)}: ${walks.find((w) => !w.delivered)?.drop?.detail ?? "no packet was sent"}`,
      );
    }
    const counts = stepCounts(walks, (where) => where.startsWith("pod/"));
    const path = modelledCost(counts);
    const hosts = endHosts(flow, walks.length);
    this.model = { pathNs: path, operationNs: hosts === null ? null : path + hosts, counts };
  }

  /** One operation. */
  operation(): void {
    this.#op();
  }

  /** The case for the measuring loop; one operation of it is one packet. */
  benchCase(): BenchCase {
    const ops = Math.max(1, Math.ceil(BATCH / this.packets));
    return {
      group: this.flow.datapath,
      name: caseName(this.flow),
      batch: ops * this.packets < BATCH ? BATCH : ops * this.packets,
      run: () => {
        for (let i = 0; i < ops; i++) this.#op();
      },
    };
  }

  #operation(): () => void {
    const { path, kind, state, service } = this.flow;
    const { lab } = this;
    const run = (): void => lab.machines.world.run();
    const client = lab.endpoint("pod/a").ns!;
    const server = lab.endpoint(`pod/${path}`).ns!;
    const ip = parseIpv4(service ? SERVICE[path] : POD[path]);
    const port = service ? 80 : 8080;
    const payload = new Uint8Array(64);
    // Long enough for every table to let go of a flow without a connection.
    const forget = (): void => lab.advance("5m");
    lab.ping({ from: "pod/a", to: `pod/${path}` });
    if (kind === "icmp rr") {
      let id = 1;
      let ping = new Ping(client, ip, id);
      let seq = 0;
      return () => {
        if (state === "new") {
          ping.close();
          id = (id % NEW_FLOWS) + 1;
          if (id === 1) forget();
          ping = new Ping(client, ip, id);
        }
        seq = (seq + 1) & 0xffff;
        ping.send(seq, 56);
        run();
        ping.probes.length = 0;
      };
    }
    if (kind === "udp rr" || kind === "udp stream") {
      const s = new UdpSock(server);
      s.bind(0, 8080);
      s.onDatagram =
        kind === "udp rr"
          ? (d) => {
              s.sendto(d.data, d.from, d.sport);
            }
          : () => {};
      const open = (sport: number): UdpSock => {
        const c = new UdpSock(client);
        c.onDatagram = () => {};
        c.bind(0, sport);
        c.connect(ip, port);
        return c;
      };
      let sport = FIRST_PORT;
      let c = open(sport);
      return () => {
        if (state === "new") {
          c.close();
          sport = FIRST_PORT + ((sport - FIRST_PORT + 1) % NEW_FLOWS);
          if (sport === FIRST_PORT) forget();
          c = open(sport);
        }
        c.sendto(payload);
        run();
      };
    }
    const listener = new TcpSock(server);
    listener.bind(0, 8080);
    listener.listen(64);
    const answering = kind === "tcp rr";
    listener.onAccept = () => {
      for (let a = listener.accept(); a !== null; a = listener.accept()) {
        const conn = a;
        const answer = (): void => {
          if (conn.recv(1 << 20).length > 0 && answering) conn.send(payload);
        };
        conn.onEvent = answer;
        answer();
      }
    };
    const connect = (): TcpSock => {
      const c = new TcpSock(client);
      c.connect(ip, port);
      run();
      return c;
    };
    if (state === "new") {
      return () => {
        const c = connect();
        c.send(payload);
        run();
        c.recv(4096);
        c.abort();
        run();
      };
    }
    const c = connect();
    const chunk = answering ? payload : new Uint8Array(CHUNK);
    return () => {
      c.send(chunk);
      run();
      c.recv(4096);
    };
  }
}

/** The end hosts' measured share of an operation; null for kinds that were not measured. */
function endHosts(c: FlowCase, packets: number): number | null {
  const share = (k: EndHosts, n = 1): number => END_HOSTS[k] * n;
  switch (c.kind) {
    case "tcp rr":
      return c.state === "new" ? share("crr") : share("rr");
    case "udp rr":
    case "udp stream":
      return share("pps", packets);
    default:
      return null;
  }
}

// kube-proxy with many services: what a packet costs in iptables mode, where a new connection walks a chain with a rule
// for each service, and in ipvs mode, where it does not. One node with a client and a server pod; all services lead to
// the server. A datagram goes from the client's eth0 to the server's socket; rules are counted on one recorded walk.

import { PodpathError } from "../base/errors.js";
import type { K8sObject } from "../cluster/model.js";
import { dev_queue_xmit } from "../kernel/dev.js";
import { nfState } from "../kernel/netfilter/hooks.js";
import { alloc_local_skb, skb_set_dev } from "../kernel/skbuff.js";
import { UdpSock } from "../kernel/udp.js";
import { Lab } from "../lab.js";
import { formatIpv4, htonl, parseIpv4 } from "../net/address.js";
import { buildFrame, eth, ip4, udp } from "../net/build.js";
import { loadScenario } from "../scenario/load.js";
import { modelledCost, stepCounts } from "./cost_model.js";
import type { BenchCase } from "./suite.js";

/** Numbers of services that the table shows. */
export const SERVICE_COUNTS: readonly number[] = [10, 100, 1000, 10_000];
const MODES = ["iptables", "ipvs"] as const;
const POSITIONS = ["middle", "last"] as const;
const STATES = ["new", "established"] as const;

/** One thing to measure. */
export interface ServiceCase {
  readonly mode: (typeof MODES)[number];
  readonly services: number;
  /** Which service of the chain is asked. */
  readonly position: (typeof POSITIONS)[number];
  readonly state: (typeof STATES)[number];
}

/** What a packet meets. */
export interface ServiceWalk {
  /** Rules evaluated. */
  readonly rules: number;
  /** Modelled CPU time of the real path, ns. */
  readonly modelNs: number;
}

/** Every case for these numbers of services; those of one lab follow each other. */
export function serviceCases(counts: readonly number[]): ServiceCase[] {
  return counts.flatMap((services) =>
    MODES.flatMap((mode) =>
      STATES.flatMap((state) => POSITIONS.map((position) => ({ mode, services, position, state }))),
    ),
  );
}

/** Name of a case as `--only` finds it. */
export function serviceCaseName(c: ServiceCase): string {
  return `kube-proxy ${c.mode}, ${c.services} services, ${c.position}, ${c.state}`;
}

const CLIENT = "10.0.0.11";
const SERVER = "10.0.0.12";
const PORT = 8080;

const SCENARIO = `apiVersion: podpath.dev/v1
kind: Lab
metadata: {name: services}
---
apiVersion: podpath.dev/v1
kind: Network
metadata: {name: lan}
spec: {cidr: 192.168.0.0/24, gateway: 192.168.0.1}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.0.0.0/24}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}]}
---
apiVersion: podpath.dev/v1
kind: NodeWiring
metadata: {name: n1}
spec: {gateway: 192.168.0.1, nics: [{name: eth0, addresses: [192.168.0.11/24]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {nodeName: n1}
status: {podIP: ${CLIENT}}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec: {nodeName: n1}
status: {podIP: ${SERVER}}
`;

/** Address of the i-th service, in 10.96.0.0/12. */
const addressOf = (i: number): string => formatIpv4(htonl(0x0a600001 + i));

/** Services as the loader would give them: ten thousand of them as YAML take longer to read than to program. */
function servicesOf(n: number): K8sObject[] {
  const pos = (): { file: string; line: number; column: number } => ({
    file: "services",
    line: 1,
    column: 1,
  });
  return Array.from({ length: n }, (_, i) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `s${i}`, namespace: "default", labels: {}, annotations: {} },
    raw: {
      spec: {
        clusterIP: addressOf(i),
        selector: { app: "server" },
        ports: [{ port: 80, targetPort: PORT, protocol: "UDP" }],
      },
    },
    pos,
  }));
}

/** Datagrams in a batch; entries of new connections are removed after each, so that the tables stay as they are. */
const BATCH = 1024;
const FIRST_PORT = 20_000;
/** Bytes of the Ethernet and IPv4 headers. */
const L4 = 34;

/** A node with its services, and a way to send datagrams to one of them. */
export class ServiceLab {
  readonly lab: Lab;
  readonly #sink: UdpSock;
  /** Milliseconds that the control plane took. */
  readonly buildMs: number;

  constructor(
    readonly mode: ServiceCase["mode"],
    readonly services: number,
    now: () => number,
  ) {
    const base = loadScenario(SCENARIO, "services");
    const objects = servicesOf(services);
    const from = now();
    this.lab = Lab.fromScenario(
      { ...base, cluster: { ...base.cluster, objects } },
      { datapath: "calico-bgp", kubeProxy: mode },
    );
    this.buildMs = now() - from;
    this.#sink = new UdpSock(this.lab.endpoint("pod/server").ns!);
    this.#sink.bind(0, PORT);
    this.lab.ping({ from: "pod/client", to: "pod/server", count: 2 });
  }

  /** A case made ready: what a packet of it meets, and the batch for the measuring loop. */
  prepare(c: ServiceCase): { readonly walk: ServiceWalk; readonly bench: BenchCase } {
    const vip = addressOf(c.position === "last" ? this.services - 1 : Math.floor(this.services / 2));
    this.#forget();
    const send = this.#sender(vip);
    if (c.state === "established") this.#exchange(vip);
    let port = FIRST_PORT;
    const batch = (n: number): void => {
      for (let i = 0; i < n; i++) {
        send(port);
        if (c.state === "new") port++;
      }
      if (c.state !== "new") return;
      port = FIRST_PORT;
      this.#forget();
    };
    this.#sink.discard = true;
    const before = this.#sink.discarded;
    const walks = this.lab.record(() => batch(1));
    if (this.#sink.discarded !== before + 1)
      throw new PodpathError("UNSUPPORTED", `bench: ${serviceCaseName(c)}: the datagram does not arrive`);
    const counts = stepCounts(walks, (where) => where.startsWith("pod/"));
    return {
      walk: { rules: counts.rule, modelNs: modelledCost(counts) },
      bench: {
        group: "services",
        name: serviceCaseName(c),
        batch: BATCH,
        steady: c.state === "established",
        run: () => batch(BATCH),
      },
    };
  }

  /** One datagram and its answer, so that the flow is established at both ends. */
  #exchange(vip: string): void {
    this.#sink.discard = false;
    this.#sink.onDatagram = (d) => {
      this.#sink.sendto(d.data, d.from, d.sport);
    };
    const c = new UdpSock(this.lab.endpoint("pod/client").ns!);
    c.bind(0, FIRST_PORT);
    c.connect(parseIpv4(vip), 80);
    let answered = false;
    c.onDatagram = () => {
      answered = true;
    };
    c.sendto(new Uint8Array(18));
    this.lab.machines.world.run();
    c.close();
    if (!answered) throw new PodpathError("UNSUPPORTED", `bench: service ${vip} does not answer`);
  }

  /** Sends one datagram from a port of the client. */
  #sender(vip: string): (port: number) => void {
    const client = this.lab.cluster.pods.get("default/client")!;
    const frame = buildFrame([
      eth({ dst: client.host.mac, src: client.eth0.mac, type: 0x0800 }),
      ip4({ src: CLIENT, dst: vip, id: 1 }),
      udp({ src: FIRST_PORT, dst: 80 }),
      new Uint8Array(18),
    ]);
    // No checksum, so that the port may be written over.
    frame[L4 + 6] = 0;
    frame[L4 + 7] = 0;
    const { world } = client.ns.kernel;
    return (port) => {
      frame[L4] = port >> 8;
      frame[L4 + 1] = port & 255;
      const skb = alloc_local_skb(client.ns);
      skb.setFrame(frame);
      skb_set_dev(skb, client.eth0);
      skb.protocol = 0x0800;
      skb.network = skb.data + 14;
      world.enter();
      dev_queue_xmit(skb);
      world.leave();
    };
  }

  /** Empties the connection tables. */
  #forget(): void {
    const nf = nfState(this.lab.node("n1").machine.ns);
    nf.ipvs?.conns.flush(() => true);
    nf.ct?.flush(() => true);
  }
}

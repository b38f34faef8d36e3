// Services into the load-balancing maps: whatever was there before, the maps end up as if they had been written afresh,
// every slot leads to a backend, and nothing that a user writes throws.

import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../maps/cilium_maps.js";
import { VirtualClock } from "../../src/base/clock.js";
import { lbListText } from "../../src/cluster/cilium/dump/lb_list.js";
import { ServiceMaps } from "../../src/cluster/cilium/service_maps.js";
import { type LbNodeContext, nodeFrontends, readServices } from "../../src/cluster/cilium/services.js";
import * as fc from "../support/fast_check.js";
import { objectOf, pod } from "../support/k8s.js";
import { dumpHex } from "../support/maps.js";

const NAMES = ["web", "db"];
const IPS = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1"];
const PROTOCOLS = ["TCP", "UDP"];

const port = fc.record(
  {
    name: fc.constantFrom("", "http", "dns"),
    port: fc.constantFrom(53, 80),
    nodePort: fc.constantFrom(30053, 30080),
    protocol: fc.constantFrom(...PROTOCOLS),
    targetPort: fc.constantFrom<string | number>(8080, "http"),
  },
  { requiredKeys: ["port"] },
);

const service = fc
  .record({
    name: fc.constantFrom(...NAMES),
    annotations: fc.record(
      {
        "service.cilium.io/lb-algorithm": fc.constantFrom("maglev", "random"),
        "service.cilium.io/src-ranges-policy": fc.constant("deny"),
      },
      { requiredKeys: [] },
    ),
    spec: fc.record(
      {
        type: fc.constantFrom("ClusterIP", "NodePort", "LoadBalancer"),
        clusterIP: fc.constantFrom("10.96.0.1", "10.96.0.2", "fd01::1", "None"),
        ports: fc.array(port, { maxLength: 2 }),
        selector: fc.record({ app: fc.constantFrom(...NAMES) }),
        externalIPs: fc.array(fc.constantFrom("198.51.100.1", "198.51.100.2"), { maxLength: 2 }),
        externalTrafficPolicy: fc.constantFrom("Cluster", "Local"),
        internalTrafficPolicy: fc.constantFrom("Cluster", "Local"),
        sessionAffinity: fc.constantFrom("None", "ClientIP"),
        loadBalancerSourceRanges: fc.array(fc.constantFrom("10.0.0.0/8", "192.0.2.0/24"), { maxLength: 2 }),
      },
      { requiredKeys: ["ports"] },
    ),
    status: fc.constantFrom({}, { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } }),
  })
  .map(({ name, annotations, spec, status }) => ({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, annotations },
    spec,
    status,
  }));

const slice = fc
  .record({
    name: fc.constantFrom(...NAMES),
    ports: fc.array(
      fc.record({
        name: fc.constantFrom("", "http", "dns"),
        port: fc.constantFrom(8080, 8053),
        protocol: fc.constantFrom(...PROTOCOLS),
      }),
      { maxLength: 2 },
    ),
    endpoints: fc.array(
      fc.record({
        addresses: fc.constantFrom(...IPS).map((a) => [a]),
        nodeName: fc.constantFrom("node-1", "node-2"),
        conditions: fc.record(
          { ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() },
          { requiredKeys: [] },
        ),
      }),
      { maxLength: 4 },
    ),
  })
  .map(({ name, ports, endpoints }) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, labels: { "kubernetes.io/service-name": name } },
    ports,
    endpoints,
  }));

type Raw = Record<string, unknown>;
const cluster = fc
  .tuple(fc.array(service, { maxLength: 3 }), fc.array(slice, { maxLength: 3 }))
  .map(([a, b]) => [...a, ...b] as Raw[]);

const PODS = [
  pod({
    name: "web",
    ip4: "10.0.0.1",
    labels: { app: "web" },
    ports: [{ name: "http", containerPort: 8080, hostPort: 8080, hostIp: undefined, protocol: "TCP" }],
  }),
];

const NODE: LbNodeContext = {
  nodeName: "node-1",
  zone: "",
  nodePortAddresses: ["192.168.0.1", "fd02::1"],
  kubeProxyReplacement: true,
  externalClusterIp: false,
  algorithm: "maglev",
  algorithmAnnotation: true,
  mode: "hybrid",
  modeAnnotation: false,
  ipv4: true,
  ipv6: true,
  pods: PODS,
};

class Agent {
  readonly maps = createCiliumMaps({ clock: new VirtualClock(), maglevTableSize: 251 });
  readonly writer = new ServiceMaps(this.maps, { tableSize: 251 });

  sync(raw: readonly Raw[]): this {
    this.writer.sync(
      nodeFrontends(
        readServices(
          raw.map((o) => objectOf(o)),
          PODS,
        ),
        NODE,
      ),
    );
    return this;
  }

  /** What the maps hold, without the numbers of frontends and backends, which depend on the past. */
  contents(): string[][] {
    const services = lbListText(this.maps, "services").replaceAll(/\(\d+\) (?=\(\d+\))/g, "");
    const revnat = lbListText(this.maps, "revnat").replaceAll(/^\d+ +/gm, "");
    const ranges = lbListText(this.maps, "source-ranges").replaceAll(/ \(\d+\)/g, "");
    const backends = lbListText(this.maps, "backends").replaceAll(/^\d+ +/gm, "");
    const m = this.maps;
    const sizes = [m.cilium_lb_affinity_match, m.cilium_lb4_maglev, m.cilium_lb6_maglev].map((x) =>
      String(x.size),
    );
    return [
      ...[services, revnat, ranges, backends].map((t) => t.replaceAll(/ +/g, " ").split("\n").sort()),
      sizes,
    ];
  }
}

describe("the load-balancing maps", () => {
  it("hold what the cluster says now, whatever it said before", () => {
    fc.assert(
      fc.property(fc.array(cluster, { minLength: 1, maxLength: 3 }), (history) => {
        const agent = new Agent();
        for (const c of history) agent.sync(c);
        expect(agent.contents()).toEqual(new Agent().sync(history.at(-1)!).contents());
      }),
      { numRuns: 200 },
    );
  });

  it("do not change when nothing did", () => {
    fc.assert(
      fc.property(cluster, (c) => {
        const agent = new Agent().sync(c);
        const dump = (): unknown =>
          agent.maps.all().map((m) => [m.spec.name, m.spec.name === "cilium_lb4_maglev" ? [] : dumpHex(m)]);
        const before = dump();
        agent.sync(c);
        expect(dump()).toEqual(before);
      }),
      { numRuns: 60 },
    );
  });

  it("lead every slot to a backend, and count the slots", () => {
    fc.assert(
      fc.property(cluster, (c) => {
        const agent = new Agent().sync(c);
        const text = lbListText(agent.maps);
        expect(text).not.toContain("not found");
        const slots = new Map<string, number>();
        for (const [, frontend, slot] of text.matchAll(/^(\S+) \((\d+)\)/gm)) {
          slots.set(frontend!, Math.max(slots.get(frontend!) ?? 0, Number(slot)));
        }
        const counted = new Map<string, number>();
        for (const [, frontend, active, inactive] of lbListText(agent.maps, "frontends").matchAll(
          /^(\S+) \(0\) +\d+ (\d+)\[(\d+)\]/gm,
        )) {
          counted.set(frontend!, Number(active) + Number(inactive));
        }
        expect(counted).toEqual(slots);
      }),
      { numRuns: 200 },
    );
  });

  it("are written whatever a user says of services", () => {
    const any = fc.jsonValue({ maxDepth: 3 });
    const broken = fc.tuple(cluster, fc.array(fc.tuple(fc.nat(), any), { minLength: 1, maxLength: 3 }));
    fc.assert(
      fc.property(broken, ([c, changes]) => {
        const raw = structuredClone(c);
        for (const [n, value] of changes) {
          const places = raw.flatMap((o) => fieldsOf(o.spec ?? o.endpoints));
          if (places.length === 0) return;
          const { holder, key } = places[n % places.length]!;
          holder[key] = value;
        }
        new Agent().sync(raw);
      }),
      { numRuns: 400 },
    );
  });
});

/** Every field of every object and list inside `v`. */
function fieldsOf(v: unknown): { holder: Raw; key: string }[] {
  if (typeof v !== "object" || v === null) return [];
  const holder = v as Raw;
  return Object.keys(holder).flatMap((key) => [{ holder, key }, ...fieldsOf(holder[key])]);
}

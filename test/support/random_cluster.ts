// Small clusters with random pods, labels, network policies (by pod, namespace, subnet and named port) and services.

import type { Prng } from "../../src/base/prng.js";
import type { DatapathName } from "../../src/cluster/model.js";

/** YAML of a cluster drawn from `r`: two nodes, about a dozen pods in few classes. */
export function randomCluster(r: Prng, datapath: DatapathName): string {
  const pick = <T>(a: readonly T[]): T => a[r.below(a.length)]!;
  const chance = (percent: number): boolean => r.below(100) < percent;
  const namespaces = ["default", "shop"];
  const apps = ["web", "db", "job"];
  const docs: object[] = [
    { apiVersion: "podpath.dev/v1", kind: "Datapath", spec: { name: datapath } },
    {
      apiVersion: "podpath.dev/v1",
      kind: "Network",
      metadata: { name: "lan" },
      spec: { cidr: "192.168.0.0/24", gateway: "192.168.0.1" },
    },
  ];
  if (datapath.startsWith("cilium"))
    docs.push({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "cilium-config" },
      data: { "ipv4-native-routing-cidr": "10.0.0.0/16" },
    });
  for (const n of namespaces)
    docs.push({ apiVersion: "v1", kind: "Namespace", metadata: { name: n, labels: { team: n } } });
  for (let i = 0; i < 2; i++)
    docs.push({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `n${i}` },
      spec: { podCIDR: `10.0.${i}.0/24` },
      status: { addresses: [{ type: "InternalIP", address: `192.168.0.${11 + i}` }] },
    });
  const count = 9 + r.below(4);
  for (let i = 0; i < count; i++) {
    const node = r.below(2);
    docs.push({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: `p${i}`, namespace: pick(namespaces), labels: { app: pick(apps) } },
      spec: { nodeName: `n${node}`, containers: [{ ports: [{ name: "http", containerPort: 80 }] }] },
      status: { podIP: `10.0.${node}.${20 + i}` },
    });
  }
  const peer = (): object => {
    if (chance(20)) return { ipBlock: { cidr: `10.0.${r.below(2)}.${pick(["0/27", "16/28", "0/24"])}` } };
    const o: Record<string, unknown> = {};
    if (chance(70)) o.podSelector = { matchLabels: { app: pick(apps) } };
    if (o.podSelector === undefined || chance(50))
      o.namespaceSelector = chance(30) ? {} : { matchLabels: { team: pick(namespaces) } };
    return o;
  };
  const ports = (): object[] =>
    pick([
      [{ port: 80, protocol: "TCP" }],
      [{ port: "http", protocol: "TCP" }],
      [{ port: 53, protocol: "UDP" }],
      [
        { port: 80, protocol: "TCP" },
        { port: 53, protocol: "UDP" },
      ],
    ]);
  const rule = (key: "from" | "to"): object => ({
    ...(chance(85) ? { [key]: [peer(), ...(chance(40) ? [peer()] : [])] } : {}),
    ...(chance(60) ? { ports: ports() } : {}),
  });
  for (let i = 0; i < 4; i++) {
    const ingress = chance(75);
    docs.push({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: `np${i}`, namespace: pick(namespaces) },
      spec: {
        podSelector: chance(20) ? {} : { matchLabels: { app: pick(apps) } },
        policyTypes: [ingress ? "Ingress" : "Egress"],
        ...(ingress ? { ingress: [rule("from"), rule("from")] } : { egress: [rule("to"), rule("to")] }),
      },
    });
  }
  apps.forEach((app, i) => {
    docs.push({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: app, namespace: namespaces[i % 2] },
      spec: {
        clusterIP: `10.96.0.${10 + i}`,
        selector: { app },
        ports: [{ name: "main", port: 80, targetPort: 80, protocol: "TCP" }],
      },
    });
  });
  return docs.map((d) => JSON.stringify(d)).join("\n---\n");
}

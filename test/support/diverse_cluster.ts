// Small clusters whose pods are all of different kinds, for what a matrix shares among them: policies of every form that
// the datapath has, pods in their node's network, services with few and many backends, options that put other addresses
// in the place of pods'.

import type { Prng } from "../../src/base/prng.js";
import type { DatapathName } from "../../src/cluster/model.js";

const NAMESPACES = ["default", "shop"];
const TIERS = ["t0", "t1", "t2"];
const ZONES = ["z0", "z1"];

/** YAML of a cluster drawn from `r`: three nodes, a dozen pods, no two with the same labels. */
export function diverseCluster(r: Prng, datapath: DatapathName): string {
  const pick = <T>(a: readonly T[]): T => a[r.below(a.length)]!;
  const chance = (percent: number): boolean => r.below(100) < percent;
  const cilium = datapath.startsWith("cilium");
  const calico = datapath.startsWith("calico");
  const docs: object[] = [
    {
      apiVersion: "podpath.dev/v1",
      kind: "Datapath",
      spec: { name: datapath, ...(cilium || chance(60) ? {} : { kubeProxy: "ipvs" }) },
    },
    {
      apiVersion: "podpath.dev/v1",
      kind: "Network",
      metadata: { name: "lan" },
      spec: { cidr: "192.168.0.0/24", gateway: "192.168.0.1" },
    },
  ];
  if (cilium)
    docs.push({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "cilium-config" },
      data: {
        // A narrow one has pods masqueraded on their way to other nodes.
        "ipv4-native-routing-cidr": chance(70) ? "10.0.0.0/16" : "10.0.0.0/24",
        "kube-proxy-replacement": String(chance(60) || datapath === "cilium-netkit"),
        "enable-endpoint-routes": String(chance(30)),
        "enable-host-firewall": String(chance(30)),
        "enable-policy": pick(["default", "default", "always"]),
      },
    });
  for (const n of NAMESPACES)
    docs.push({ apiVersion: "v1", kind: "Namespace", metadata: { name: n, labels: { team: n } } });
  for (let i = 0; i < 3; i++)
    docs.push({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: `n${i}`, labels: { rack: `r${i % 2}` } },
      spec: { podCIDR: `10.0.${i}.0/24` },
      status: { addresses: [{ type: "InternalIP", address: `192.168.0.${11 + i}` }] },
    });
  for (let i = 0; i < 12; i++) {
    const node = r.below(3);
    const host = chance(12);
    docs.push({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `p${i}`,
        namespace: pick(NAMESPACES),
        labels: { serial: `s${i}`, tier: pick(TIERS), zone: pick(ZONES) },
      },
      spec: {
        nodeName: `n${node}`,
        ...(host ? { hostNetwork: true } : {}),
        serviceAccountName: pick(["web", "job"]),
        containers: [{ ports: [{ name: "http", containerPort: pick([80, 8080]) }] }],
      },
      ...(host ? {} : { status: { podIP: `10.0.${node}.${20 + i}` } }),
    });
  }
  const labels = (): object => {
    const form = r.below(4);
    if (form === 0) return { matchLabels: { serial: `s${r.below(12)}` } };
    if (form === 1) return { matchLabels: { tier: pick(TIERS) } };
    if (form === 2)
      return { matchExpressions: [{ key: "tier", operator: pick(["In", "NotIn"]), values: [pick(TIERS)] }] };
    return { matchLabels: { tier: pick(TIERS), zone: pick(ZONES) } };
  };
  const cidr = (): string =>
    `${pick(["10.0", "192.168"])}.${r.below(3)}.${pick(["0/24", "0/28", "16/28", "11/32"])}`;
  const peer = (): object => {
    if (chance(20)) return { ipBlock: { cidr: cidr() } };
    if (chance(25)) return { namespaceSelector: { matchLabels: { team: pick(NAMESPACES) } } };
    if (chance(20)) return { podSelector: labels(), namespaceSelector: {} };
    return { podSelector: labels() };
  };
  const ports = (): object => ({
    ports: [
      pick([
        { port: 80, protocol: "TCP" },
        { port: "http", protocol: "TCP" },
        { port: 53, protocol: "UDP" },
      ]),
    ],
  });
  const kubernetes = (name: string): object => {
    const ingress = chance(70);
    const rule = (key: "from" | "to"): object => ({
      [key]: [peer(), peer()],
      ...(chance(50) ? ports() : {}),
    });
    return {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name, namespace: pick(NAMESPACES) },
      spec: {
        podSelector: chance(15) ? {} : labels(),
        policyTypes: [ingress ? "Ingress" : "Egress"],
        ...(ingress ? { ingress: chance(15) ? [] : [rule("from"), rule("from")] } : { egress: [rule("to")] }),
      },
    };
  };
  const ciliumPolicy = (name: string): object => {
    const ingress = chance(65);
    const way = ingress ? "from" : "to";
    const rule = (): object => {
      const form = r.below(4);
      const l4 = chance(40)
        ? { toPorts: [{ ports: [{ port: pick(["80", "http", "53"]), protocol: "ANY" }] }] }
        : {};
      if (form === 0)
        return {
          [`${way}Entities`]: [pick(["host", "remote-node", "cluster", "world", "all"])],
          ...l4,
        };
      if (form === 1) return { [`${way}CIDR`]: [cidr()], ...l4 };
      if (form === 2 && chance(50))
        return { icmps: [{ fields: [{ type: 8, family: "IPv4" }] }], [`${way}Endpoints`]: [labels()] };
      return { [`${way}Endpoints`]: [labels()], ...l4 };
    };
    const onNodes = chance(15);
    const deny = chance(25) ? { [ingress ? "ingressDeny" : "egressDeny"]: [rule()] } : {};
    return {
      apiVersion: "cilium.io/v2",
      kind: onNodes ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
      metadata: onNodes ? { name } : { name, namespace: pick(NAMESPACES) },
      spec: {
        ...(onNodes
          ? { nodeSelector: { matchLabels: { rack: pick(["r0", "r1"]) } } }
          : { endpointSelector: labels() }),
        [ingress ? "ingress" : "egress"]: [rule(), rule()],
        ...deny,
      },
    };
  };
  const calicoPolicy = (name: string): object => {
    const ingress = chance(65);
    const selector = (): string =>
      pick([
        `serial == 's${r.below(12)}'`,
        `tier in {'${pick(TIERS)}', '${pick(TIERS)}'}`,
        `zone != '${pick(ZONES)}'`,
        `serial starts with 's1'`,
        `has(nets)`,
      ]);
    const rule = (): object => {
      const end = chance(30) ? { nets: [cidr()] } : { selector: selector() };
      const odd = chance(20) ? { notSelector: selector() } : {};
      const l4 = chance(40) ? { protocol: pick(["TCP", "UDP", "ICMP"]) } : {};
      return {
        action: pick(["Allow", "Allow", "Deny", "Pass", "Log"]),
        ...l4,
        [ingress ? "source" : "destination"]: { ...end, ...odd },
      };
    };
    return {
      apiVersion: "projectcalico.org/v3",
      kind: "GlobalNetworkPolicy",
      metadata: { name },
      spec: {
        ...(chance(40) ? { tier: "early" } : {}),
        order: r.below(100),
        selector: selector(),
        types: [ingress ? "Ingress" : "Egress"],
        [ingress ? "ingress" : "egress"]: [rule(), rule(), { action: pick(["Pass", "Allow"]) }],
      },
    };
  };
  if (calico)
    docs.push(
      {
        apiVersion: "projectcalico.org/v3",
        kind: "Tier",
        metadata: { name: "early" },
        spec: { order: 10, defaultAction: pick(["Pass", "Deny"]) },
      },
      {
        apiVersion: "projectcalico.org/v3",
        kind: "GlobalNetworkSet",
        metadata: { name: "nets", labels: { nets: "yes" } },
        spec: { nets: [cidr(), cidr()] },
      },
    );
  for (let i = 0; i < 5; i++) {
    if (cilium && chance(50)) docs.push(ciliumPolicy(`own${i}`));
    else if (calico && chance(40)) docs.push(calicoPolicy(`own${i}`));
    else docs.push(kubernetes(`np${i}`));
  }
  TIERS.forEach((tier, i) => {
    docs.push({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: tier, namespace: NAMESPACES[i % 2] },
      spec: {
        clusterIP: `10.96.0.${10 + i}`,
        selector: { tier },
        ...(chance(20) ? { internalTrafficPolicy: "Local" } : {}),
        ports: [{ name: "main", port: 80, targetPort: pick([80, "http"]), protocol: "TCP" }],
      },
    });
  });
  return docs.map((d) => JSON.stringify(d)).join("\n---\n");
}

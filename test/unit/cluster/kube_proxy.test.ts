// kube-proxy: the text of its rules, who reaches what in both modes, and where the modes differ.

import { describe, expect, it } from "vitest";
import { endpointChain, servicePortChain } from "../../../src/cluster/kube_proxy/iptables.js";
import { iptablesSave } from "../../../src/kernel/netfilter/iptables.js";
import type { Lab } from "../../../src/lab.js";
import fc from "../../support/fast_check.js";
import { twoNodeLab } from "../../support/two_nodes.js";

type Mode = "iptables" | "ipvs";
const MODES: readonly Mode[] = ["iptables", "ipvs"];

const service = (spec: string, name = "web", status = ""): string => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: ${spec}
${status === "" ? "" : `${status}\n`}`;

const lab = (mode: Mode, more: string, options: Readonly<Record<string, string>> = {}): Lab => {
  const l = twoNodeLab({ datapath: "calico-bgp", kubeProxy: mode, options }, more);
  for (const p of ["pod/a", "pod/b", "pod/c"]) l.traffic.listen({ on: p, port: 8080 });
  return l;
};

const reaches = (l: Lab, from: string, to: string, port: number): boolean =>
  l.tcp({ from, to, port, send: 20, receive: 40 }).received === 40;

/** Rules of a table whose text matches. */
const rules = (l: Lab, table: "nat" | "filter", re: RegExp): string[] =>
  iptablesSave(l.node("n1").machine.ns, { tables: [table] })
    .split("\n")
    .filter((r) => re.test(r));

describe("iptables mode: names and rules", () => {
  it("names chains by the hash of service port, protocol and endpoint", () => {
    // As in a cluster: kubernetes:https of any cluster has this chain.
    expect(servicePortChain("SVC", "default/kubernetes:https", "tcp")).toBe("KUBE-SVC-NPX46M4PTMTKRN6Y");
    expect(servicePortChain("SVC", "kube-system/kube-dns:dns", "udp")).toBe("KUBE-SVC-TCOU7JCQXEZGVUNU");
    expect(servicePortChain("SVC", "kube-system/kube-dns:dns-tcp", "tcp")).toBe("KUBE-SVC-ERIFXISQEP7F7OF4");
    expect(endpointChain("default/web", "tcp", "10.0.0.11:8080")).toMatch(/^KUBE-SEP-[A-Z2-7]{16}$/);
  });

  it("writes a service with two endpoints as recorded", () => {
    const l = lab(
      "iptables",
      service("{clusterIP: 10.96.0.10, selector: {}, ports: [{port: 80}]}") +
        `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.1.21], nodeName: n2}, {addresses: [10.0.0.12], nodeName: n1}]
`,
    );
    const svc = servicePortChain("SVC", "default/web", "tcp");
    const one = endpointChain("default/web", "tcp", "10.0.0.12:8080");
    const two = endpointChain("default/web", "tcp", "10.0.1.21:8080");
    expect(rules(l, "nat", new RegExp(`-A KUBE-SERVICES|-A ${svc}|-A ${one}`))).toEqual(
      [
        `-A ${one} -s 10.0.0.12/32 -m comment --comment "default/web" -j KUBE-MARK-MASQ`,
        `-A ${one} -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 10.0.0.12:8080`,
        `-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j ${svc}`,
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS',
        `-A ${svc} ! -s 10.0.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ`,
        `-A ${svc} -m comment --comment "default/web -> 10.0.0.12:8080" -m statistic --mode random --probability 0.50000000000 -j ${one}`,
        `-A ${svc} -m comment --comment "default/web -> 10.0.1.21:8080" -j ${two}`,
      ].sort((a, b) =>
        a.split(" ")[1]! < b.split(" ")[1]! ? -1 : a.split(" ")[1]! > b.split(" ")[1]! ? 1 : 0,
      ),
    );
  });

  it("refuses a service without endpoints with port unreachable", () => {
    const l = lab(
      "iptables",
      service("{clusterIP: 10.96.0.77, selector: {app: none}, ports: [{port: 77}]}", "none"),
    );
    expect(rules(l, "filter", /10\.96\.0\.77/)).toEqual([
      '-A KUBE-SERVICES -d 10.96.0.77/32 -p tcp -m comment --comment "default/none has no endpoints" -m tcp --dport 77 -j REJECT --reject-with icmp-port-unreachable',
    ]);
    expect(l.tcp({ from: "pod/a", to: "10.96.0.77", port: 77 })).toMatchObject({
      connected: false,
      errno: 111,
    });
  });
});

describe.each(MODES)("%s mode", (mode) => {
  it("ClusterIP: pods keep their address, the node's own connections are masqueraded", () => {
    const l = lab(
      mode,
      service(
        "{clusterIP: 10.96.0.10, selector: {app: c}, ports: [{port: 53, targetPort: 53, protocol: UDP}]}",
      ),
    );
    const seen = (from: string): string[] => {
      l.traffic.listen({ on: "pod/c", port: 53, protocol: "udp" });
      const before = l.traffic.udp({ from: "pod/b", to: "pod/c", port: 53 }).received.length;
      expect(before).toBe(1);
      expect(l.udp({ from, to: "10.96.0.10", port: 53 }).answers.map((a) => a.from)).toEqual(["10.96.0.10"]);
      return l.exec("node/n2", "conntrack -L").out.match(/src=\S+ dst=10\.0\.1\.21/g) ?? [];
    };
    expect(seen("pod/a")).toContain("src=10.0.0.11 dst=10.0.1.21");
    expect(seen("node/n1")).toContain("src=192.168.0.11 dst=10.0.1.21");
  });

  it("NodePort answers on every node, from outside and from pods, also with the backend on the other node", () => {
    const l = lab(
      mode,
      service(
        "{type: NodePort, clusterIP: 10.96.0.10, selector: {app: c}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}",
      ),
    );
    for (const from of ["host/outside", "pod/a", "node/n2"])
      for (const to of ["192.168.0.11", "192.168.0.12"])
        expect([from, to, reaches(l, from, to, 30080)]).toEqual([from, to, true]);
  });

  it("externalTrafficPolicy Local keeps the client's address and drops where no endpoint is", () => {
    const l = lab(
      mode,
      service(
        "{type: NodePort, externalTrafficPolicy: Local, clusterIP: 10.96.0.10, selector: {app: c}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}",
      ),
    );
    expect(reaches(l, "host/outside", "192.168.0.12", 30080)).toBe(true);
    expect(l.exec("node/n2", "conntrack -L").out).toMatch(/src=10\.0\.1\.21 dst=192\.168\.0\.99/);
    expect(l.tcp({ from: "host/outside", to: "192.168.0.11", port: 30080 }).connected).toBe(false);
  });

  it("internalTrafficPolicy Local serves pods of a node with an endpoint only", () => {
    const l = lab(
      mode,
      service(
        "{internalTrafficPolicy: Local, clusterIP: 10.96.0.10, selector: {app: b}, ports: [{port: 80, targetPort: 8080}]}",
      ),
    );
    expect(reaches(l, "pod/a", "10.96.0.10", 80)).toBe(true);
    expect(l.tcp({ from: "pod/c", to: "10.96.0.10", port: 80 }).connected).toBe(false);
  });

  it("externalIPs and load balancer addresses, the latter only from the source ranges", () => {
    const l = lab(
      mode,
      service(
        "{type: LoadBalancer, clusterIP: 10.96.0.10, externalIPs: [192.168.0.200], loadBalancerSourceRanges: [192.168.0.99/32], selector: {app: b}, ports: [{port: 80, targetPort: 8080, nodePort: 30081}]}",
        "web",
        "status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}}",
      ) +
        `---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: stranger}
spec: {addresses: [192.168.0.98/24], gateway: 192.168.0.1, routes: [{to: 198.51.100.7/32, via: 192.168.0.11}, {to: 192.168.0.200/32, via: 192.168.0.11}]}
---
apiVersion: podpath.dev/v1
kind: Host
metadata: {name: friend}
spec: {addresses: [192.168.0.97/24], routes: [{to: 192.168.0.200/32, via: 192.168.0.11}]}
`,
    );
    l.exec("host/outside", "ip route add 198.51.100.7 via 192.168.0.11");
    expect(reaches(l, "host/outside", "198.51.100.7", 80)).toBe(true);
    expect(l.tcp({ from: "host/stranger", to: "198.51.100.7", port: 80 }).connected).toBe(false);
    expect(reaches(l, "host/friend", "192.168.0.200", 80)).toBe(true);
  });

  it("session affinity keeps a client on its endpoint, and lets it go after the timeout", () => {
    const l = lab(
      mode,
      service(
        "{clusterIP: 10.96.0.10, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, selector: {}, ports: [{port: 80}]}",
      ) +
        `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080}]
endpoints: [{addresses: [10.0.1.21], nodeName: n2}, {addresses: [10.0.0.12], nodeName: n1}]
`,
    );
    const backend = (): string => {
      expect(reaches(l, "pod/a", "10.96.0.10", 80)).toBe(true);
      const last = l.exec("node/n1", "conntrack -L").out.match(/src=10\.0\.\d+\.\d+ dst=10\.0\.0\.11/g) ?? [];
      l.exec("node/n1", "conntrack -F");
      return last.at(-1)!;
    };
    const first = backend();
    for (let i = 0; i < 6; i++) expect(backend()).toBe(first);
    const later = new Set<string>();
    for (let i = 0; i < 12; i++) {
      l.advance("5m");
      later.add(backend());
    }
    expect(later.size).toBe(2);
  });

  it("a pod reaches itself through its service, seen from the node's address", () => {
    const l = lab(
      mode,
      service("{clusterIP: 10.96.0.10, selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}"),
    );
    expect(reaches(l, "pod/a", "10.96.0.10", 80)).toBe(true);
    // Recorded: the hairpin comes from the node's address in both modes.
    expect(l.exec("node/n1", "conntrack -L").out).toMatch(/src=10\.0\.0\.11 dst=192\.168\.0\.11/);
  });
});

describe("where the modes differ, as the real ones do", () => {
  const web = service(
    "{type: NodePort, clusterIP: 10.96.0.10, selector: {app: b}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}",
  );

  it("a DROP in INPUT on the service address stops ipvs, one in FORWARD on the backend stops iptables", () => {
    const blocked = (mode: Mode, rule: string): boolean => {
      const l = lab(mode, web);
      l.exec("node/n1", `iptables -I ${rule}`);
      return !l.tcp({ from: "pod/a", to: "10.96.0.10", port: 80 }).connected;
    };
    const onService = "INPUT 1 -d 10.96.0.10/32 -j DROP";
    const onBackend = "FORWARD 1 -d 10.0.0.12/32 -j DROP";
    expect(MODES.map((m) => [blocked(m, onService), blocked(m, onBackend)])).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  it("ping of a service address: the node answers in ipvs mode, nobody in iptables mode", () => {
    expect(MODES.map((m) => lab(m, web).ping({ from: "pod/a", to: "10.96.0.10" }).received)).toEqual([0, 1]);
  });

  it("with KUBE-IPVS-FILTER of newer releases ping and unknown ports are refused", () => {
    for (const datapath of ["flannel-host-gw", "calico-bgp"] as const) {
      const l = twoNodeLab({ datapath, kubeProxy: "ipvs", options: { "ipvs-filter": "true" } }, web);
      l.traffic.listen({ on: "pod/b", port: 8080 });
      const { errors } = l.ping({ from: "pod/a", to: "10.96.0.10" });
      expect(
        errors.map((e) => [e.type, e.code]),
        datapath,
      ).toEqual([[3, 3]]);
      expect(reaches(l, "pod/a", "10.96.0.10", 80), datapath).toBe(true);
    }
  });

  it("a node port on 127.0.0.1 works in iptables mode only", () => {
    expect(MODES.map((m) => reaches(lab(m, web), "node/n1", "127.0.0.1", 30080))).toEqual([true, false]);
  });

  it("the request is forwarded in iptables mode and passes INPUT and OUTPUT in ipvs mode", () => {
    const chains = (mode: Mode): string[] => {
      const l = lab(mode, web);
      l.exec("node/n1", "iptables -I INPUT 1 -p tcp -m comment --comment probe");
      l.exec("node/n1", "iptables -I FORWARD 1 -p tcp -d 10.0.0.12 -m comment --comment probe");
      l.exec("node/n1", "iptables -I OUTPUT 1 -p tcp -d 10.0.0.12 -m comment --comment probe");
      reaches(l, "pod/a", "10.96.0.10", 80);
      const save = iptablesSave(l.node("n1").machine.ns, { tables: ["filter"], counters: true });
      return save
        .split("\n")
        .filter((r) => r.includes("probe") && !r.startsWith("[0:0]"))
        .map((r) => r.split(" ")[2]!);
    };
    expect(chains("iptables")).toEqual(["FORWARD"]);
    expect(chains("ipvs")).toEqual(["INPUT", "OUTPUT"]);
  });
});

describe("both modes answer the same connectivity table", () => {
  const pod = fc.constantFrom("a", "b", "c");
  const spec = fc.record({
    app: fc.constantFrom("a", "b", "c", "none"),
    udp: fc.boolean(),
    nodePort: fc.boolean(),
    externalLocal: fc.boolean(),
    internalLocal: fc.boolean(),
  });

  it("for generated services, from pods, nodes and outside, to ClusterIPs and node ports", () => {
    fc.assert(
      fc.property(fc.array(spec, { minLength: 1, maxLength: 3 }), pod, (specs, client) => {
        const yaml = specs
          .map((s, i) =>
            service(
              `{type: ${s.nodePort ? "NodePort" : "ClusterIP"}, clusterIP: 10.96.1.${i + 1}, selector: {app: ${s.app}}, internalTrafficPolicy: ${s.internalLocal ? "Local" : "Cluster"}${s.nodePort && s.externalLocal ? ", externalTrafficPolicy: Local" : ""}, ports: [{port: 80, targetPort: 8080, protocol: ${s.udp ? "UDP" : "TCP"}${s.nodePort ? `, nodePort: ${30100 + i}` : ""}}]}`,
              `s${i}`,
            ),
          )
          .join("");
        const tables = MODES.map((mode) => {
          const l = lab(mode, yaml);
          for (const p of ["pod/a", "pod/b", "pod/c"])
            l.traffic.listen({ on: p, port: 8080, protocol: "udp" });
          const out: string[] = [];
          specs.forEach((s, i) => {
            const ends: [string, number][] = [[`10.96.1.${i + 1}`, 80]];
            if (s.nodePort) ends.push(["192.168.0.11", 30100 + i], ["192.168.0.12", 30100 + i]);
            for (const [to, port] of ends) {
              for (const from of [`pod/${client}`, "node/n1", "host/outside"]) {
                // A service address is not routed outside; and the two modes differ, as the real ones do, for node ports
                // with policy Local asked from inside: ipvs has only the local endpoints there.
                if (from === "host/outside" && port === 80) continue;
                if (from !== "host/outside" && port !== 80 && s.externalLocal) continue;
                const ok = s.udp
                  ? l.udp({ from, to, port }).answers.length === 1
                  : l.tcp({ from, to, port, send: 10, receive: 10 }).received === 10;
                out.push(`${from} ${to}:${port} ${s.udp ? "udp" : "tcp"} ${ok}`);
              }
            }
          });
          return out;
        });
        expect(tables[1]).toEqual(tables[0]);
      }),
      { numRuns: 12, seed: 5 },
    );
  }, 60_000);
});

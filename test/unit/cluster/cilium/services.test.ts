// Services into the load-balancing maps, read back as `bpf lb list` prints them.

import { describe, expect, it } from "vitest";
import { type CiliumMaps, createCiliumMaps } from "../../../../maps/cilium_maps.js";
import { maglevLookupTable } from "../../../../programs/lib/maglev.js";
import { VirtualClock } from "../../../../src/base/clock.js";
import { serviceListText } from "../../../../src/cluster/cilium/dump/agent_tables.js";
import { type LbListForm, lbListJson, lbListText } from "../../../../src/cluster/cilium/dump/lb_list.js";
import { ServiceMaps } from "../../../../src/cluster/cilium/service_maps.js";
import {
  type LbFrontend,
  type LbNodeContext,
  nodeFrontends,
  readServices,
} from "../../../../src/cluster/cilium/services.js";
import type { PodModel } from "../../../../src/cluster/model.js";
import { objects, pod } from "../../../support/k8s.js";
import { dumpHex } from "../../../support/maps.js";

const NODE: LbNodeContext = {
  nodeName: "node-1",
  zone: "",
  nodePortAddresses: ["192.168.0.1"],
  kubeProxyReplacement: true,
  externalClusterIp: false,
  algorithm: "random",
  algorithmAnnotation: false,
  mode: "snat",
  modeAnnotation: false,
  ipv4: true,
  ipv6: false,
  pods: [],
};

const TABLE_SIZE = 251;

/** A node's agent: what it programmed, and its maps. */
class Agent {
  readonly maps: CiliumMaps = createCiliumMaps({ clock: new VirtualClock(), maglevTableSize: TABLE_SIZE });
  readonly writer = new ServiceMaps(this.maps, { tableSize: TABLE_SIZE });
  frontends: LbFrontend[] = [];

  sync(yaml: string, ctx: Partial<LbNodeContext> = {}, pods: readonly PodModel[] = []): this {
    this.frontends = nodeFrontends(readServices(objects(yaml), pods), { ...NODE, pods, ...ctx });
    this.writer.sync(this.frontends);
    return this;
  }

  /** `bpf lb list` without heading and padding. */
  list(form: LbListForm = "services"): string {
    return lbListText(this.maps, form).replace(/^.*\n/, "").replaceAll(/ +$/gm, "");
  }

  services(): string {
    return serviceListText(
      this.frontends.map((frontend) => ({ id: this.writer.frontendId(frontend)!, frontend })),
    ).replaceAll(/ +$/gm, "");
  }
}

const BACKENDS = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
  - {addresses: [10.0.1.124], nodeName: node-2, conditions: {ready: true}}
  - {addresses: [10.0.0.85], nodeName: node-1}
---
`;

function service(spec: string, more = ""): string {
  return `${BACKENDS}
apiVersion: v1
kind: Service
metadata: {name: web${more}}
spec: {selector: {app: web}, clusterIP: 10.96.0.10, ports: [{name: http, port: 80, nodePort: 30080}], ${spec}}
`;
}

describe("ClusterIP services", () => {
  it("have a frontend, its backends by address, and a wildcard that refuses other ports", () => {
    const a = new Agent().sync(service("type: ClusterIP"));
    expect(lbListText(a.maps)).toMatchInlineSnapshot(`
      "SERVICE ADDRESS         BACKEND ADDRESS (REVNAT_ID) (SLOT)
      10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]    
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]    
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)                     
      10.96.0.10:80/TCP (2)   10.0.1.124:8080/TCP (1) (2)                    
      "
    `);
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   0 2[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x0 0x0]
      "
    `);
    expect(a.list("backends")).toMatchInlineSnapshot(`
      "1    TCP://10.0.0.85
      2    TCP://10.0.1.124
      "
    `);
    expect(a.list("revnat")).toMatchInlineSnapshot(`
      "1    10.96.0.10:80
      "
    `);
    expect(a.list("source-ranges")).toMatchInlineSnapshot(`""`);
    expect(a.services()).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.1.124:8080/TCP (active)
      "
    `);
    expect(lbListJson(a.maps, "revnat")).toEqual({ "1": ["10.96.0.10:80"] });
  });

  it("are routable where cluster addresses may be reached from outside", () => {
    const a = new Agent().sync(service("type: ClusterIP"), { externalClusterIp: true });
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   0 2[0] (1) [0x40 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x40 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x40 0x0]
      "
    `);
  });

  it("keep to backends of the node with internalTrafficPolicy Local", () => {
    const a = new Agent().sync(service("internalTrafficPolicy: Local"));
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, InternalLocal, non-routable]
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)
      "
    `);
  });

  it("ignore externalTrafficPolicy", () => {
    const a = new Agent().sync(service("externalTrafficPolicy: Local"));
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, Local, non-routable]
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)   10.0.1.124:8080/TCP (1) (2)
      "
    `);
  });

  it("program nothing when headless, external names or left to another proxy", () => {
    const none = [
      service("").replace("10.96.0.10", "None"),
      service("type: ExternalName"),
      service("", ", labels: {service.kubernetes.io/headless: ''}"),
      service("", ", labels: {service.kubernetes.io/service-proxy-name: other}"),
    ].map((y) => new Agent().sync(y).list());
    expect(none).toEqual(["", "", "", ""]);
  });

  it("keep a frontend without backends, so that its traffic is refused", () => {
    const a = new Agent().sync(`
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
`);
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      "
    `);
  });

  it("match backends by the name of the port, and by protocol", () => {
    const a = new Agent().sync(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, labels: {kubernetes.io/service-name: dns}}
ports: [{name: dns, port: 5353, protocol: UDP}, {name: dns-tcp, port: 5354, protocol: TCP}, {name: metrics, port: 9153}]
endpoints: [{addresses: [10.0.0.3]}]
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec:
  clusterIP: 10.96.0.2
  ports:
    - {name: dns, port: 53, protocol: UDP}
    - {name: dns-tcp, port: 53, protocol: TCP}
    - {name: metrics, port: 9153}
`);
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.2:0/ANY (0)      0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.2:53/TCP (0)     0.0.0.0:0 (2) (0) [ClusterIP, non-routable]
      10.96.0.2:53/TCP (1)     10.0.0.3:5354/TCP (2) (1)
      10.96.0.2:53/UDP (0)     0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.2:53/UDP (1)     10.0.0.3:5353/UDP (1) (1)
      10.96.0.2:9153/TCP (0)   0.0.0.0:0 (3) (0) [ClusterIP, non-routable]
      10.96.0.2:9153/TCP (1)   10.0.0.3:9153/TCP (3) (1)
      "
    `);
  });

  it("serve both families, each with backends of its own", () => {
    const a = new Agent().sync(
      `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ["fd00::85"]}]
---
${service("clusterIPs: [10.96.0.10, 'fd01::a'], ipFamilies: [IPv4, IPv6]")}`,
      { ipv6: true },
    );
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)   10.0.1.124:8080/TCP (1) (2)
      [fd01::a]:0/ANY (0)     [::]:0 (0) (0) [ClusterIP, non-routable]
      [fd01::a]:80/TCP (0)    [::]:0 (2) (0) [ClusterIP, non-routable]
      [fd01::a]:80/TCP (1)    [fd00::85]:8080/TCP (2) (1)
      "
    `);
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   0 2[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x0 0x0]
      [fd01::a]:0/ANY (0)     0 0[0] (0) [0x0 0x0]
      [fd01::a]:80/TCP (0)    0 1[0] (2) [0x0 0x0]
      [fd01::a]:80/TCP (1)    3 0[0] (2) [0x0 0x0]
      "
    `);
    expect(a.list("backends")).toMatchInlineSnapshot(`
      "1    TCP://10.0.0.85
      2    TCP://10.0.1.124
      3    TCP://fd00::85
      "
    `);
    expect(a.list("revnat")).toMatchInlineSnapshot(`
      "1    10.96.0.10:80
      2    [fd01::a]:80
      "
    `);
    a.sync(service("clusterIPs: [10.96.0.10, 'fd01::a'], ipFamilies: [IPv4, IPv6]"), { ipv6: false });
    expect(a.list("revnat")).toMatchInlineSnapshot(`
      "1    10.96.0.10:80
      "
    `);
  });

  it("get backends from Endpoints where there is no slice, those not ready without a slot", () => {
    const a = new Agent().sync(`
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets:
  - addresses: [{ip: 10.0.0.85, nodeName: node-1}]
    notReadyAddresses: [{ip: 10.0.0.86}]
    ports: [{port: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
`);
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)
      "
    `);
    expect(a.services()).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.0.86:8080/TCP (maintenance)
      "
    `);
  });

  it("get backends from the pods that the selector chooses where there is neither", () => {
    const ports = [
      { name: "http", containerPort: 8080, hostPort: undefined, hostIp: undefined, protocol: "TCP" as const },
    ];
    const web = { labels: { app: "web" }, ports };
    const pods = [
      pod({ name: "a", ip4: "10.0.0.85", ...web }),
      pod({
        name: "b",
        ip4: "10.0.1.124",
        nodeName: "node-2",
        ...web,
        ports: [{ ...ports[0]!, containerPort: 9090 }],
      }),
      pod({ name: "not-ready", ip4: "10.0.0.86", ready: false, ...web }),
      pod({ name: "no-port", ip4: "10.0.0.87", labels: { app: "web" } }),
      pod({ name: "other", ip4: "10.0.0.88", labels: { app: "db" }, ports }),
      pod({ name: "elsewhere", namespace: "other", ip4: "10.0.0.89", ...web }),
    ];
    const yaml = (more: string): string => `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, clusterIP: 10.96.0.10, ports: [{port: 80, targetPort: http}], ${more}}
`;
    expect(new Agent().sync(yaml(""), {}, pods).services()).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.1.124:9090/TCP (active)
                                              3 => 10.0.0.86:8080/TCP (maintenance)
      "
    `);
    expect(
      new Agent().sync(yaml("publishNotReadyAddresses: true"), {}, pods).services(),
    ).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.0.86:8080/TCP (active)
                                              3 => 10.0.1.124:9090/TCP (active)
      "
    `);
    expect(
      new Agent().sync(yaml("").replace("targetPort: http", "targetPort: 7"), {}, pods).services(),
    ).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:7/TCP (active)
                                              2 => 10.0.0.87:7/TCP (active)
                                              3 => 10.0.1.124:7/TCP (active)
                                              4 => 10.0.0.86:7/TCP (maintenance)
      "
    `);
  });
});

describe("NodePort services", () => {
  it("are served at the surrogate and at every node port address", () => {
    const a = new Agent().sync(service("type: NodePort"), {
      nodePortAddresses: ["192.168.0.1", "172.16.0.1", "fd00::1"],
    });
    expect(a.list()).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)       0.0.0.0:0 (2) (0) [NodePort, non-routable]
      0.0.0.0:30080/TCP (1)       10.0.0.85:8080/TCP (2) (1)
      0.0.0.0:30080/TCP (2)       10.0.1.124:8080/TCP (2) (2)
      10.96.0.10:0/ANY (0)        0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)       0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (1)       10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)       10.0.1.124:8080/TCP (1) (2)
      172.16.0.1:30080/TCP (0)    0.0.0.0:0 (4) (0) [NodePort]
      172.16.0.1:30080/TCP (1)    10.0.0.85:8080/TCP (4) (1)
      172.16.0.1:30080/TCP (2)    10.0.1.124:8080/TCP (4) (2)
      192.168.0.1:30080/TCP (0)   0.0.0.0:0 (3) (0) [NodePort]
      192.168.0.1:30080/TCP (1)   10.0.0.85:8080/TCP (3) (1)
      192.168.0.1:30080/TCP (2)   10.0.1.124:8080/TCP (3) (2)
      "
    `);
    expect(a.services()).toMatchInlineSnapshot(`
      "ID   Frontend            Service Type   Backend
      1    10.96.0.10:80/TCP   ClusterIP      1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.1.124:8080/TCP (active)
      2    0.0.0.0:30080/TCP   NodePort       1 => 10.0.0.85:8080/TCP (active)
                                              2 => 10.0.1.124:8080/TCP (active)
      "
    `);
  });

  it("are left to kube-proxy without kube-proxy replacement", () => {
    const a = new Agent().sync(service("type: NodePort"), { kubeProxyReplacement: false });
    expect(a.list("revnat")).toBe("1    10.96.0.10:80\n");
  });

  it("have two scopes when only one traffic policy is Local", () => {
    const a = new Agent().sync(service("type: NodePort, externalTrafficPolicy: Local"));
    expect(a.list()).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)         0.0.0.0:0 (2) (0) [NodePort, Local, two-scopes, non-routable]
      0.0.0.0:30080/TCP (1)         10.0.0.85:8080/TCP (2) (1)
      0.0.0.0:30080/TCP/i (0)       0.0.0.0:0 (4) (0) [NodePort, Local, two-scopes, non-routable]
      0.0.0.0:30080/TCP/i (1)       10.0.0.85:8080/TCP (4) (1)
      0.0.0.0:30080/TCP/i (2)       10.0.1.124:8080/TCP (4) (2)
      10.96.0.10:0/ANY (0)          0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)         0.0.0.0:0 (1) (0) [ClusterIP, Local, non-routable]
      10.96.0.10:80/TCP (1)         10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)         10.0.1.124:8080/TCP (1) (2)
      192.168.0.1:30080/TCP (0)     0.0.0.0:0 (3) (0) [NodePort, Local, two-scopes]
      192.168.0.1:30080/TCP (1)     10.0.0.85:8080/TCP (3) (1)
      192.168.0.1:30080/TCP/i (0)   0.0.0.0:0 (5) (0) [NodePort, Local, two-scopes]
      192.168.0.1:30080/TCP/i (1)   10.0.0.85:8080/TCP (5) (1)
      192.168.0.1:30080/TCP/i (2)   10.0.1.124:8080/TCP (5) (2)
      "
    `);
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)         0 1[0] (2) [0x6 0x20]
      0.0.0.0:30080/TCP (1)         1 0[0] (2) [0x6 0x20]
      0.0.0.0:30080/TCP/i (0)       0 2[0] (4) [0x6 0x20]
      0.0.0.0:30080/TCP/i (1)       1 0[0] (4) [0x6 0x20]
      0.0.0.0:30080/TCP/i (2)       2 0[0] (4) [0x6 0x20]
      10.96.0.10:0/ANY (0)          0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)         0 2[0] (1) [0x4 0x0]
      10.96.0.10:80/TCP (1)         1 0[0] (1) [0x4 0x0]
      10.96.0.10:80/TCP (2)         2 0[0] (1) [0x4 0x0]
      192.168.0.1:30080/TCP (0)     0 1[0] (3) [0x46 0x20]
      192.168.0.1:30080/TCP (1)     1 0[0] (3) [0x46 0x20]
      192.168.0.1:30080/TCP/i (0)   0 2[0] (5) [0x46 0x20]
      192.168.0.1:30080/TCP/i (1)   1 0[0] (5) [0x46 0x20]
      192.168.0.1:30080/TCP/i (2)   2 0[0] (5) [0x46 0x20]
      "
    `);
  });

  it("have one scope when both are Local", () => {
    const a = new Agent().sync(
      service("type: NodePort, externalTrafficPolicy: Local, internalTrafficPolicy: Local"),
    );
    expect(a.list()).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)       0.0.0.0:0 (2) (0) [NodePort, Local, InternalLocal, non-routable]
      0.0.0.0:30080/TCP (1)       10.0.0.85:8080/TCP (2) (1)
      10.96.0.10:0/ANY (0)        0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)       0.0.0.0:0 (1) (0) [ClusterIP, Local, InternalLocal, non-routable]
      10.96.0.10:80/TCP (1)       10.0.0.85:8080/TCP (1) (1)
      192.168.0.1:30080/TCP (0)   0.0.0.0:0 (3) (0) [NodePort, Local, InternalLocal]
      192.168.0.1:30080/TCP (1)   10.0.0.85:8080/TCP (3) (1)
      "
    `);
  });

  it("can be kept to one kind of frontend by annotation", () => {
    const a = new Agent().sync(
      service("type: NodePort", ", annotations: {service.cilium.io/type: NodePort}"),
    );
    expect(a.list("revnat")).toMatchInlineSnapshot(`
      "1    0.0.0.0:30080
      2    192.168.0.1:30080
      "
    `);
  });
});

describe("LoadBalancer services and external IPs", () => {
  const status =
    "\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.5}, {ip: 203.0.113.6, ipMode: Proxy}, {hostname: x}]}}\n";

  it("are served at the addresses of their status, except those that a proxy serves", () => {
    const a = new Agent().sync(service("type: LoadBalancer") + status);
    expect(a.list()).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)       0.0.0.0:0 (2) (0) [NodePort, non-routable]
      0.0.0.0:30080/TCP (1)       10.0.0.85:8080/TCP (2) (1)
      0.0.0.0:30080/TCP (2)       10.0.1.124:8080/TCP (2) (2)
      10.96.0.10:0/ANY (0)        0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)       0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (1)       10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)       10.0.1.124:8080/TCP (1) (2)
      192.168.0.1:30080/TCP (0)   0.0.0.0:0 (3) (0) [NodePort]
      192.168.0.1:30080/TCP (1)   10.0.0.85:8080/TCP (3) (1)
      192.168.0.1:30080/TCP (2)   10.0.1.124:8080/TCP (3) (2)
      203.0.113.5:0/ANY (0)       0.0.0.0:0 (0) (0) [LoadBalancer, non-routable]
      203.0.113.5:80/TCP (0)      0.0.0.0:0 (4) (0) [LoadBalancer]
      203.0.113.5:80/TCP (1)      10.0.0.85:8080/TCP (4) (1)
      203.0.113.5:80/TCP (2)      10.0.1.124:8080/TCP (4) (2)
      "
    `);
  });

  it("have no wildcard when the class of the load balancer is not Cilium's", () => {
    const wildcard = (c: string): boolean =>
      new Agent()
        .sync(service(`type: LoadBalancer, loadBalancerClass: ${c}`) + status)
        .list()
        .includes("203.0.113.5:0/ANY");
    expect(["example.com/x", "io.cilium/bgp-control-plane", "io.cilium/l2-announcer"].map(wildcard)).toEqual([
      false,
      true,
      true,
    ]);
  });

  it("check source ranges at the load balancer address, as a list of those let in or of those refused", () => {
    const spec =
      "type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, ' 192.0.2.7/32', 'fd00::/8', nonsense]";
    const a = new Agent().sync(service(spec) + status);
    expect(a.list("source-ranges")).toMatchInlineSnapshot(`
      "10.0.0.0/8 (1)
      10.0.0.0/8 (2)
      10.0.0.0/8 (3)
      10.0.0.0/8 (4)
      192.0.2.7/32 (1)
      192.0.2.7/32 (2)
      192.0.2.7/32 (3)
      192.0.2.7/32 (4)
      "
    `);
    expect(
      a
        .list()
        .split("\n")
        .filter((l) => l.includes("203.0.113.5:80")),
    ).toMatchInlineSnapshot(`
      [
        "203.0.113.5:80/TCP (0)      0.0.0.0:0 (4) (0) [LoadBalancer, check source-range]",
        "203.0.113.5:80/TCP (1)      10.0.0.85:8080/TCP (4) (1)",
        "203.0.113.5:80/TCP (2)      10.0.1.124:8080/TCP (4) (2)",
      ]
    `);
    const deny = new Agent().sync(
      service(spec, ", annotations: {service.cilium.io/src-ranges-policy: deny}") + status,
    );
    expect(
      deny
        .list()
        .split("\n")
        .filter((l) => l.includes("203.0.113.5:80/TCP (0)")),
    ).toMatchInlineSnapshot(`
      [
        "203.0.113.5:80/TCP (0)      0.0.0.0:0 (4) (0) [LoadBalancer, check source-range, deny]",
      ]
    `);
    expect(deny.sync(service("type: LoadBalancer") + status).list("source-ranges")).toBe("");
  });

  it("are served at external IPs, in the external scope only", () => {
    const a = new Agent().sync(
      service("externalIPs: [198.51.100.1, nonsense], externalTrafficPolicy: Local"),
    );
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)      0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)     0.0.0.0:0 (1) (0) [ClusterIP, Local, non-routable]
      10.96.0.10:80/TCP (1)     10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)     10.0.1.124:8080/TCP (1) (2)
      198.51.100.1:80/TCP (0)   0.0.0.0:0 (2) (0) [ExternalIPs, Local, two-scopes]
      198.51.100.1:80/TCP (1)   10.0.0.85:8080/TCP (2) (1)
      "
    `);
  });
});

describe("host ports", () => {
  const port = {
    name: undefined,
    containerPort: 80,
    hostPort: 8080,
    hostIp: undefined,
    protocol: "TCP" as const,
  };

  it("of the node's pods are served at its addresses", () => {
    const pods = [
      pod({
        name: "web",
        ip4: "10.0.0.85",
        ports: [port, { ...port, containerPort: 81, hostPort: undefined }],
      }),
      pod({ name: "away", ip4: "10.0.1.85", nodeName: "node-2", ports: [{ ...port, hostPort: 8081 }] }),
      pod({ name: "host", ip4: "192.168.0.1", hostNetwork: true, ports: [{ ...port, hostPort: 8082 }] }),
    ];
    const a = new Agent().sync("", {}, pods);
    expect(a.list()).toMatchInlineSnapshot(`
      "0.0.0.0:8080/TCP (0)       0.0.0.0:0 (1) (0) [HostPort, non-routable]
      0.0.0.0:8080/TCP (1)       10.0.0.85:80/TCP (1) (1)
      192.168.0.1:8080/TCP (0)   0.0.0.0:0 (2) (0) [HostPort]
      192.168.0.1:8080/TCP (1)   10.0.0.85:80/TCP (2) (1)
      "
    `);
    expect(a.services()).toMatchInlineSnapshot(`
      "ID   Frontend           Service Type   Backend
      1    0.0.0.0:8080/TCP   HostPort       1 => 10.0.0.85:80/TCP (active)
      "
    `);
    expect(new Agent().sync("", { kubeProxyReplacement: false }, pods).list()).toBe("");
  });

  it("keep to the address they name, a loopback address becoming the surrogate with a flag", () => {
    const at = (hostIp: string): string =>
      new Agent()
        .sync("", { ipv6: true }, [pod({ name: "web", ip4: "10.0.0.85", ports: [{ ...port, hostIp }] })])
        .list();
    expect(at("192.168.0.7")).toMatchInlineSnapshot(`
      "192.168.0.7:8080/TCP (0)   0.0.0.0:0 (1) (0) [HostPort]
      192.168.0.7:8080/TCP (1)   10.0.0.85:80/TCP (1) (1)
      "
    `);
    expect(at("127.0.0.1")).toMatchInlineSnapshot(`
      "0.0.0.0:8080/TCP (0)       0.0.0.0:0 (1) (0) [HostPort, non-routable, loopback]
      0.0.0.0:8080/TCP (1)       10.0.0.85:80/TCP (1) (1)
      192.168.0.1:8080/TCP (0)   0.0.0.0:0 (2) (0) [HostPort, loopback]
      192.168.0.1:8080/TCP (1)   10.0.0.85:80/TCP (2) (1)
      "
    `);
    expect(at("fd00::7")).toBe("");
  });
});

describe("backends", () => {
  const slice = (endpoints: string): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
ports: [{name: "", port: 8080}]
endpoints: ${endpoints}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
`;

  it("that terminate keep a slot without new connections", () => {
    const a = new Agent().sync(
      slice(`
  - {addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}
  - {addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}}
  - {addresses: [10.0.0.3], conditions: {ready: true, serving: true, terminating: false}}
  - {addresses: [10.0.0.4], conditions: {ready: false}}`),
    );
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (1)   10.0.0.3:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)   10.0.0.1:8080/TCP (1) (2)
      10.96.0.10:80/TCP (3)   10.0.0.2:8080/TCP (1) (3)
      "
    `);
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   0 1[2] (1) [0x0 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (3)   3 0[0] (1) [0x0 0x0]
      "
    `);
    expect(dumpHex(a.maps.cilium_lb4_backends_v3).sort()).toMatchInlineSnapshot(`
      [
        [
          "01000000",
          "0a0000031f90060000000000",
        ],
        [
          "02000000",
          "0a0000011f90060100000000",
        ],
        [
          "03000000",
          "0a0000021f90060100000000",
        ],
        [
          "04000000",
          "0a0000041f90060300000000",
        ],
      ]
    `);
  });

  it("that terminate but still serve take over when none is left", () => {
    const a = new Agent().sync(
      slice(`
  - {addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}
  - {addresses: [10.0.0.2], conditions: {ready: false, serving: false, terminating: true}}`),
    );
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   0 1[1] (1) [0x0 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x0 0x0]
      "
    `);
  });

  it("with hints for the node's zone are preferred if all have hints", () => {
    const zones = (b: string): string => `
  - {addresses: [10.0.0.1], zone: a, hints: {forZones: [{name: a}]}}
  - {addresses: [10.0.0.2], zone: b, hints: {forZones: [${b}]}}`;
    const near = (hint: string, zone: string): string =>
      new Agent()
        .sync(
          slice(zones(hint)).replace(
            "ports: [{port: 80}]",
            "ports: [{port: 80}], trafficDistribution: PreferClose",
          ),
          {
            zone,
          },
        )
        .list("backends");
    expect([
      near("{name: b}", "a"),
      near("{name: b}", "c"),
      near("", "a"),
      near("{name: b}", ""),
    ]).toMatchInlineSnapshot(`
      [
        "1    TCP://10.0.0.1
      ",
        "1    TCP://10.0.0.1
      2    TCP://10.0.0.2
      ",
        "1    TCP://10.0.0.1
      2    TCP://10.0.0.2
      ",
        "1    TCP://10.0.0.1
      2    TCP://10.0.0.2
      ",
      ]
    `);
  });
});

describe("session affinity", () => {
  it("is written with its timeout, and each active backend as a match", () => {
    const a = new Agent().sync(
      service("sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 90}}"),
    );
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   90 2[0] (1) [0x10 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x10 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x10 0x0]
      "
    `);
    expect(dumpHex(a.maps.cilium_lb_affinity_match).sort()).toMatchInlineSnapshot(`
      [
        [
          "0100000000010000",
          "00",
        ],
        [
          "0200000000010000",
          "00",
        ],
      ]
    `);
    a.sync(service("sessionAffinity: ClientIP"));
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)   10800 2[0] (1) [0x10 0x0]
      10.96.0.10:80/TCP (1)   1 0[0] (1) [0x10 0x0]
      10.96.0.10:80/TCP (2)   2 0[0] (1) [0x10 0x0]
      "
    `);
    a.sync(service(""));
    expect(dumpHex(a.maps.cilium_lb_affinity_match)).toEqual([]);
  });
});

describe("Maglev", () => {
  const table = (a: Agent, id: number): Int32Array | undefined => {
    const inner = a.maps.cilium_lb4_maglev.lookup(new Int32Array([((id & 0xff) << 8) | (id >> 8)]));
    return inner === null ? undefined : inner.words.slice(0, TABLE_SIZE);
  };

  it("tables are written for what outside can reach, and removed with it", () => {
    const a = new Agent().sync(service("type: NodePort"), { algorithm: "maglev" });
    const backends = [
      { id: 1, address: "10.0.0.85", port: 8080, protocol: "TCP" as const },
      { id: 2, address: "10.0.1.124", port: 8080, protocol: "TCP" as const },
    ];
    expect([1, 2, 3].map((id) => table(a, id))).toEqual([
      undefined,
      undefined,
      maglevLookupTable(backends, TABLE_SIZE),
    ]);
    a.sync(service("type: ClusterIP"), { algorithm: "maglev" });
    expect([1, 2, 3].map((id) => table(a, id))).toEqual([undefined, undefined, undefined]);
  });

  it("is chosen by annotation where annotations count", () => {
    const annotated = service("type: NodePort", ", annotations: {service.cilium.io/lb-algorithm: maglev}");
    expect(table(new Agent().sync(annotated), 3)).toBeUndefined();
    const a = new Agent().sync(annotated, { algorithmAnnotation: true });
    expect(table(a, 3)).toBeDefined();
    expect(a.list("frontends")).toMatchInlineSnapshot(`
      "0.0.0.0:30080/TCP (0)       33554432 2[0] (2) [0x2 0x0]
      0.0.0.0:30080/TCP (1)       1 0[0] (2) [0x2 0x0]
      0.0.0.0:30080/TCP (2)       2 0[0] (2) [0x2 0x0]
      10.96.0.10:0/ANY (0)        0 0[0] (0) [0x0 0x0]
      10.96.0.10:80/TCP (0)       33554432 2[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (1)       1 0[0] (1) [0x0 0x0]
      10.96.0.10:80/TCP (2)       2 0[0] (1) [0x0 0x0]
      192.168.0.1:30080/TCP (0)   33554432 2[0] (3) [0x42 0x0]
      192.168.0.1:30080/TCP (1)   1 0[0] (3) [0x42 0x0]
      192.168.0.1:30080/TCP (2)   2 0[0] (3) [0x42 0x0]
      "
    `);
    const random = service("type: NodePort", ", annotations: {service.cilium.io/lb-algorithm: random}");
    expect(
      table(new Agent().sync(random, { algorithmAnnotation: true, algorithm: "maglev" }), 3),
    ).toBeUndefined();
  });
});

describe("flags", () => {
  const first = (ctx: Partial<LbNodeContext>, more = ""): string =>
    new Agent().sync(service("", more), ctx).list().split("\n")[1]!;

  it("say which frontends reply directly to the client", () => {
    const dsr = ", annotations: {service.cilium.io/forwarding-mode: dsr}";
    expect([
      first({ mode: "dsr" }),
      first({ mode: "hybrid" }),
      first({ mode: "snat" }, dsr),
      first({ mode: "snat", modeAnnotation: true }, dsr),
      first({ mode: "dsr", modeAnnotation: true }, dsr.replace("dsr}", "snat}")),
    ]).toMatchInlineSnapshot(`
      [
        "10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable, dsr]",
        "10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable, dsr]",
        "10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]",
        "10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable, dsr]",
        "10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable]",
      ]
    `);
  });

  it("say which services Envoy balances, with its port in place of a backend", () => {
    const a = new Agent().sync(service(""), { l7ProxyPorts: { "default/web": 10000 } });
    expect(a.list()).toMatchInlineSnapshot(`
      "10.96.0.10:0/ANY (0)    0.0.0.0:0 (0) (0) [ClusterIP, non-routable]
      10.96.0.10:80/TCP (0)   0.0.0.0:0 (1) (0) [ClusterIP, non-routable, l7-load-balancer] (L7LB Proxy Port: 10000)
      10.96.0.10:80/TCP (1)   10.0.0.85:8080/TCP (1) (1)
      10.96.0.10:80/TCP (2)   10.0.1.124:8080/TCP (1) (2)
      "
    `);
  });
});

describe("changes", () => {
  it("keep the numbers of what stays, and never reuse a number at once", () => {
    const two = service("");
    const one = two.replace("  - {addresses: [10.0.0.85], nodeName: node-1}\n", "");
    const other = two
      .replaceAll("name: web", "name: shop")
      .replace("10.96.0.10", "10.96.0.11")
      .replace("service-name: web", "service-name: shop");
    const a = new Agent().sync(two);
    const ids = (): unknown => [a.list("backends"), a.list("revnat")];
    expect(ids()).toMatchInlineSnapshot(`
      [
        "1    TCP://10.0.0.85
      2    TCP://10.0.1.124
      ",
        "1    10.96.0.10:80
      ",
      ]
    `);
    a.sync(one);
    expect(ids()).toMatchInlineSnapshot(`
      [
        "2    TCP://10.0.1.124
      ",
        "1    10.96.0.10:80
      ",
      ]
    `);
    a.sync(`${two}\n---\n${other}`);
    expect(ids()).toMatchInlineSnapshot(`
      [
        "2    TCP://10.0.1.124
      3    TCP://10.0.0.85
      ",
        "1    10.96.0.10:80
      2    10.96.0.11:80
      ",
      ]
    `);
    a.sync(other);
    expect(ids()).toMatchInlineSnapshot(`
      [
        "2    TCP://10.0.1.124
      3    TCP://10.0.0.85
      ",
        "2    10.96.0.11:80
      ",
      ]
    `);
    a.sync("");
    expect([a.list(), a.list("frontends"), ...(ids() as string[])]).toEqual(["", "", "", ""]);
  });

  it("give a frontend that two services claim to the first", () => {
    const twin = service("").replace("{name: web}", "{name: twin}").slice(BACKENDS.length);
    const a = new Agent().sync(`${service("")}\n---\n${twin}`);
    expect(a.frontends.map((f) => f.spec.service.name)).toEqual(["web"]);
  });
});

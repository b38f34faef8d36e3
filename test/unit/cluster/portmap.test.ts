// Host ports of pods by the CNI plugin portmap, and settings of kube-proxy that are refused.
import { describe, expect, it } from "vitest";
import type { Lab } from "../../../src/lab.js";
import { NODE_1, twoNodeLab } from "../../support/two_nodes.js";

const WEB = `---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: n1
  containers: [{ports: [{containerPort: 8080, hostPort: 80}, {containerPort: 53, hostPort: 5353, protocol: UDP, hostIP: ${NODE_1}}]}]
status: {podIP: 10.0.0.40}
`;

describe("host ports", () => {
  it.each(["calico-ipip", "flannel-host-gw"] as const)(
    "on %s lead from outside, from the other node and from pods of this one to the pod",
    (datapath) => {
      const l = twoNodeLab({ datapath, kubeProxy: "iptables" }, WEB);
      l.traffic.listen({ on: "pod/web", port: 8080, protocol: "tcp" });
      l.traffic.listen({ on: "pod/web", port: 53, protocol: "udp" });
      const tcp = (from: string): boolean => l.tcp({ from, to: NODE_1, port: 80 }).connected;
      expect({
        outside: tcp("host/outside"),
        otherNode: tcp("node/n2"),
        pod: tcp("pod/a"),
        udp: l.udp({ from: "host/outside", to: NODE_1, port: 5353 }).answers.length,
      }).toEqual({ outside: true, otherNode: true, pod: true, udp: 1 });
    },
  );

  it("are rules of the plugin's chains, one chain for each pod", () => {
    const l = twoNodeLab({ datapath: "flannel-host-gw", kubeProxy: "none" }, WEB);
    const rules = l
      .exec("node/n1", "iptables -t nat -S")
      .out.split("\n")
      .filter((r) => r.startsWith("-A") && r.includes("CNI-"))
      .map((r) => r.replace(/CNI-DN-[0-9a-f]{21}/, "CNI-DN"));
    expect(rules).toEqual([
      "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      '-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
      "-A CNI-DN -s 10.0.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK",
      "-A CNI-DN -s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK",
      "-A CNI-DN -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.40:8080",
      `-A CNI-DN -s 10.0.0.0/24 -d ${NODE_1}/32 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK`,
      `-A CNI-DN -s 127.0.0.1/32 -d ${NODE_1}/32 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK`,
      `-A CNI-DN -d ${NODE_1}/32 -p udp -m udp --dport 5353 -j DNAT --to-destination 10.0.0.40:53`,
      '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"default/web\\"" -m multiport --dports 80 -j CNI-DN',
      '-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"cbr0\\" id: \\"default/web\\"" -m multiport --dports 5353 -j CNI-DN',
      "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
      '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    ]);
    expect(l.exec("node/n2", "iptables -t nat -S").out).not.toContain("CNI-");
  });
});

describe("kube-proxy's configuration", () => {
  const config =
    (inner: string): (() => Lab) =>
    () =>
      twoNodeLab(
        { datapath: "flannel-host-gw" },
        `---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: "${inner}"
`,
      );

  it.each([
    ["mode: nftables", "kube-proxy: mode nftables is not modelled; iptables, ipvs, none are"],
    [
      "{mode: ipvs, ipvs: {scheduler: mh}}",
      "kube-proxy: IPVS scheduler mh is not one of rr, wrr, lc, wlc, sh, sed, nq",
    ],
    ["clusterCIDR: ten", "kube-proxy: ten is not a subnet like 10.0.0.0/24"],
    ["nodePortAddresses: [primary, 10.0.0.0/99]", "kube-proxy: 10.0.0.0/99 is not a subnet like 10.0.0.0/24"],
    ["iptables: {masqueradeBit: 99}", "kube-proxy: masqueradeBit 99 is not a bit from 0 to 31"],
    [
      "mode: [ipvs",
      "kube-proxy: config.conf: YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 12",
    ],
  ])("%j is refused with the ConfigMap's position", (inner, message) => {
    expect(config(inner)).toThrow(expect.objectContaining({ message, position: expect.anything() }));
  });

  it("as kubeadm writes it is accepted, with empty texts for what is not said", () => {
    const inner =
      "{mode: '', clusterCIDR: '10.0.0.0/16,fd00::/48', nodePortAddresses: null, ipvs: {scheduler: '', strictARP: false}, " +
      "iptables: {masqueradeBit: null}}";
    expect(config(inner)().exec("node/n1", "iptables -t nat -S KUBE-MARK-MASQ").out).toBe(
      "-N KUBE-MARK-MASQ\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\n",
    );
  });
});

import { describe, expect, it } from "vitest";
import { twoNodeLab } from "../../support/two_nodes.js";

const lab = () => twoNodeLab({ datapath: "calico-ipip", kubeProxy: "none" });

describe("calicoctl and calico-node's own commands in a traffic step", () => {
  it("get nodes, ippools and workload endpoints print columns with three blanks between", () => {
    const l = lab();
    const out = (c: string): string => l.exec("node/n1", `calicoctl ${c}`).out;
    expect(out("get nodes")).toBe("NAME   \nn1     \nn2     \n");
    expect(out("get node -o wide")).toBe(
      "NAME   ASN       IPV4              IPV6   \nn1     (64512)   192.168.0.11/24          \nn2     (64512)   192.168.0.12/24          \n",
    );
    expect(out("get ippool")).toBe(
      "NAME                  CIDR          SELECTOR   \ndefault-ipv4-ippool   10.0.0.0/16   all()      \n",
    );
    expect(out("get wep").split("\n")).toEqual([
      "WORKLOAD   NODE   NETWORKS       INTERFACE         ",
      ...["a", "b", "c"].map((p) => {
        const s = l.cluster.pods.get(`default/${p}`)!;
        return `${p}          ${s.pod.nodeName}     ${s.pod.ip4}/32   ${s.host.name}   `;
      }),
      "",
    ]);
    expect(out("get wep -n other")).toBe("WORKLOAD   NODE   NETWORKS   INTERFACE\n");
  });

  it("patching a pool to ipipMode Never moves the routes off tunl0", () => {
    const l = lab();
    expect(
      l.exec("node/n1", `calicoctl patch ippool default-ipv4-ippool -p '{"spec":{"ipipMode":"Never"}}'`),
    ).toMatchObject({ rc: 0, out: "Successfully patched 1 'IPPool' resource\n" });
    expect(l.exec("node/n1", "ip route").out.split("\n")).toContain(
      "10.0.1.0/26 via 192.168.0.12 dev eth0 proto bird ",
    );
    expect(l.ping({ from: "pod/a", to: "pod/c" }).replies[0]!.ttl).toBe(62);
  });

  it("stopping BIRD on a node shows there and at its peers", () => {
    const l = lab();
    l.exec("node/n2", "sv stop bird");
    expect(l.exec("node/n2", "calicoctl node status")).toMatchObject({
      rc: 1,
      out: "Calico process is not running.\n",
    });
    expect(l.exec("node/n1", "calicoctl node status").out.split("\n").slice(4, 8)).toEqual([
      "| PEER ADDRESS |     PEER TYPE     | STATE |  SINCE   |               INFO                |",
      "+--------------+-------------------+-------+----------+-----------------------------------+",
      "| 192.168.0.12 | node-to-node mesh | start | 00:00:00 | Active Socket: Connection refused |",
      "+--------------+-------------------+-------+----------+-----------------------------------+",
    ]);
    expect(l.ping({ from: "pod/a", to: "pod/c" }).received).toBe(0);
    l.exec("node/n2", "sv start bird");
    expect(l.ping({ from: "pod/a", to: "pod/c" }).received).toBe(1);
  });
});

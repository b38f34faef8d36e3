// What Felix writes where kube-proxy runs in ipvs mode: marks of endpoints, and the chains that carry them from INPUT to
// OUTPUT.
import { describe, expect, it } from "vitest";
import type { CalicoConfig } from "../../../src/cluster/calico/config.js";
import { endpointMarks } from "../../../src/cluster/calico/felix_ipvs.js";
import { felixRules } from "../../../src/cluster/calico/felix_rules.js";

const config: CalicoConfig = {
  pools: [],
  podMtu: undefined,
  ipipMtu: undefined,
  vxlanMtu: undefined,
  vxlanVni: 4096,
  vxlanPort: 4789,
  bgp: true,
  nodeToNodeMesh: true,
  asNumber: 64512,
  endpointToHost: "ACCEPT",
  failsafeIn: [],
  failsafeOut: [],
};
const host = (interfaceName: string) => ({
  name: `hep-${interfaceName}`,
  node: "n1",
  interfaceName,
  labels: {},
  profiles: [],
  expectedIps: [],
});

/** Lines of Felix's rules, each with its table in front. */
function lines(kubeIpvs: boolean, hosts: readonly string[] = []): string[] {
  const { text } = felixRules(
    {
      config,
      ipip: true,
      vxlan: false,
      workloads: ["cali7aefa6d70b6", "cali27d5a8fe8ae"].map((interfaceName) => ({
        interfaceName,
        namespace: "default",
        labels: {},
      })),
      hostEndpoints: hosts.map(host),
      kubeIpvs,
    },
    { tiers: [], policies: [], endpoints: [] },
  );
  let table = "";
  const out: string[] = [];
  for (const l of text.split("\n")) {
    if (l.startsWith("*")) table = l.slice(1);
    else if (/^[:-]/.test(l)) out.push(`${table} ${l}`);
  }
  return out;
}

/** What ipvs mode adds, in order. */
const added = (hosts: readonly string[] = []): string[] => {
  const without = new Set(lines(false, hosts));
  return lines(true, hosts).filter((l) => !without.has(l));
};

describe("marks of endpoints", () => {
  it("are the ones that a real node gave the same devices", () => {
    expect([
      ...endpointMarks([
        "cali27d5a8fe8ae",
        "cali2aef8851418",
        "cali7aefa6d70b6",
        "cali9819c942018",
        "calia839c1cc9c9",
      ]).values(),
    ]).toEqual([
      "0xd8e00000/0xfff00000",
      "0xef300000/0xfff00000",
      "0x78900000/0xfff00000",
      "0x7ea00000/0xfff00000",
      "0xcaa00000/0xfff00000",
    ]);
  });

  it("are all different, never that of no endpoint or of a stranger, and 4094 at most", () => {
    const marks = endpointMarks(Array.from({ length: 4100 }, (_, i) => `cali${i}`));
    expect(marks.size).toBe(4094);
    expect(new Set(marks.values()).size).toBe(4094);
    expect([...marks.values()].filter((m) => /^0x(0|100000)\//.test(m))).toEqual([]);
  });
});

describe("Felix's rules in ipvs mode", () => {
  it("add the way from INPUT by the mark to OUTPUT", () => {
    expect(added()).toEqual(
      `mangle -A cali-POSTROUTING -m mark ! --mark 0x0/0xfff00000 -j RETURN
filter :cali-forward-check - [0:0]
filter :cali-set-endpoint-mark - [0:0]
filter :cali-forward-endpoint-mark - [0:0]
filter :cali-from-endpoint-mark - [0:0]
filter :cali-sm-cali27d5a8fe8ae - [0:0]
filter :cali-sm-cali7aefa6d70b6 - [0:0]
filter -A cali-INPUT -j MARK --set-xmark 0x0/0xfff00000
filter -A cali-INPUT -j cali-forward-check
filter -A cali-INPUT -m mark ! --mark 0x0/0xfff00000 -j RETURN
filter -A cali-OUTPUT -m mark ! --mark 0x0/0xfff00000 -g cali-forward-endpoint-mark
filter -A cali-forward-check -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
filter -A cali-forward-check -p tcp -m comment --comment "To kubernetes NodePort service" -m multiport --dports 30000:32767 -m set --match-set cali40this-host dst -g cali-set-endpoint-mark
filter -A cali-forward-check -p udp -m comment --comment "To kubernetes NodePort service" -m multiport --dports 30000:32767 -m set --match-set cali40this-host dst -g cali-set-endpoint-mark
filter -A cali-forward-check -m comment --comment "To kubernetes service" -m set ! --match-set cali40this-host dst -j cali-set-endpoint-mark
filter -A cali-set-endpoint-mark -i cali27d5a8fe8ae -g cali-sm-cali27d5a8fe8ae
filter -A cali-sm-cali27d5a8fe8ae -j MARK --set-xmark 0xd8e00000/0xfff00000
filter -A cali-from-endpoint-mark -m mark --mark 0xd8e00000/0xfff00000 -g cali-fw-cali27d5a8fe8ae
filter -A cali-set-endpoint-mark -i cali7aefa6d70b6 -g cali-sm-cali7aefa6d70b6
filter -A cali-sm-cali7aefa6d70b6 -j MARK --set-xmark 0x78900000/0xfff00000
filter -A cali-from-endpoint-mark -m mark --mark 0x78900000/0xfff00000 -g cali-fw-cali7aefa6d70b6
filter -A cali-set-endpoint-mark -i cali+ -m comment --comment "Unknown endpoint" -j DROP
filter -A cali-set-endpoint-mark -m comment --comment "Non-Cali endpoint mark" -j MARK --set-xmark 0x100000/0xfff00000
filter -A cali-from-endpoint-mark -m comment --comment "Unknown interface" -j DROP
filter -A cali-forward-endpoint-mark -m mark ! --mark 0x100000/0xfff00000 -j cali-from-endpoint-mark
filter -A cali-forward-endpoint-mark -o cali+ -j cali-to-wl-dispatch
filter -A cali-forward-endpoint-mark -j MARK --set-xmark 0x0/0xfff00000
filter -A cali-forward-endpoint-mark -m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT`.split(
        "\n",
      ),
    );
  });

  it("stand where Felix has them: in INPUT behind the tunnels' and before pods', in OUTPUT behind the accepted", () => {
    const of = (chain: string): string[] =>
      lines(true)
        .filter((l) => l.startsWith(`filter -A ${chain} `))
        .map((l) => l.replace(/.* -([jg]) /, "$1 "));
    expect(of("cali-INPUT")).toEqual([
      "j ACCEPT",
      "j DROP",
      "j MARK --set-xmark 0x0/0xfff00000",
      "j cali-forward-check",
      "j RETURN",
      "g cali-wl-to-host",
      "j ACCEPT",
    ]);
    expect(of("cali-OUTPUT")).toEqual([
      "j ACCEPT",
      "g cali-forward-endpoint-mark",
      "j RETURN",
      "j ACCEPT",
      "j MARK --set-xmark 0x0/0xf0000",
    ]);
    expect(lines(true).filter((l) => l.startsWith("mangle -A cali-POSTROUTING"))).toEqual([
      "mangle -A cali-POSTROUTING -m mark --mark 0x10000/0x10000 -j RETURN",
      "mangle -A cali-POSTROUTING -m mark ! --mark 0x0/0xfff00000 -j RETURN",
      "mangle -A cali-POSTROUTING -j MARK --set-xmark 0x0/0xf0000",
    ]);
  });

  it("give a host endpoint with a device a mark that leads to its forward policy, one of all devices none", () => {
    const of = (hosts: readonly string[]): string[] =>
      added(hosts).filter((l) => /-sm-(?!cali)|fhfw|hep-forward/.test(l));
    expect(of(["eth0"])).toEqual([
      "filter :cali-sm-eth0 - [0:0]",
      "filter -A cali-set-endpoint-mark -i eth0 -g cali-sm-eth0",
      "filter -A cali-sm-eth0 -j MARK --set-xmark 0xfa200000/0xfff00000",
      "filter -A cali-from-endpoint-mark -m mark --mark 0xfa200000/0xfff00000 -g cali-fhfw-eth0",
      "filter -A cali-forward-endpoint-mark -j cali-to-hep-forward",
    ]);
    expect(of(["*"])).toEqual(["filter -A cali-forward-endpoint-mark -j cali-to-hep-forward"]);
  });
});

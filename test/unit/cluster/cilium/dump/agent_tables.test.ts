// Endpoint, identity and service lists, `map list` and `map get` against the recorded tables, to the last space.

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createCiliumMaps } from "../../../../../maps/cilium_maps.js";
import { VirtualClock } from "../../../../../src/base/clock.js";
import {
  type EndpointRow,
  endpointListJson,
  endpointListText,
  identityListJson,
  identityListText,
  policyEnabled,
  serviceListJson,
  serviceListText,
} from "../../../../../src/cluster/cilium/dump/agent_tables.js";
import {
  mapGetJson,
  mapGetText,
  mapListJson,
  mapListText,
  mapListVerboseText,
} from "../../../../../src/cluster/cilium/dump/map_list.js";
import { alignTable, jsonText } from "../../../../../src/cluster/cilium/dump/tabwriter.js";
import { LabelSet } from "../../../../../src/cluster/cilium/policy/labels.js";
import type { LbBackend, LbFrontend, LbFrontendSpec } from "../../../../../src/cluster/cilium/services.js";
import { ip, le16, le32, put, u8, zeros } from "../../../../support/map_bytes.js";

describe("endpoint list", () => {
  const endpoints: EndpointRow[] = [
    {
      id: 1580,
      state: "ready",
      identity: 3352,
      labels: [
        "k8s:io.kubernetes.pod.namespace=default",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=default",
        "k8s:app=cni-test",
      ],
      ipv4: "10.0.1.124",
      ipv6: undefined,
      policyEnabled: "ingress",
    },
    {
      id: 385,
      state: "ready",
      identity: 1,
      labels: ["reserved:host"],
      ipv4: undefined,
      ipv6: undefined,
      policyEnabled: "none",
    },
    {
      id: 12,
      state: "waiting-for-identity",
      identity: 5,
      labels: [],
      ipv4: "10.0.1.9",
      ipv6: "f00d::9",
      policyEnabled: "audit-both",
    },
  ];

  it("prints the recorded table", () => {
    expect(endpointListText(endpoints)).toBe(
      [
        "ENDPOINT   POLICY (ingress)   POLICY (egress)    IDENTITY   LABELS (source:key[=value])                                              IPv6      IPv4         STATUS   ",
        "           ENFORCEMENT        ENFORCEMENT                                                                                                                   ",
        "12         Disabled (Audit)   Disabled (Audit)   5          no labels                                                                f00d::9   10.0.1.9     waiting-for-identity   ",
        "385        Disabled           Disabled           1          reserved:host                                                                                   ready                  ",
        "1580       Enabled            Disabled           3352       k8s:app=cni-test                                                                   10.0.1.124   ready                  ",
        "                                                            k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=default                                                 ",
        "                                                            k8s:io.kubernetes.pod.namespace=default                                                                                ",
        "",
      ].join("\n"),
    );
  });

  it("says that an endpoint has no identity yet", () => {
    const [first] = endpoints;
    expect(endpointListText([{ ...first!, identity: undefined, labels: ["k8s:a=b"] }])).toBe(
      [
        "ENDPOINT   POLICY (ingress)   POLICY (egress)   IDENTITY        LABELS (source:key[=value])   IPv6   IPv4         STATUS   ",
        "           ENFORCEMENT        ENFORCEMENT                                                                         ",
        "1580       Enabled            Disabled          <no label id>   k8s:a=b                              10.0.1.124   ready   ",
        "",
      ].join("\n"),
    );
  });

  it("gives the fields of the API that the table reads", () => {
    expect(endpointListJson(endpoints)).toEqual([
      {
        id: 12,
        status: {
          identity: { id: 5, labels: [] },
          labels: { "security-relevant": [] },
          networking: { addressing: [{ ipv4: "10.0.1.9", ipv6: "f00d::9" }] },
          policy: { realized: { "policy-enabled": "audit-both" } },
          state: "waiting-for-identity",
        },
      },
      {
        id: 385,
        status: {
          identity: { id: 1, labels: ["reserved:host"] },
          labels: { "security-relevant": ["reserved:host"] },
          networking: { addressing: [{}] },
          policy: { realized: { "policy-enabled": "none" } },
          state: "ready",
        },
      },
      {
        id: 1580,
        status: {
          identity: { id: 3352, labels: endpoints[0]!.labels },
          labels: { "security-relevant": endpoints[0]!.labels },
          networking: { addressing: [{ ipv4: "10.0.1.124" }] },
          policy: { realized: { "policy-enabled": "ingress" } },
          state: "ready",
        },
      },
    ]);
  });

  it("derives what is enforced from the policy and audit mode", () => {
    const words = [false, true].flatMap((audit) =>
      [false, true].flatMap((ingressEnforced) =>
        [false, true].map((egressEnforced) => policyEnabled({ ingressEnforced, egressEnforced }, audit)),
      ),
    );
    expect(words).toEqual([
      "none",
      "egress",
      "ingress",
      "both",
      "none",
      "audit-egress",
      "audit-ingress",
      "audit-both",
    ]);
  });

  it("shows enforcement of each direction by itself", () => {
    const words = (p: EndpointRow["policyEnabled"]): string[] =>
      endpointListText([{ ...endpoints[0]!, policyEnabled: p }])
        .split("\n")[2]!
        .split(/ {3,}/)
        .slice(1, 3);
    expect([
      words("none"),
      words("ingress"),
      words("egress"),
      words("both"),
      words("audit-ingress"),
      words("audit-egress"),
    ]).toEqual([
      ["Disabled", "Disabled"],
      ["Enabled", "Disabled"],
      ["Disabled", "Enabled"],
      ["Enabled", "Enabled"],
      ["Disabled (Audit)", "Disabled"],
      ["Disabled", "Disabled (Audit)"],
    ]);
  });
});

describe("identity list", () => {
  const identities = new Map([
    [16777217, LabelSet.parse(["cidr:10.1.0.0/16", "reserved:world"])],
    [1, LabelSet.parse(["reserved:host"])],
    [3352, LabelSet.parse(["k8s:io.kubernetes.pod.namespace=default", "k8s:app=cni-test"])],
  ]);

  it("prints the recorded table", () => {
    expect(identityListText(identities)).toBe(`\
ID         LABELS
1          reserved:host
3352       k8s:app=cni-test
           k8s:io.kubernetes.pod.namespace=default
16777217   cidr:10.1.0.0/16
           reserved:world
`);
  });

  it("gives ids, labels and their sum as JSON", () => {
    // The sum is over the labels sorted by key, whatever their source, each with its "=".
    const sum = (list: string): string => createHash("sha512-256").update(list).digest("hex");
    const more = new Map([...identities, [16777218, LabelSet.parse(["node:app", "k8s:zone=a"])]]);
    expect(identityListJson(more)).toEqual([
      { id: 1, labels: ["reserved:host"], labelsSHA256: sum("reserved:host=;") },
      {
        id: 3352,
        labels: ["k8s:app=cni-test", "k8s:io.kubernetes.pod.namespace=default"],
        labelsSHA256: sum("k8s:app=cni-test;k8s:io.kubernetes.pod.namespace=default;"),
      },
      {
        id: 16777217,
        labels: ["cidr:10.1.0.0/16", "reserved:world"],
        labelsSHA256: sum("cidr:10.1.0.0/16=;reserved:world=;"),
      },
      {
        id: 16777218,
        labels: ["k8s:zone=a", "node:app"],
        labelsSHA256: sum("node:app=;k8s:zone=a;"),
      },
    ]);
  });
});

describe("service list", () => {
  const backend = (address: string, state: LbBackend["state"]): LbBackend => ({
    address,
    port: 8080,
    protocol: "TCP",
    portNames: [],
    state,
    nodeName: address === "10.0.1.124" ? "node-1" : "",
    zone: address === "10.0.1.124" ? "a" : "",
    forZones: [],
  });
  const frontend = (
    f: Partial<LbFrontend> & Pick<LbFrontend, "address" | "port" | "type" | "scope" | "backends">,
  ): LbFrontend => ({
    spec: {
      service: {
        namespace: "default",
        name: "web",
        extLocal: false,
        intLocal: true,
        affinitySec: undefined,
        sourceRanges: [],
        sourceRangesDeny: false,
        loopbackHostPort: false,
        preferClose: false,
        algorithm: undefined,
        forwardingMode: undefined,
        lbClass: undefined,
      },
    } as unknown as LbFrontendSpec,
    ipv6: false,
    protocol: "TCP",
    expanded: false,
    flags: 0,
    flags2: 0,
    algorithm: 0,
    usesMaglev: false,
    l7ProxyPort: undefined,
    activeCount: 0,
    inactiveCount: 0,
    ...f,
  });
  const rows = [
    {
      id: 5,
      frontend: frontend({
        address: "10.96.0.10",
        port: 80,
        type: "ClusterIP",
        scope: "external",
        backends: [backend("10.0.1.124", "active"), backend("10.0.0.85", "terminating-not-serving")],
      }),
    },
    {
      id: 1,
      frontend: frontend({
        address: "0.0.0.0",
        port: 30080,
        type: "NodePort",
        scope: "internal",
        backends: [],
      }),
    },
    {
      id: 2,
      frontend: frontend({
        address: "192.168.0.1",
        port: 30080,
        type: "NodePort",
        scope: "internal",
        expanded: true,
        backends: [],
      }),
    },
  ];

  it("prints the recorded table, without the frontends made for a node's addresses", () => {
    expect(serviceListText(rows)).toBe(
      [
        "ID   Frontend              Service Type   Backend                                 ",
        "1    0.0.0.0:30080/TCP/i   NodePort                                               ",
        "5    10.96.0.10:80/TCP     ClusterIP      1 => 10.0.1.124:8080/TCP (active)       ",
        "                                          2 => 10.0.0.85:8080/TCP (terminating)   ",
        "",
      ].join("\n"),
    );
  });

  it("gives specification and realised state of each service as JSON", () => {
    const node = {
      "backend-addresses": [],
      flags: {
        extTrafficPolicy: "Cluster",
        intTrafficPolicy: "Local",
        name: "web",
        namespace: "default",
        trafficPolicy: "Cluster",
        type: "NodePort",
      },
      "frontend-address": { ip: "0.0.0.0", port: 30080, protocol: "TCP", scope: "internal" },
      id: 1,
    };
    const cluster = {
      "backend-addresses": [
        { ip: "10.0.1.124", nodeName: "node-1", port: 8080, protocol: "TCP", state: "active", zone: "a" },
        { ip: "10.0.0.85", port: 8080, protocol: "TCP", state: "terminating" },
      ],
      flags: { ...node.flags, type: "ClusterIP" },
      "frontend-address": { ip: "10.96.0.10", port: 80, protocol: "TCP", scope: "external" },
      id: 5,
    };
    expect(serviceListJson(rows)).toEqual([
      { spec: node, status: { realized: node } },
      { spec: cluster, status: { realized: cluster } },
    ]);
  });
});

describe("map list and map get", () => {
  const filled = (): ReturnType<typeof createCiliumMaps> => {
    const maps = createCiliumMaps({ clock: new VirtualClock() });
    const ipcache = (address: string, bits: number, id: number, tunnel: string, flags: number): void =>
      put(
        maps.cilium_ipcache_v2,
        [le32(32 + bits), le16(0), "00", "01", ip(address)],
        [le32(id), ip(tunnel), zeros(12), zeros(2), u8(0), u8(flags)],
      );
    ipcache("10.0.1.124", 32, 3352, "192.168.0.130", 2);
    ipcache("0.0.0.0", 0, 2, "0.0.0.0", 0);
    return maps;
  };

  it("lists every map with the number of entries of those that the agent keeps a copy of", () => {
    const maps = filled();
    maps.addPolicyMap(1580);
    const lines = mapListText(maps).split("\n");
    expect(lines.slice(0, 4)).toEqual([
      "Name                           Num entries   Num errors   Cache enabled",
      "cilium_auth_map                unknown       0            false",
      "cilium_call_policy             unknown       0            false",
      "cilium_ct4_global              unknown       0            false",
    ]);
    expect(lines.filter((l) => l.endsWith("true"))).toEqual([
      "cilium_ipcache_v2              2             0            true",
      "cilium_lxc                     0             0            true",
    ]);
    expect(lines.filter((l) => l.startsWith("cilium_policy_v2_"))).toEqual([
      "cilium_policy_v2_01580         unknown       0            false",
    ]);
    expect(lines.length).toBe(maps.names().length + 2);
  });

  it("prints the entries of a map, says when it has none, and when there is no copy", () => {
    const maps = filled();
    expect([
      mapGetText(maps, "cilium_ipcache_v2"),
      mapGetText(maps, "cilium_lxc"),
      mapGetText(maps, "cilium_ct4_global"),
      mapGetText(maps, "cilium_nothing"),
    ]).toEqual([
      [
        "Key             Value                                                                     State   Error",
        "0.0.0.0/0       identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>               sync    ",
        "10.0.1.124/32   identity=3352 encryptkey=0 tunnelendpoint=192.168.0.130 flags=hastunnel   sync    ",
        "",
      ].join("\n"),
      "Cache is empty\n\n",
      "Cache is disabled\n\n",
      undefined,
    ]);
  });

  it("heads each map with its name in the verbose list", () => {
    const maps = filled();
    const parts = maps.names().map((n) => `## Map: ${n}\n${mapGetText(maps, n)}`);
    expect(mapListVerboseText(maps)).toBe(parts.join(""));
    expect(parts.slice(0, 2)).toEqual([
      "## Map: cilium_auth_map\nCache is disabled\n\n",
      "## Map: cilium_call_policy\nCache is disabled\n\n",
    ]);
  });

  it("gives path and cached entries as JSON", () => {
    const maps = filled();
    const ipcache = {
      cache: [
        {
          "desired-action": "sync",
          key: "0.0.0.0/0",
          value: "identity=2 encryptkey=0 tunnelendpoint=0.0.0.0 flags=<none>",
        },
        {
          "desired-action": "sync",
          key: "10.0.1.124/32",
          value: "identity=3352 encryptkey=0 tunnelendpoint=192.168.0.130 flags=hastunnel",
        },
      ],
      path: "/sys/fs/bpf/tc/globals/cilium_ipcache_v2",
    };
    expect([
      mapGetJson(maps, "cilium_ipcache_v2"),
      mapGetJson(maps, "cilium_ct4_global"),
      mapGetJson(maps, "x"),
    ]).toEqual([ipcache, { path: "/sys/fs/bpf/tc/globals/cilium_ct4_global" }, undefined]);
    expect(mapListJson(maps)).toEqual({ maps: maps.names().map((n) => mapGetJson(maps, n)) });
  });
});

describe("alignTable", () => {
  it("neither pads nor counts what follows the last tab", () => {
    expect(alignTable(["a\tbb", "cccccccc\td", "a longer line without a tab"])).toBe(
      "a          bb\ncccccccc   d\na longer line without a tab\n",
    );
  });

  it("starts a column anew after a line that does not have it", () => {
    expect(alignTable(["a\tlonger cell\tx", "b", "c\td\tx"])).toBe("a    longer cell   x\nb\nc    d    x\n");
  });

  it("counts characters, not bytes", () => {
    expect(alignTable(["é\tx", "ééé\tx"])).toBe("é     x\néééx".replace("éééx", "ééé   x\n"));
  });
});

describe("jsonText", () => {
  it("indents by two spaces, escapes as Go does and ends with an empty line", () => {
    expect(jsonText({ a: ["<&>"] })).toBe('{\n  "a": [\n    "\\u003c\\u0026\\u003e"\n  ]\n}\n\n');
  });
});

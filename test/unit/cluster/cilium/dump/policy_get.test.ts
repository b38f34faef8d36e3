// `bpf policy get`: every column of the table, order of the rows, counters, JSON.

import { beforeEach, describe, expect, it } from "vitest";
import { type CiliumMaps, createCiliumMaps } from "../../../../../maps/cilium_maps.js";
import { VirtualClock } from "../../../../../src/base/clock.js";
import {
  policyGetAllText,
  policyGetJson,
  policyGetText,
} from "../../../../../src/cluster/cilium/dump/policy_get.js";
import { LabelSet } from "../../../../../src/cluster/cilium/policy/labels.js";
import { be16, le16, le32, le64, put, u8 } from "../../../../support/map_bytes.js";

const EP = 1580;

let maps: CiliumMaps;
beforeEach(() => {
  maps = createCiliumMaps({ clock: new VirtualClock() });
});

interface Entry {
  readonly identity: number;
  readonly egress?: boolean;
  readonly proto?: number;
  readonly port?: number;
  /** Prefix length after the 40 static bits. */
  readonly prefix: number;
  readonly proxyPort?: number;
  readonly deny?: boolean;
  readonly auth?: number;
  readonly cookie?: number;
  readonly counters?: readonly [packets: number, bytes: number];
}

function add(e: Entry): void {
  const direction = u8(e.egress === true ? 1 : 0);
  const l4 = [u8(e.proto ?? 0), be16(e.port ?? 0)];
  put(
    maps.addPolicyMap(EP),
    [le32(40 + e.prefix), le32(e.identity), direction, ...l4],
    [
      be16(e.proxyPort ?? 0),
      u8((e.prefix << 3) | (e.deny === true ? 1 : 0)),
      u8(e.auth ?? 0),
      le32(e.deny === true ? 0xffffffff : 0xffffff01),
      le32(e.cookie ?? 0),
    ],
  );
  if (e.counters !== undefined) {
    put(
      maps.cilium_policystats,
      [le16(EP), "00", u8(e.prefix), le32(e.identity), direction, ...l4],
      e.counters.map(le64),
    );
  }
}

const identities = new Map([
  [1, LabelSet.parse(["reserved:host"])],
  [3352, LabelSet.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=default"])],
]);

function addAll(): void {
  add({ identity: 0, egress: true, prefix: 0 });
  add({ identity: 3352, prefix: 24, proto: 6, port: 80, counters: [3, 294] });
  add({ identity: 3352, prefix: 18, proto: 6, port: 8000, proxyPort: 10080 });
  add({ identity: 1, prefix: 0, cookie: 7 });
  add({ identity: 0, prefix: 8, proto: 17 });
  add({ identity: 4242, egress: true, prefix: 24, proto: 132, port: 9, deny: true, counters: [1, 60] });
  add({ identity: 4242, egress: true, prefix: 24, proto: 1, port: 8, auth: 0x81 });
  add({ identity: 4242, egress: true, prefix: 9, proto: 6, port: 0x8000, auth: 2 });
  add({ identity: 4242, egress: true, prefix: 24, proto: 47, port: 0x8000, auth: 9 });
}

describe("bpf policy get", () => {
  it("prints deny entries first, then by direction and identity, with one label a line", () => {
    addAll();
    expect(policyGetText(maps, EP, { identities })).toBe(
      [
        "POLICY   DIRECTION   LABELS (source:key[=value])               PORT/PROTO        PROXY PORT   AUTH TYPE             BYTES   PACKETS   PREFIX   COOKIE",
        "Deny     Egress      4242                                      9/SCTP            NONE         disabled              60      1         24       0",
        "Allow    Ingress     ANY                                       UDP               NONE         disabled              0       0         8        0",
        "Allow    Ingress     reserved:host                             ANY               NONE         disabled              0       0         0        7",
        "Allow    Ingress     k8s:app=web                               80/TCP            NONE         disabled              294     3         24       0",
        "                     k8s:io.kubernetes.pod.namespace=default                                                                                   ",
        "Allow    Ingress     k8s:app=web                               8000-8063/TCP     10080        disabled              0       0         18       0",
        "                     k8s:io.kubernetes.pod.namespace=default                                                                                   ",
        "Allow    Egress      ANY                                       ANY               NONE         disabled              0       0         0        0",
        "Allow    Egress      4242                                      8/ICMP            NONE         spire                 0       0         24       0",
        "Allow    Egress      4242                                      32768-65535/TCP   NONE         test-always-fail      0       0         9        0",
        "Allow    Egress      4242                                      32768/47          NONE         Unknown-auth-type-9   0       0         24       0",
        "",
      ].join("\n"),
    );
  });

  it("prints identities as numbers with -n, and dashes without accounting", () => {
    add({ identity: 3352, prefix: 24, proto: 6, port: 80, counters: [3, 294] });
    add({ identity: 0, prefix: 0 });
    expect([
      policyGetText(maps, EP, { identities, numeric: true }),
      policyGetText(maps, EP, { identities, accounting: false }),
    ]).toEqual([
      [
        "POLICY   DIRECTION   IDENTITY   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX   COOKIE",
        "Allow    Ingress     0          ANY          NONE         disabled    0       0         0        0",
        "Allow    Ingress     3352       80/TCP       NONE         disabled    294     3         24       0",
        "",
      ].join("\n"),
      [
        "POLICY   DIRECTION   LABELS (source:key[=value])               PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX   COOKIE",
        "Allow    Ingress     ANY                                       ANY          NONE         disabled    -       -         0        0",
        "Allow    Ingress     k8s:app=web                               80/TCP       NONE         disabled    -       -         24       0",
        "                     k8s:io.kubernetes.pod.namespace=default                                                                    ",
        "",
      ].join("\n"),
    ]);
  });

  it("says that an empty map may mean no enforcement, and knows no text for an endpoint without map", () => {
    maps.addPolicyMap(EP);
    expect([
      policyGetText(maps, EP, { identities }),
      policyGetText(maps, 7, { identities }),
      policyGetJson(maps, 7),
    ]).toEqual([
      "POLICY   DIRECTION   LABELS (source:key[=value])   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX   COOKIE\nPolicy stats empty. Perhaps the policy enforcement is disabled?\n",
      undefined,
      undefined,
    ]);
  });

  it("heads each endpoint's table with its number and path in --all", () => {
    add({ identity: 0, prefix: 0 });
    maps.addPolicyMap(7);
    expect(policyGetAllText(maps, { identities })).toBe(
      [
        "Endpoint ID: 7",
        "Path: /sys/fs/bpf/tc/globals/cilium_policy_v2_00007",
        "",
        `${policyGetText(maps, 7, { identities })}`,
        "",
        "Endpoint ID: 1580",
        "Path: /sys/fs/bpf/tc/globals/cilium_policy_v2_01580",
        "",
        `${policyGetText(maps, EP, { identities })}`,
        "",
        "",
      ].join("\n"),
    );
  });

  it("gives the fields of the map as JSON, ports in network order", () => {
    add({
      identity: 3352,
      prefix: 24,
      proto: 6,
      port: 80,
      proxyPort: 10080,
      auth: 0x81,
      cookie: 3,
      counters: [3, 294],
    });
    add({ identity: 0, egress: true, prefix: 0, deny: true });
    expect(policyGetJson(maps, EP)).toEqual([
      {
        ProxyPortNetwork: 0,
        Flags: 1,
        AuthRequirement: 0,
        Precedence: 0xffffffff,
        Cookie: 0,
        Packets: 0,
        Bytes: 0,
        Key: { Prefixlen: 40, Identity: 0, TrafficDirection: 1, Nexthdr: 0, DestPortNetwork: 0 },
      },
      {
        ProxyPortNetwork: 0x6027,
        Flags: 24 << 3,
        AuthRequirement: 0x81,
        Precedence: 0xffffff01,
        Cookie: 3,
        Packets: 3,
        Bytes: 294,
        Key: { Prefixlen: 64, Identity: 3352, TrafficDirection: 0, Nexthdr: 6, DestPortNetwork: 0x5000 },
      },
    ]);
  });
});

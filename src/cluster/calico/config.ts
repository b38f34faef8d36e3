// Calico's configuration from its objects: IP pools and their encapsulation, MTUs, BGP, what Felix does. IPPool objects
// win; an Installation's ipPools stand for them where there are none; a datapath name chosen on the command line
// overrides the encapsulation of every pool.

import { PodpathError } from "../../base/errors.js";
import { clusterCidr, type Fields, fields, int, list, optionsFor, text } from "../linux_plane.js";
import type { ClusterModel, DatapathName, K8sObject } from "../model.js";
import type { CalicoOption } from "../option_keys.js";
import { FAILSAFE_IN, FAILSAFE_OUT, type FailsafePort, failsafePorts } from "./host_endpoints.js";

export type EncapMode = "Always" | "CrossSubnet" | "Never";

export interface IpPool {
  readonly name: string;
  readonly cidr: string;
  readonly blockSize: number;
  readonly ipipMode: EncapMode;
  readonly vxlanMode: EncapMode;
  readonly natOutgoing: boolean;
  readonly disabled: boolean;
  readonly nodeSelector: string;
  /** BIRD keeps the pool's blocks to itself. */
  readonly disableBgpExport: boolean;
}

export interface CalicoConfig {
  readonly pools: readonly IpPool[];
  /** MTU of pods; undefined: the uplink's less the largest encapsulation in use. */
  readonly podMtu: number | undefined;
  readonly ipipMtu: number | undefined;
  readonly vxlanMtu: number | undefined;
  readonly vxlanVni: number;
  readonly vxlanPort: number;
  /** BIRD runs. */
  readonly bgp: boolean;
  readonly nodeToNodeMesh: boolean;
  readonly asNumber: number;
  /** Ports of the node that host endpoints' policies do not close. */
  readonly failsafeIn: readonly FailsafePort[];
  readonly failsafeOut: readonly FailsafePort[];
  /** defaultEndpointToHostAction. */
  readonly endpointToHost: "ACCEPT" | "DROP" | "RETURN";
}

/** Modes of `Installation...encapsulation` (CALICO_IPV4POOL_IPIP and _VXLAN), ipip first. */
const ENCAPSULATION: Readonly<Record<string, readonly [EncapMode, EncapMode]>> = {
  IPIP: ["Always", "Never"],
  VXLAN: ["Never", "Always"],
  IPIPCrossSubnet: ["CrossSubnet", "Never"],
  VXLANCrossSubnet: ["Never", "CrossSubnet"],
  None: ["Never", "Never"],
};

/** Encapsulation that a datapath name stands for. */
const BY_NAME: Readonly<Partial<Record<DatapathName, readonly [EncapMode, EncapMode]>>> = {
  "calico-ipip": ["Always", "Never"],
  "calico-vxlan": ["Never", "Always"],
  "calico-ipip-crosssubnet": ["CrossSubnet", "Never"],
  "calico-vxlan-crosssubnet": ["Never", "CrossSubnet"],
  "calico-bgp": ["Never", "Never"],
};

export function isCalicoDatapath(name: DatapathName): boolean {
  return BY_NAME[name] !== undefined;
}

/** Modes of a datapath name: ipip, vxlan. */
export function modesOf(name: DatapathName): readonly [EncapMode, EncapMode] {
  return BY_NAME[name] ?? ["Always", "Never"];
}

/** Reads the configuration. `forced`: the datapath name was chosen on the command line. */
export function calicoConfig(model: ClusterModel, forced: boolean): CalicoConfig {
  const objects = (kind: string): K8sObject[] => model.objects.filter((o) => o.kind === kind);
  const installation = fields(fields(fields(objects("Installation")[0]?.raw).spec).calicoNetwork);
  const felix = fields(fields(objects("FelixConfiguration")[0]?.raw).spec);
  const bgpObject =
    objects("BGPConfiguration").find((o) => o.metadata.name === "default") ?? objects("BGPConfiguration")[0];
  const bgp = fields(bgpObject?.raw.spec);
  const opt = optionsFor<CalicoOption>(model);

  let pools = objects("IPPool").map(poolObject);
  if (pools.length === 0) pools = list(installation.ipPools).map((p, i) => installationPool(fields(p), i));
  pools = pools.filter((p) => !p.cidr.includes(":"));
  const [ipip, vxlan] = modesOf(model.datapath.name);
  if (pools.length === 0) {
    pools = [
      {
        name: "default-ipv4-ippool",
        cidr: opt.cidr("pool-cidr", 4) ?? clusterCidr(model) ?? "192.168.0.0/16",
        blockSize: 26,
        ipipMode: ipip,
        vxlanMode: vxlan,
        natOutgoing: opt.bool("nat-outgoing", true),
        disabled: false,
        nodeSelector: "all()",
        disableBgpExport: false,
      },
    ];
  } else if (forced) {
    pools = pools.map((p) => ({ ...p, ipipMode: ipip, vxlanMode: vxlan }));
  }
  const action = (text(felix.defaultEndpointToHostAction) ?? "Accept").toUpperCase();
  return {
    pools,
    podMtu: opt.mtu("mtu") ?? (int(installation.mtu) || undefined),
    ipipMtu: opt.mtu("ipip-mtu") ?? (int(felix.ipipMTU) || undefined),
    vxlanMtu: opt.mtu("vxlan-mtu") ?? (int(felix.vxlanMTU) || undefined),
    vxlanVni: int(felix.vxlanVNI) ?? 4096,
    vxlanPort: int(felix.vxlanPort) ?? 4789,
    // Without a pool that BIRD announces the operator leaves BGP out of a VXLAN installation.
    bgp: text(installation.bgp) !== "Disabled" && pools.some((p) => p.vxlanMode === "Never"),
    nodeToNodeMesh: bgp.nodeToNodeMeshEnabled !== false,
    asNumber: int(bgp.asNumber) ?? 64512,
    failsafeIn: failsafePorts(felix.failsafeInboundHostPorts, FAILSAFE_IN),
    failsafeOut: failsafePorts(felix.failsafeOutboundHostPorts, FAILSAFE_OUT),
    endpointToHost: action === "DROP" || action === "RETURN" ? action : "ACCEPT",
  };
}

function poolObject(o: K8sObject): IpPool {
  const s = fields(o.raw.spec);
  const cidr = text(s.cidr);
  if (cidr === undefined || !/^[0-9a-fA-F.:]+\/\d+$/.test(cidr))
    throw new PodpathError(
      "SCENARIO_INVALID",
      `IPPool ${o.metadata.name} has no subnet like 10.244.0.0/16 as spec.cidr`,
      o.pos(["spec", "cidr"]),
    );
  const mode = (key: string): EncapMode => {
    const v = text(s[key]) ?? "Never";
    if (v !== "Always" && v !== "CrossSubnet" && v !== "Never")
      throw new PodpathError(
        "SCENARIO_INVALID",
        `IPPool ${o.metadata.name}: ${key} is Always, CrossSubnet or Never, not ${v}`,
        o.pos(["spec", key]),
      );
    return v;
  };
  const pool = {
    name: o.metadata.name,
    cidr,
    blockSize: int(s.blockSize) ?? 26,
    ipipMode: mode("ipipMode"),
    vxlanMode: mode("vxlanMode"),
    natOutgoing: s.natOutgoing === true,
    disabled: s.disabled === true,
    nodeSelector: text(s.nodeSelector) ?? "all()",
    disableBgpExport: s.disableBGPExport === true,
  };
  const bits = Number(cidr.split("/")[1]);
  if (!cidr.includes(":") && (pool.blockSize < Math.max(20, bits) || pool.blockSize > 32))
    throw new PodpathError(
      "SCENARIO_INVALID",
      `IPPool ${pool.name}: blockSize is a prefix length from ${Math.max(20, bits)} to 32, not ${pool.blockSize}`,
      o.pos(["spec", "blockSize"]),
    );
  if (pool.ipipMode !== "Never" && pool.vxlanMode !== "Never")
    throw new PodpathError(
      "SCENARIO_INVALID",
      `IPPool ${pool.name}: ipipMode and vxlanMode cannot both be on`,
      o.pos(["spec"]),
    );
  return pool;
}

function installationPool(s: Fields, i: number): IpPool {
  const [ipipMode, vxlanMode] = ENCAPSULATION[text(s.encapsulation) ?? "IPIP"] ?? ["Always", "Never"];
  return {
    name: text(s.name) ?? (i === 0 ? "default-ipv4-ippool" : `pool-${i}`),
    cidr: text(s.cidr) ?? "192.168.0.0/16",
    blockSize: int(s.blockSize) ?? 26,
    ipipMode,
    vxlanMode,
    natOutgoing: (text(s.natOutgoing) ?? "Enabled") === "Enabled",
    disabled: false,
    nodeSelector: text(s.nodeSelector) ?? "all()",
    disableBgpExport: s.disableBGPExport === true,
  };
}

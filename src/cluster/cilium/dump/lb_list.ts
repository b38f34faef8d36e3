// `cilium-dbg bpf lb list` and its forms (cilium-dbg/cmd/bpf_lb_list.go): the load-balancing maps as tables of two columns.

import type { BpfMap } from "../../../../maps/bpf_map.js";
import type { CiliumMaps } from "../../../../maps/cilium_maps.js";
import {
  SVC_FLAG_AFFINITY,
  SVC_FLAG_EXT_LOCAL_SCOPE,
  SVC_FLAG_EXTERNAL_IP,
  SVC_FLAG_FWD_MODE_DSR,
  SVC_FLAG_HOSTPORT,
  SVC_FLAG_INT_LOCAL_SCOPE,
  SVC_FLAG_L7_LOADBALANCER,
  SVC_FLAG_LOADBALANCER,
  SVC_FLAG_LOCALREDIRECT,
  SVC_FLAG_LOOPBACK,
  SVC_FLAG_NAT_46X64,
  SVC_FLAG_NODEPORT,
  SVC_FLAG_QUARANTINED,
  SVC_FLAG_ROUTABLE,
  SVC_FLAG_SOURCE_RANGE,
  SVC_FLAG_TWO_SCOPES,
} from "../../../../maps/lb.js";
import { addressText, hostPort, protocolText, viewOf } from "./fields.js";
import { type MapRow, mapJson, mapTable } from "./tabwriter.js";

/** Which map: services with their backends, or one of `--frontends`, `--backends`, `--revnat`, `--source-ranges`. */
export type LbListForm = "services" | "frontends" | "backends" | "revnat" | "source-ranges";

const HEADINGS: Readonly<Record<LbListForm, readonly [string, string]>> = {
  services: ["SERVICE ADDRESS", "BACKEND ADDRESS (REVNAT_ID) (SLOT)"],
  frontends: ["SERVICE ADDRESS", "BACKEND ID"],
  backends: ["ID", "BACKEND ADDRESS (REVNAT_ID) (SLOT)"],
  revnat: ["ID", "BACKEND ADDRESS (REVNAT_ID) (SLOT)"],
  "source-ranges": ["SOURCE RANGE (REVNAT_ID)", ""],
};

export function lbListText(maps: CiliumMaps, form: LbListForm = "services"): string {
  return mapTable(...HEADINGS[form], lbRows(maps, form));
}

export function lbListJson(
  maps: CiliumMaps,
  form: LbListForm = "services",
): Record<string, readonly string[]> {
  return mapJson(lbRows(maps, form));
}

function lbRows(maps: CiliumMaps, form: LbListForm): MapRow[] {
  switch (form) {
    case "services": {
      const backends = new Map<number, Uint8Array>();
      for (const m of [maps.cilium_lb4_backends_v3, maps.cilium_lb6_backends_v3]) {
        for (const e of m.dump()) backends.set(viewOf(e.key).getUint32(0, true), e.value);
      }
      return serviceRows(maps, (key, value, ipv6) => serviceText(key, value, ipv6, backends));
    }
    case "frontends":
      return serviceRows(maps, (_key, value) => frontendValueText(value));
    case "backends":
      return byId([maps.cilium_lb4_backends_v3, maps.cilium_lb6_backends_v3], (key) =>
        viewOf(key).getUint32(0, true),
      ).map(({ id, value }) => ({ key: String(id), values: [backendValueText(value)] }));
    case "revnat":
      return byId([maps.cilium_lb4_reverse_nat, maps.cilium_lb6_reverse_nat], (key) =>
        viewOf(key).getUint16(0),
      ).map(({ id, value }) => ({ key: String(id), values: [revNatValueText(value)] }));
    case "source-ranges":
      return [maps.cilium_lb4_source_range, maps.cilium_lb6_source_range].flatMap((m) =>
        m.dump().map((e) => ({ key: sourceRangeKeyText(e.key), values: [""] })),
      );
  }
}

function byId(
  maps: readonly BpfMap[],
  idOf: (key: Uint8Array) => number,
): { id: number; value: Uint8Array }[] {
  return maps.flatMap((m) =>
    m
      .dump()
      .map((e) => ({ id: idOf(e.key), value: e.value }))
      .sort((a, b) => a.id - b.id),
  );
}

/** Rows by address, port, protocol, scope and slot. */
function serviceRows(
  maps: CiliumMaps,
  text: (key: Uint8Array, value: Uint8Array, ipv6: boolean) => string,
): MapRow[] {
  const rows = [maps.cilium_lb4_services_v2, maps.cilium_lb6_services_v2].flatMap((m, i) =>
    m.dump().map((e) => {
      const ipv6 = i === 1;
      const size = ipv6 ? 16 : 4;
      const v = viewOf(e.key);
      const order = [
        ipv6 ? 1 : 0,
        ...e.key.subarray(0, size),
        v.getUint16(size),
        e.key[size + 4]!,
        e.key[size + 5]!,
        v.getUint16(size + 2, true),
      ];
      return { key: serviceKeyText(e.key, ipv6), values: [text(e.key, e.value, ipv6)], order };
    }),
  );
  return rows.sort((a, b) => {
    const i = a.order.findIndex((x, k) => x !== b.order[k]);
    return i < 0 ? 0 : a.order[i]! - b.order[i]!;
  });
}

/** `10.96.0.10:80/TCP (1)`, with `/i` for the internal scope. */
export function serviceKeyText(key: Uint8Array, ipv6: boolean): string {
  const size = ipv6 ? 16 : 4;
  const v = viewOf(key);
  const scope = key[size + 5] === 1 ? "/i" : "";
  return `${hostPort(key, 0, ipv6, v.getUint16(size))}/${protocolText(key[size + 4]!)}${scope} (${v.getUint16(size + 2, true)})`;
}

function serviceText(
  key: Uint8Array,
  value: Uint8Array,
  ipv6: boolean,
  backends: ReadonlyMap<number, Uint8Array>,
): string {
  const v = viewOf(value);
  const slot = viewOf(key).getUint16(ipv6 ? 18 : 6, true);
  const revNat = v.getUint16(6);
  if (slot === 0) {
    const proxy = value[9]! & SVC_FLAG_L7_LOADBALANCER ? `(L7LB Proxy Port: ${v.getUint16(0)})` : "";
    const any = ipv6 ? "[::]" : "0.0.0.0";
    return `${any}:0 (${revNat}) (0) [${serviceFlagsText(value[8]!, value[9]!)}] ${proxy}`;
  }
  const id = v.getUint32(0, true);
  const backend = backends.get(id);
  if (backend === undefined) return `backend ${id} not found`;
  const six = backend.length === 24;
  const at = six ? 16 : 4;
  const b = viewOf(backend);
  return `${hostPort(backend, 0, six, b.getUint16(at))}/${protocolText(backend[at + 2]!)} (${revNat}) (${slot})`;
}

/** backend id, count[quarantined], reverse NAT id, flags: `7 2[0] (5) [0x40 0x0]`. */
export function frontendValueText(value: Uint8Array): string {
  const v = viewOf(value);
  const counts = `${v.getUint16(4, true)}[${v.getUint16(10, true)}]`;
  return `${v.getUint32(0, true)} ${counts} (${v.getUint16(6)}) [0x${value[8]!.toString(16)} 0x${value[9]!.toString(16)}]`;
}

/** `TCP://10.0.1.124`: the port is not printed. */
export function backendValueText(value: Uint8Array): string {
  const ipv6 = value.length === 24;
  return `${protocolText(value[ipv6 ? 18 : 6]!)}://${addressText(value, 0, ipv6)}`;
}

export function revNatValueText(value: Uint8Array): string {
  const ipv6 = value.length === 18;
  return hostPort(value, 0, ipv6, viewOf(value).getUint16(ipv6 ? 16 : 4));
}

export function sourceRangeKeyText(key: Uint8Array): string {
  const v = viewOf(key);
  const ipv6 = key.length === 24;
  return `${addressText(key, 8, ipv6)}/${v.getUint32(0, true) - 32} (${v.getUint16(4)})`;
}

/** The two flag bytes in words (loadbalancer.ServiceFlags). */
export function serviceFlagsText(flags: number, flags2: number): string {
  const type =
    flags & SVC_FLAG_EXTERNAL_IP
      ? "ExternalIPs"
      : flags & SVC_FLAG_NODEPORT
        ? "NodePort"
        : flags & SVC_FLAG_LOADBALANCER
          ? "LoadBalancer"
          : flags & SVC_FLAG_HOSTPORT
            ? "HostPort"
            : flags2 & SVC_FLAG_LOCALREDIRECT
              ? "LocalRedirect"
              : "ClusterIP";
  const words = [type];
  const add = (on: number, word: string): void => {
    if (on !== 0) words.push(word);
  };
  const deny = flags & SVC_FLAG_SOURCE_RANGE && flags2 & SVC_FLAG_QUARANTINED;
  add(flags & SVC_FLAG_EXT_LOCAL_SCOPE, "Local");
  add(flags2 & SVC_FLAG_INT_LOCAL_SCOPE, "InternalLocal");
  add(flags2 & SVC_FLAG_TWO_SCOPES, "two-scopes");
  add(flags & SVC_FLAG_AFFINITY, "sessionAffinity");
  add(~flags & SVC_FLAG_ROUTABLE, "non-routable");
  add(flags & SVC_FLAG_SOURCE_RANGE, "check source-range");
  add(deny, "deny");
  add(flags2 & SVC_FLAG_NAT_46X64, "46x64");
  add(flags2 & SVC_FLAG_L7_LOADBALANCER, "l7-load-balancer");
  add(flags2 & SVC_FLAG_LOOPBACK, type === "HostPort" ? "loopback" : "delegate-if-local");
  add(deny ? 0 : flags2 & SVC_FLAG_QUARANTINED, "quarantined");
  add(flags2 & SVC_FLAG_FWD_MODE_DSR, "dsr");
  return words.join(", ");
}

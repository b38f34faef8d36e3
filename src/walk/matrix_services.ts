// Services as the targets of a matrix, and who is behind them.

import { type LbCluster, readServices } from "../cluster/cilium/services.js";
import type { ClusterModel, PodModel } from "../cluster/model.js";
import { formatIp, formatIpv4, formatIpv6, tryParseIp, tryParseIpv4, tryParseIpv6 } from "../net/address.js";
import type { Destination } from "../scenario/clients.js";
import { type MatrixPort, portNumber } from "./matrix_port.js";

/** A service with an address. */
export interface ServiceEnd extends Destination {
  readonly name: string;
  readonly key: string;
}

/** A pod behind a service. */
export interface BackendEnd {
  readonly pod: number;
  readonly port: number;
}

/** Backends that connections of some pods may go to. */
export interface Backends {
  readonly pods: readonly BackendEnd[];
  /** Backends that are no pods of the matrix. */
  readonly others: readonly (Destination & { readonly port: number })[];
  /** Addresses of all, to know one's own among them. */
  readonly texts: ReadonlySet<string>;
}

export class MatrixServices {
  readonly all: readonly ServiceEnd[];
  readonly #cluster: LbCluster;
  readonly #local = new Set<string>();
  readonly #podByIp = new Map<string, number>();
  /** Addresses of the pods as texts, IPv4 and IPv6. */
  readonly #own: readonly (readonly (string | undefined)[])[];
  readonly #nodes: readonly string[];
  readonly #known = new Map<string, Backends>();

  constructor(model: ClusterModel, pods: readonly PodModel[], addresses: readonly Destination[]) {
    this.#cluster = readServices(model.objects, model.pods);
    this.#nodes = pods.map((p) => p.nodeName);
    this.#own = addresses.map((a) => [textOf(a, { ipv6: false }), textOf(a, { ipv6: true })]);
    this.#own.forEach((texts, i) => {
      for (const t of texts) if (t !== undefined && !this.#podByIp.has(t)) this.#podByIp.set(t, i);
    });
    this.all = model.objects.flatMap((o) => {
      if (o.kind !== "Service") return [];
      const spec = o.raw.spec as
        | { clusterIP?: unknown; clusterIPs?: unknown; internalTrafficPolicy?: unknown }
        | undefined;
      const more = Array.isArray(spec?.clusterIPs) ? (spec.clusterIPs as unknown[]) : [];
      const ips = [spec?.clusterIP, ...more].filter((x) => typeof x === "string");
      const to = destination(
        ips.find((x) => tryParseIpv4(x) !== undefined),
        ips.find((x) => tryParseIpv6(x) !== undefined),
      );
      const key = `${o.metadata.namespace}/${o.metadata.name}`;
      if (spec?.internalTrafficPolicy === "Local") this.#local.add(key);
      return to.ip4 === 0 && to.ip6 === undefined ? [] : [{ name: `service/${key}`, ...to, key }];
    });
  }

  /** Backends that a pod's connection to a service may go to; anybody's for undefined. */
  backends(from: number | undefined, s: ServiceEnd, port: MatrixPort): Backends {
    const node = from === undefined || !this.#local.has(s.key) ? undefined : this.#nodes[from]!;
    const name = `${s.name} ${portNumber(port)} ${node ?? ""}`;
    let known = this.#known.get(name);
    if (known === undefined) {
      known = this.#find(s, port, node);
      this.#known.set(name, known);
    }
    return known;
  }

  /** Whether a pod is behind the service itself. */
  meetsItself(from: number, backends: Backends, { ipv6 }: MatrixPort): boolean {
    const own = this.#own[from]![ipv6 ? 1 : 0];
    return own !== undefined && backends.texts.has(own);
  }

  #find(s: ServiceEnd, port: MatrixPort, node: string | undefined): Backends {
    const { frontends, backends } = this.#cluster;
    const pods = new Map<string, BackendEnd>();
    const others = new Map<string, Destination & { readonly port: number }>();
    const texts = new Set<string>();
    for (const f of frontends) {
      const key = `${f.service.namespace}/${f.service.name}`;
      if (key !== s.key || f.port !== port.port || f.protocol.toLowerCase() !== port.protocol) continue;
      if (plain(f.address) !== textOf(s, port)) continue;
      for (const b of backends.get(key) ?? []) {
        if (f.portName !== "" && !b.portNames.includes(f.portName)) continue;
        if (b.protocol.toLowerCase() !== port.protocol || b.state !== "active") continue;
        if (b.address.includes(":") !== port.ipv6) continue;
        if (node !== undefined && b.nodeName !== node) continue;
        const text = plain(b.address);
        texts.add(text);
        const pod = this.#podByIp.get(text);
        const [four, six] = port.ipv6 ? [undefined, text] : [text, undefined];
        if (pod !== undefined) pods.set(`${text}:${b.port}`, { pod, port: b.port });
        else others.set(`${text}:${b.port}`, { ...destination(four, six), port: b.port });
      }
    }
    return { pods: [...pods.values()], others: [...others.values()], texts };
  }
}

/** Addresses of both families from their texts. */
export function destination(ip4: string | undefined, ip6: string | undefined): Destination {
  return {
    ip4: (ip4 === undefined ? undefined : tryParseIpv4(ip4)) ?? 0,
    ip6: ip6 === undefined ? undefined : tryParseIpv6(ip6),
  };
}

/** Whether there is an address of the port's family. */
export function has(d: Destination, { ipv6 }: MatrixPort): boolean {
  return ipv6 ? d.ip6 !== undefined : d.ip4 !== 0;
}

/** An address in the one form that compares equal. */
function plain(address: string): string {
  const ip = tryParseIp(address);
  return ip === undefined ? address : formatIp(ip);
}

function textOf(d: Destination, { ipv6 }: Pick<MatrixPort, "ipv6">): string | undefined {
  if (ipv6) return d.ip6 === undefined ? undefined : formatIpv6(d.ip6);
  return d.ip4 === 0 ? undefined : formatIpv4(d.ip4);
}

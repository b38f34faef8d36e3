// What a scenario file may say: podpath's own kinds strictly, Kubernetes kinds by the fields that matter (the rest
// of a `kubectl get -o yaml` is accepted and ignored).

import * as z from "zod/mini";
import { DATAPATHS, type PositionOf } from "../cluster/model.js";

const name = z.string().check(z.minLength(1));
const stringMap = z.record(z.string(), z.string());
/** ConfigMap values are strings, but people write true and 5. */
const looseStringMap = z.pipe(
  z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  z.transform((o) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, String(v)]))),
);
const u16 = z.number().check(z.int(), z.gte(0), z.lte(65535));
const port = z.number().check(z.int(), z.gte(1), z.lte(65535));
const u32 = z.number().check(z.int(), z.gte(0), z.lte(0xffffffff));
const mac = z
  .string()
  .check(z.regex(/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/, "must be a MAC address like 0a:58:0a:00:00:01"));
const mtu = z.number().check(z.int(), z.gte(68), z.lte(65535));

export const metaSchema = z.looseObject({
  name,
  namespace: z.optional(z.string()),
  labels: z.optional(z.nullable(stringMap)),
  annotations: z.optional(z.nullable(stringMap)),
});

// --- Kubernetes ---

export const nodeSchema = z.looseObject({
  metadata: metaSchema,
  spec: z.optional(
    z.looseObject({ podCIDR: z.optional(z.string()), podCIDRs: z.optional(z.array(z.string())) }),
  ),
  status: z.optional(
    z.looseObject({
      addresses: z.optional(z.array(z.looseObject({ type: z.string(), address: z.string() }))),
    }),
  ),
});

const texts = z.nullish(z.array(z.string()));

export const serviceSchema = z.looseObject({
  metadata: metaSchema,
  spec: z.nullish(
    z.looseObject({
      type: z.nullish(z.string()),
      clusterIP: z.nullish(z.string()),
      clusterIPs: texts,
      externalIPs: texts,
      loadBalancerSourceRanges: texts,
      selector: z.nullish(z.record(z.string(), z.string())),
      ports: z.nullish(
        z.array(
          z.looseObject({
            name: z.nullish(z.string()),
            port,
            targetPort: z.nullish(z.union([z.number(), z.string()])),
            nodePort: z.nullish(z.number().check(z.int(), z.gte(0), z.lte(65535))),
            protocol: z.nullish(z.enum(["TCP", "UDP", "SCTP"])),
          }),
        ),
      ),
    }),
  ),
});

export const podSchema = z.looseObject({
  metadata: metaSchema,
  spec: z.optional(
    z.looseObject({
      nodeName: z.optional(z.string()),
      hostNetwork: z.optional(z.boolean()),
      serviceAccountName: z.optional(z.string()),
      containers: z.optional(
        z.array(
          z.looseObject({
            ports: z.optional(
              z.array(
                z.looseObject({
                  name: z.optional(z.string()),
                  containerPort: port,
                  hostPort: z.optional(port),
                  hostIP: z.optional(z.string()),
                  protocol: z.optional(z.enum(["TCP", "UDP", "SCTP"])),
                }),
              ),
            ),
          }),
        ),
      ),
    }),
  ),
  status: z.optional(
    z.looseObject({
      phase: z.optional(z.string()),
      podIP: z.optional(z.string()),
      podIPs: z.optional(z.array(z.looseObject({ ip: z.string() }))),
      conditions: z.optional(z.array(z.looseObject({ type: z.string(), status: z.string() }))),
    }),
  ),
});

/** What a control plane reads itself. */
export const objectSchema = z.looseObject({});

export const ciliumEndpointSchema = z.looseObject({
  metadata: metaSchema,
  status: z.optional(
    z.looseObject({ id: z.optional(u16), identity: z.optional(z.looseObject({ id: z.optional(u32) })) }),
  ),
});

export const ciliumIdentitySchema = z.looseObject({
  metadata: metaSchema,
  "security-labels": stringMap,
});

export const configMapSchema = z.looseObject({
  metadata: metaSchema,
  data: z.optional(z.nullable(looseStringMap)),
});

// --- podpath's own ---

const nicSchema = z.strictObject({
  name,
  mac: z.optional(mac),
  addresses: z.optional(z.array(z.string())),
  network: z.optional(z.string()),
  mtu: z.optional(mtu),
  rxCpu: z.optional(z.number().check(z.int(), z.gte(0), z.lte(255))),
  ifindex: z.optional(z.number().check(z.int(), z.gte(1))),
  metric: z.optional(u32),
});

export const datapathSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.optional(metaSchema),
  spec: z.strictObject({
    name: z.optional(z.enum(DATAPATHS)),
    profile: z.optional(z.enum(["1.19", "1.11"])),
    kubeProxy: z.optional(z.enum(["iptables", "ipvs", "none"])),
    options: z.optional(looseStringMap),
  }),
});

export const networkSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.strictObject({
    cidr: z.optional(z.string()),
    gateway: z.optional(z.string()),
    dropProtocols: z.optional(z.array(z.number().check(z.int(), z.gte(0), z.lte(255)))),
  }),
});

export const nodeWiringSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.strictObject({
    nics: z.optional(z.array(nicSchema)),
    gateway: z.optional(z.string()),
    gatewayIPv6: z.optional(z.string()),
    cpus: z.optional(z.number().check(z.int(), z.gte(1), z.lte(256))),
    hostEndpointId: z.optional(u16),
    routerIP: z.optional(z.string()),
    routerIPv6: z.optional(z.string()),
    ciliumHostMac: z.optional(mac),
    ciliumNetMac: z.optional(mac),
    sysctls: z.optional(z.record(z.string(), z.union([z.string(), z.number()]))),
    iptables: z.optional(z.string()),
    setup: z.optional(z.array(z.string())),
  }),
});

/** Devices are found by their index in an array, so that one far out would fill the memory with nothing. */
const ifindex = z.number().check(z.int(), z.gte(1), z.lte(0xfffff));

export const podWiringSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.strictObject({
    mac: z.optional(mac),
    hostMac: z.optional(mac),
    hostInterface: z.optional(z.string().check(z.minLength(1), z.maxLength(15))),
    hostIfindex: z.optional(ifindex),
    podIfindex: z.optional(ifindex),
    mtu: z.optional(mtu),
    endpointId: z.optional(u16),
    firstIpId: z.optional(u16),
  }),
});

export const hostSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.strictObject({
    nics: z.optional(z.array(nicSchema)),
    addresses: z.optional(z.array(z.string())),
    mac: z.optional(mac),
    network: z.optional(z.string()),
    gateway: z.optional(z.string()),
    gatewayIPv6: z.optional(z.string()),
    routes: z.optional(z.array(z.strictObject({ to: z.string(), via: z.string() }))),
    router: z.optional(z.boolean()),
    setup: z.optional(z.array(z.string())),
  }),
});

const looseText = z.union([z.string(), z.number()]);

/** Namespaces and links in the form of the kernel model's topologies. */
export const topologySchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.strictObject({
    netns: z.record(
      z.string(),
      z.nullable(
        z.strictObject({
          role: z.optional(z.string()),
          sysctl: z.optional(z.record(z.string(), looseText)),
          addresses: z.optional(
            z.array(z.strictObject({ dev: name, addr: z.string(), metric: z.optional(u32) })),
          ),
          routes: z.optional(
            z.array(
              z.strictObject({
                dst: z.string(),
                via: z.optional(z.string()),
                dev: z.optional(z.string()),
                type: z.optional(z.string()),
                scope: z.optional(z.string()),
                proto: z.optional(z.string()),
                src: z.optional(z.string()),
                metric: z.optional(u32),
                mtu: z.optional(mtu),
                mtu_lock: z.optional(z.boolean()),
                onlink: z.optional(z.boolean()),
                table: z.optional(looseText),
              }),
            ),
          ),
          rules: z.optional(z.array(z.string())),
          neigh: z.optional(z.array(z.strictObject({ ip: z.string(), mac, dev: name }))),
          proxy_neigh: z.optional(z.array(z.strictObject({ ip: z.string(), dev: name }))),
          fdb: z.optional(z.array(z.strictObject({ mac, dev: name, dst: z.string() }))),
          setup: z.optional(z.array(z.array(z.string()))),
          iptables: z.optional(z.string()),
          ipset: z.optional(
            z.array(z.strictObject({ name, type: z.string(), members: z.array(z.string()) })),
          ),
        }),
      ),
    ),
    links: z.array(
      z.strictObject({
        kind: z.enum(["veth", "bridge", "dummy", "vxlan", "geneve", "ipip"]),
        ends: z.optional(
          z.array(
            z.strictObject({
              ns: name,
              name,
              mac,
              mtu: z.optional(mtu),
              master: z.optional(name),
              index: z.optional(z.number().check(z.int(), z.gte(1))),
            }),
          ),
        ),
        ns: z.optional(name),
        name: z.optional(name),
        mac: z.optional(mac),
        mtu: z.optional(mtu),
        up: z.optional(z.boolean()),
        vni: z.optional(z.number().check(z.int(), z.gte(0), z.lte(0xffffff))),
        local: z.optional(z.string()),
        remote: z.optional(z.string()),
        dev: z.optional(name),
        dstport: z.optional(port),
        learning: z.optional(z.boolean()),
        udpcsum: z.optional(z.boolean()),
        ttl: z.optional(looseText),
        tos: z.optional(looseText),
        df: z.optional(z.string()),
        pmtudisc: z.optional(z.boolean()),
      }),
    ),
    tunl0: z.optional(z.enum(["late", "first"])),
  }),
});

export const labSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metaSchema,
  spec: z.optional(
    z.strictObject({
      description: z.optional(z.string()),
      seed: z.optional(u32),
      /** Age of the nodes at the start, e.g. `16h`: conntrack lifetimes count from boot. */
      uptime: z.optional(z.union([z.string(), z.number()])),
      /** Nodes that `podpath monitor` watches unless told otherwise. */
      monitor: z.optional(z.array(z.string())),
    }),
  ),
});

const endpoint = z.string().check(z.minLength(1));
const duration = z.union([z.string(), z.number()]);
const count = z.optional(z.number().check(z.int(), z.gte(1), z.lte(1_000_000)));
/** Which addresses of the two ends are used; without it IPv4 where both have it. */
const ipFamily = z.optional(z.enum(["IPv4", "IPv6"]));

export const stepSchemas = {
  ping: z.strictObject({
    from: endpoint,
    to: endpoint,
    ipFamily,
    count,
    interval: z.optional(duration),
    size: z.optional(z.number().check(z.int(), z.gte(0), z.lte(65507))),
    id: z.optional(u16),
    seq: z.optional(u16),
    ttl: z.optional(z.number().check(z.int(), z.gte(1), z.lte(255))),
    ipId: z.optional(u16),
    dontFragment: z.optional(z.boolean()),
  }),
  udp: z.strictObject({
    from: endpoint,
    to: endpoint,
    ipFamily,
    port,
    sourcePort: z.optional(port),
    size: z.optional(z.number().check(z.int(), z.gte(0), z.lte(65507))),
    count,
    interval: z.optional(duration),
    ttl: z.optional(z.number().check(z.int(), z.gte(1), z.lte(255))),
  }),
  tcp: z.strictObject({
    from: endpoint,
    to: endpoint,
    ipFamily,
    port,
    sourcePort: z.optional(port),
    send: z.optional(z.number().check(z.int(), z.gte(0), z.lte(100_000_000))),
    receive: z.optional(z.number().check(z.int(), z.gte(0), z.lte(100_000_000))),
    close: z.optional(z.enum(["fin", "rst", "none"])),
  }),
  listen: z.strictObject({ on: endpoint, port, protocol: z.optional(z.enum(["tcp", "udp"])) }),
  /** A command of an operator, as typed on that machine. */
  exec: z.strictObject({ on: endpoint, command: z.string().check(z.minLength(1)) }),
  wait: duration,
} as const;

export const trafficSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.optional(metaSchema),
  spec: z.strictObject({
    steps: z.array(
      z
        .strictObject({
          ping: z.optional(stepSchemas.ping),
          udp: z.optional(stepSchemas.udp),
          tcp: z.optional(stepSchemas.tcp),
          listen: z.optional(stepSchemas.listen),
          exec: z.optional(stepSchemas.exec),
          wait: z.optional(stepSchemas.wait),
        })
        .check(
          z.refine(
            (o) => Object.keys(o).length === 1,
            "a step has exactly one of ping, udp, tcp, listen, exec, wait",
          ),
        ),
    ),
  }),
});

export type IpFamily = "IPv4" | "IPv6";
export type PingStep = z.infer<typeof stepSchemas.ping>;
export type UdpStep = z.infer<typeof stepSchemas.udp>;
export type TcpStep = z.infer<typeof stepSchemas.tcp>;
export type ListenStep = z.infer<typeof stepSchemas.listen>;
export type ExecStep = z.infer<typeof stepSchemas.exec>;

/** One thing to do, in order; `pos` gives the positions of its fields, where it comes from a file. */
export type TrafficStep = { readonly pos?: PositionOf } & (
  | { readonly kind: "ping"; readonly spec: PingStep }
  | { readonly kind: "udp"; readonly spec: UdpStep }
  | { readonly kind: "tcp"; readonly spec: TcpStep }
  | { readonly kind: "listen"; readonly spec: ListenStep }
  | { readonly kind: "exec"; readonly spec: ExecStep }
  | { readonly kind: "wait"; readonly ns: number }
);

// Traffic of a lab: pings, datagrams and connections between pods, nodes, hosts and addresses, sent through the kernel
// model's own sockets. Servers for the other end are opened where the scenario has none.

import { NS_PER_MSEC, NS_PER_SEC } from "../base/clock.js";
import { parseDuration } from "../base/duration.js";
import { ETIMEDOUT } from "../base/errno.js";
import { isPodpathError, PodpathError } from "../base/errors.js";
import type { ControlPlane } from "../cluster/control_plane.js";
import type { Machines } from "../cluster/machines.js";
import { type PlaneCommand, runShell } from "../cluster/shell.js";
import { ip_ident_start } from "../kernel/ip_output.js";
import { ipv6_specific } from "../kernel/ipv6/tcp_ipv6.js";
import type { Netns } from "../kernel/netns.js";
import { TCP_CLOSE, TCP_CLOSE_WAIT, TCP_TIME_WAIT, TcpSock } from "../kernel/tcp.js";
import { ipv4_specific } from "../kernel/tcp_af.js";
import { parseIpv4, parseIpv6, tryParseIpv4, tryParseIpv6 } from "../net/address.js";
import { type Destination, echoClient, type UdpEnd, udpEnd } from "./clients.js";
import type { ExecStep, IpFamily, ListenStep, PingStep, TcpStep, TrafficStep, UdpStep } from "./schema.js";

/** What traffic needs of the lab. */
export interface TrafficHost {
  readonly cluster: ControlPlane;
  readonly machines: Machines;
  /** Lets virtual time pass until `done()` or the limit; true if done. */
  runWhileWaiting(done: () => boolean, limitNs: number): boolean;
  advance(ns: number): void;
}

/** An end of traffic: its addresses of each family to send to. */
export interface EndpointRef extends Destination {
  /** As written: `pod/default/a`, `10.0.0.1`. */
  readonly text: string;
  /** Namespace that owns it; undefined for a service or an address that nobody in the lab has. */
  readonly ns: Netns | undefined;
}

/** Outcome of a ping run. Times in nanoseconds of virtual time. */
export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly replies: readonly {
    readonly seq: number;
    readonly from: string;
    readonly ttl: number;
    readonly bytes: number;
    readonly rttNs: number;
  }[];
  /** ICMP errors and local errors, in order. */
  readonly errors: readonly {
    readonly seq: number;
    readonly errno: number;
    readonly type: number;
    readonly code: number;
    readonly from: string;
  }[];
}

/** Outcome of a run of datagrams. */
export interface UdpResult {
  readonly sent: number;
  /** Datagrams that the other end got, as it saw them. */
  readonly received: readonly {
    readonly from: string;
    readonly sourcePort: number;
    readonly ttl: number;
    readonly bytes: number;
  }[];
  /** Datagrams that came back. */
  readonly answers: readonly { readonly from: string; readonly ttl: number; readonly bytes: number }[];
  /** errno of the first refusal (113 EHOSTUNREACH, 111 ECONNREFUSED ...); 0: none. */
  readonly errno: number;
}

/** Outcome of a connection. */
export interface TcpResult {
  readonly connected: boolean;
  /** errno of the failure: 111 ECONNREFUSED, 110 ETIMEDOUT, 113 EHOSTUNREACH ...; 0: none. */
  readonly errno: number;
  /** Bytes that the client wrote and read. */
  readonly sent: number;
  readonly received: number;
  /** True if the close was carried through. */
  readonly closed: boolean;
}

/** A command that was run, and what it left. */
export interface ExecResult {
  readonly on: string;
  readonly command: string;
  /** Exit status. */
  readonly rc: number;
  /** Standard output and error. */
  readonly out: string;
}

interface TcpServer {
  readonly sock: TcpSock;
  /** What the next accepted connection shall read before it answers, and how much it answers. */
  plan: { readonly receive: number; readonly send: number };
}

/** How long one answer may take before a step goes on without it. */
const REPLY_TIMEOUT = 10 * NS_PER_SEC;
/** A little more than six SYN retransmissions take (1 + 2 + 4 + 8 + 16 + 32 + 64 s). */
const CONNECT_TIMEOUT = 130 * NS_PER_SEC;
const TRANSFER_TIMEOUT = 600 * NS_PER_SEC;

/** `pod/a`, `pod/ns/a`, `node/n`, `host/h`, an address: who that is. Throws USAGE for a name that does not exist. */
export function resolveEndpoint(lab: TrafficHost, text: string): EndpointRef {
  const parts = text.split("/");
  const missing = (what: string, names: Iterable<string>): PodpathError =>
    new PodpathError(
      "USAGE",
      `there is no ${what} ${parts.slice(1).join("/")}; there are ${[...names].join(", ") || "none"}`,
    );
  switch (parts[0]) {
    case "pod": {
      const key = parts.length === 2 ? `default/${parts[1]}` : `${parts[1]}/${parts[2]}`;
      const s = lab.cluster.pods.get(key);
      if (s === undefined) throw missing("pod", lab.cluster.pods.keys());
      const { ip4, ip6 } = s.pod;
      if (ip4 === undefined && ip6 === undefined)
        throw new PodpathError("USAGE", `pod ${key} has no address`);
      return { text, ns: s.ns, ...addresses([ip4, ip6]) };
    }
    case "node": {
      const n = lab.cluster.nodes.find((x) => x.name === parts[1]);
      if (n === undefined)
        throw missing(
          "node",
          lab.cluster.nodes.map((x) => x.name),
        );
      return { text, ns: n.machine.ns, ...primary(n.machine.ns) };
    }
    case "host": {
      const h = lab.machines.hosts.get(parts[1] ?? "");
      if (h === undefined) throw missing("host", lab.machines.hosts.keys());
      return { text, ns: h.ns, ...primary(h.ns) };
    }
    case "service": {
      const [namespace, name] = parts.length === 2 ? ["default", parts[1]] : [parts[1], parts[2]];
      const services = lab.cluster.model.objects.filter((o) => o.kind === "Service");
      const s = services.find((o) => o.metadata.namespace === namespace && o.metadata.name === name);
      if (s === undefined)
        throw missing(
          "service",
          services.map((o) => `${o.metadata.namespace}/${o.metadata.name}`),
        );
      const spec = s.raw.spec as { clusterIP?: unknown; clusterIPs?: unknown } | undefined;
      const more = Array.isArray(spec?.clusterIPs) ? (spec.clusterIPs as unknown[]) : [];
      const ip = addresses([spec?.clusterIP, ...more]);
      if (ip.ip4 === 0 && ip.ip6 === undefined)
        throw new PodpathError("USAGE", `service ${namespace}/${name} has no clusterIP`);
      return { text, ns: undefined, ...ip };
    }
    case "netns": {
      const m =
        lab.machines.hosts.get(parts[1] ?? "") ??
        [...lab.machines.nodes.values()].find((x) => x.name === parts[1]);
      const ns = m?.netns.get(parts[2] ?? "");
      if (ns === undefined) throw missing("namespace", m?.netns.keys() ?? []);
      return { text, ns, ...primary(ns) };
    }
    default: {
      const ip6 = tryParseIpv6(text);
      if (ip6 !== undefined) {
        const ns = lab.machines.namespaces.find((n) => n?.fib6?.localDev(ip6, 0) != null);
        return { text, ns, ip4: 0, ip6 };
      }
      const ip4 = tryParseIpv4(text);
      if (ip4 === undefined) {
        throw new PodpathError(
          "USAGE",
          `${text} is neither pod/NAME, pod/NAMESPACE/NAME, service/NAME, node/NAME, host/NAME nor an address`,
        );
      }
      return {
        text,
        // A service address on kube-ipvs0 is local to every node, but nobody's own.
        ns: lab.machines.namespaces.find(
          (n) =>
            n?.fib.isLocalAddr(ip4) === true &&
            n.devByName("kube-ipvs0")?.addrs.some((a) => a.local === ip4) !== true,
        ),
        ip4,
        ip6: undefined,
      };
    }
  }
}

/** The first address of each family of a list. */
function addresses(list: readonly unknown[]): Destination {
  const texts = list.filter((x) => typeof x === "string");
  const ip4 = texts.find((a) => tryParseIpv4(a) !== undefined);
  const ip6 = texts.find((a) => tryParseIpv6(a) !== undefined);
  return {
    ip4: ip4 === undefined ? 0 : parseIpv4(ip4),
    ip6: ip6 === undefined ? undefined : parseIpv6(ip6),
  };
}

/** A machine's own addresses: the first of its first device that has any, of each family. */
function primary(ns: Netns): Destination {
  let ip4 = 0;
  let ip6: Uint8Array | undefined;
  for (const d of ns.devOrder) {
    if (d === ns.lo) continue;
    if (ip4 === 0) ip4 = d.addrs[0]?.local ?? 0;
    ip6 ??= d.addrs6.find((a) => a.scope === 0)?.bytes;
  }
  return { ip4, ip6 };
}

/**
 * Whether a step goes over IPv6: as it says; else over IPv4 where both ends have it. Throws USAGE where an end lacks the
 * family.
 */
function overIpv6(from: EndpointRef, to: EndpointRef, asked: IpFamily | undefined): boolean {
  // An address as source names a machine, whose other addresses serve too.
  const source = from.ns === undefined ? from : primary(from.ns);
  const four = source.ip4 !== 0 && to.ip4 !== 0;
  const six = source.ip6 !== undefined && to.ip6 !== undefined;
  if (asked === "IPv4" ? four : asked === "IPv6" ? six : four || six) return asked === "IPv6" || !four;
  const family = asked ?? (to.ip4 !== 0 ? "IPv4" : "IPv6");
  const lacks = (family === "IPv4" ? source.ip4 === 0 : source.ip6 === undefined) ? from : to;
  throw new PodpathError("USAGE", `${lacks.text} has no ${family} address`);
}

function source(e: EndpointRef): Netns {
  if (e.ns === undefined)
    throw new PodpathError("USAGE", `${e.text} is nobody in this lab: traffic cannot start there`);
  return e.ns;
}

/**
 * Ends of a step that nobody in the lab is, each with the position of its field if the step has one. Namespaces are left
 * out: an earlier step's command may make them.
 */
export function stepMistakes(lab: TrafficHost, step: TrafficStep): PodpathError[] {
  if (step.kind === "wait") return [];
  const ends =
    step.kind === "listen" || step.kind === "exec"
      ? [["on", step.spec.on] as const]
      : [["from", step.spec.from] as const, ["to", step.spec.to] as const];
  const out: PodpathError[] = [];
  for (const [field, text] of ends) {
    if (text.startsWith("netns/")) continue;
    try {
      const end = resolveEndpoint(lab, text);
      if (field !== "to") source(end);
    } catch (e) {
      if (!isPodpathError(e)) throw e;
      out.push(new PodpathError(e.code, `${step.kind}.${field}: ${e.message}`, step.pos?.([field])));
    }
  }
  return out;
}

/** The traffic of one lab; keeps the servers that it opened. */
export class Traffic {
  /** Commands that were run, in order. */
  readonly executed: ExecResult[] = [];
  readonly #udpServers = new Map<string, UdpEnd>();
  readonly #tcpServers = new Map<string, TcpServer>();
  /** Node ports of the cluster's services: who answers there is behind the node, which opens no server of its own. */
  readonly #nodePorts: ReadonlySet<number>;
  #nextIdent = 1;

  constructor(private readonly lab: TrafficHost) {
    this.#nodePorts = nodePortsOf(lab.cluster);
  }

  /** Runs steps in order. Throws USAGE for what cannot be sent, with the step's position if it has one. */
  runAll(steps: readonly TrafficStep[]): void {
    for (const s of steps) {
      try {
        this.#run(s);
      } catch (e) {
        if (!isPodpathError(e) || e.position !== undefined || s.pos === undefined) throw e;
        throw stepMistakes(this.lab, s)[0] ?? new PodpathError(e.code, e.message, s.pos());
      }
    }
  }

  #run(s: TrafficStep): void {
    switch (s.kind) {
      case "ping":
        this.ping(s.spec);
        break;
      case "udp":
        this.udp(s.spec);
        break;
      case "tcp":
        this.tcp(s.spec);
        break;
      case "listen":
        this.listen(s.spec);
        break;
      case "exec":
        this.exec(s.spec);
        break;
      case "wait":
        this.lab.advance(s.ns);
        break;
    }
  }

  /** ICMP echo, one request a second unless said otherwise; waits for each answer. */
  ping(o: PingStep): PingResult {
    const from = resolveEndpoint(this.lab, o.from);
    const to = resolveEndpoint(this.lab, o.to);
    const ns = source(from);
    const interval = o.interval === undefined ? NS_PER_SEC : durationOf(o.interval);
    const ping = echoClient(ns, to, o.id ?? this.#ident(), overIpv6(from, to, o.ipFamily));
    if (o.ttl !== undefined) ping.sock.ttl = o.ttl;
    if (o.dontFragment === true) ping.sock.pmtudisc = 2;
    if (o.ipId !== undefined) ip_ident_start(ns, o.ipId);
    const count = o.count ?? 1;
    const first = o.seq ?? 1;
    for (let i = 0; i < count; i++) {
      ping.send((first + i) & 0xffff, o.size ?? 56);
      const sentNs = this.lab.machines.clock.ns;
      const answered = (): boolean => {
        const p = ping.probes()[i]!;
        return p.reply !== null || p.error !== null || p.sendErrno !== 0;
      };
      const last = i === count - 1;
      this.lab.runWhileWaiting(answered, last ? REPLY_TIMEOUT : interval);
      if (!last) this.#until(sentNs + interval);
    }
    ping.close();
    const probes = ping.probes();
    return {
      sent: count,
      received: probes.filter((p) => p.reply !== null).length,
      replies: probes.flatMap((p) => (p.reply === null ? [] : [{ seq: p.seq, ...p.reply }])),
      errors: probes.flatMap((p) => {
        if (p.error !== null) return [{ seq: p.seq, ...p.error }];
        return p.sendErrno === 0
          ? []
          : [{ seq: p.seq, errno: p.sendErrno, type: 0, code: 0, from: "0.0.0.0" }];
      }),
    };
  }

  /** Datagrams to a port; the server (opened if there is none) answers each with as many bytes. */
  udp(o: UdpStep): UdpResult {
    const from = resolveEndpoint(this.lab, o.from);
    const to = resolveEndpoint(this.lab, o.to);
    const ns = source(from);
    const ipv6 = overIpv6(from, to, o.ipFamily);
    // A port that somebody listens on already, or that is a service's, needs no server.
    const open = ipv6 ? to.ns?.sockets.udp6 : to.ns?.sockets.udp;
    if (open?.has(o.port) === false && !this.#nodePorts.has(o.port))
      this.listen({ on: o.to, port: o.port, protocol: "udp" });
    const server = this.#udpServers.get(serverKey(to, o.port, ipv6));
    const before = server?.received.length ?? 0;
    const end = udpEnd(ns, ipv6);
    const { sock } = end;
    sock.recverr = true;
    if (o.ttl !== undefined) sock.ttl = o.ttl;
    let errno = -end.bind(o.sourcePort ?? 0) | 0;
    if (errno === 0) errno = -end.connect(to, o.port) | 0;
    const count = o.count ?? 1;
    const payload = new Uint8Array(o.size ?? 32).fill(0x61);
    const interval = o.interval === undefined ? NS_PER_MSEC : durationOf(o.interval);
    let sent = 0;
    for (let i = 0; i < count && errno === 0; i++) {
      const answers = end.received.length;
      const at = this.lab.machines.clock.ns;
      errno = -end.send(payload) | 0;
      if (errno !== 0) break;
      sent++;
      const done = (): boolean => end.received.length > answers || sock.err !== 0 || sock.errqueue.length > 0;
      const last = i === count - 1;
      this.lab.runWhileWaiting(done, last ? REPLY_TIMEOUT : interval);
      const e = sock.errqueue.shift();
      if (e !== undefined) errno = e.errno;
      if (!last) this.#until(at + interval);
    }
    end.close();
    return {
      sent,
      errno,
      answers: end.received.map(({ from, ttl, bytes }) => ({ from, ttl, bytes })),
      received: (server?.received ?? []).slice(before),
    };
  }

  /**
   * One connection: handshake, `send` bytes there and `receive` bytes back, and the close that `close` says (both sides
   * with FIN by default). The server is opened if there is none.
   */
  tcp(o: TcpStep): TcpResult {
    const from = resolveEndpoint(this.lab, o.from);
    const to = resolveEndpoint(this.lab, o.to);
    const ns = source(from);
    const behind = to.ns === undefined || this.#nodePorts.has(o.port);
    const ipv6 = overIpv6(from, to, o.ipFamily);
    const af = ipv6 ? ipv6_specific : ipv4_specific;
    if (to.ns !== undefined && !behind && !af.listeners(to.ns.sockets).has(o.port))
      this.listen({ on: o.to, port: o.port, protocol: "tcp" });
    const want = o.send ?? 0;
    const back = o.receive ?? 0;
    const server = this.#tcpServers.get(serverKey(to, o.port, ipv6));
    // Behind a service address any of them may be the one that answers.
    for (const s of server === undefined || behind ? this.#tcpServers.values() : [server])
      s.plan = { receive: want, send: back };
    const sock = new TcpSock(ns, af);
    const result = { connected: false, errno: 0, sent: 0, received: 0, closed: false };
    sock.recverr = true;
    const { sourcePort } = o;
    const bound = sourcePort === undefined ? 0 : ipv6 ? sock.bind6(sourcePort) : sock.bind(0, sourcePort);
    const connect = (): number => (ipv6 ? sock.connect6(to.ip6!, o.port) : sock.connect(to.ip4, o.port));
    result.errno = bound === 0 ? -connect() | 0 : -bound;
    if (result.errno !== 0) return result;
    this.lab.runWhileWaiting(
      () => sock.connected || sock.err !== 0 || sock.state === TCP_CLOSE,
      CONNECT_TIMEOUT,
    );
    result.connected = sock.connected;
    if (!sock.connected) {
      result.errno = sock.err !== 0 ? sock.takeError() : ETIMEDOUT;
      sock.abort();
      return result;
    }
    const failed = (): boolean => sock.err !== 0 || sock.state === TCP_CLOSE;
    const payload = new Uint8Array(Math.min(want, 65536)).fill(0x61);
    const pump = (): boolean => {
      while (result.sent < want && sock.writable()) {
        const n = sock.send(payload.subarray(0, Math.min(payload.length, want - result.sent)));
        if (n <= 0) break;
        result.sent += n;
      }
      result.received += sock.recv(1 << 20).length;
      return failed() || (result.sent >= want && result.received >= back);
    };
    this.lab.runWhileWaiting(pump, TRANSFER_TIMEOUT);
    if (sock.err !== 0) result.errno = sock.takeError();
    if (o.close === "none") return result;
    if (o.close === "rst") sock.abort();
    else sock.close();
    result.closed = this.lab.runWhileWaiting(
      () => sock.state === TCP_CLOSE || sock.state === TCP_TIME_WAIT,
      REPLY_TIMEOUT,
    );
    return result;
  }

  /** Opens a server that answers what it gets, over each family that the endpoint has. */
  listen(o: ListenStep): void {
    const on = resolveEndpoint(this.lab, o.on);
    const ns = source(on);
    const { ip4, ip6 } = on;
    for (const ipv6 of [false, true]) {
      if (ipv6 ? ip6 === undefined || ns.fib6 === null : ip4 === 0) continue;
      if ((o.protocol ?? "tcp") === "udp") this.#listenUdp(o, on, ns, ipv6);
      else this.#listenTcp(o, on, ns, ipv6);
    }
  }

  #listenUdp(o: ListenStep, on: EndpointRef, ns: Netns, ipv6: boolean): void {
    const key = serverKey(on, o.port, ipv6);
    if (this.#udpServers.has(key)) return;
    const end = udpEnd(ns, ipv6);
    const errno = -end.bind(o.port);
    if (errno !== 0)
      throw new PodpathError("USAGE", `${o.on} cannot listen on udp port ${o.port} (errno ${errno})`);
    end.echo();
    this.#udpServers.set(key, end);
  }

  #listenTcp(o: ListenStep, on: EndpointRef, ns: Netns, ipv6: boolean): void {
    const key = serverKey(on, o.port, ipv6);
    if (this.#tcpServers.has(key)) return;
    const sock = new TcpSock(ns, ipv6 ? ipv6_specific : ipv4_specific);
    const errno = -(ipv6 ? sock.bind6(o.port) : sock.bind(0, o.port));
    if (errno !== 0)
      throw new PodpathError("USAGE", `${o.on} cannot listen on tcp port ${o.port} (errno ${errno})`);
    sock.listen(128);
    const server: TcpServer = { sock, plan: { receive: 0, send: 0 } };
    sock.onAccept = () => {
      for (let c = sock.accept(); c !== null; c = sock.accept()) serve(c, server.plan);
    };
    this.#tcpServers.set(key, server);
  }

  /** Runs a command on a node, a host outside, a pod or an operator's namespace; what it printed stays in `executed`. */
  exec(o: ExecStep): ExecResult {
    const on = resolveEndpoint(this.lab, o.on);
    const ns = source(on);
    const { nodes, hosts } = this.lab.machines;
    const machine = [...nodes.values(), ...hosts.values()].find((m) => m.kernel === ns.kernel);
    if (machine === undefined) throw new PodpathError("USAGE", `${o.on} is on no machine of this lab`);
    const { cluster, machines } = this.lab;
    const plane: PlaneCommand = (m, argv) => cluster.command?.(m, argv) ?? null;
    const result = { on: o.on, command: o.command, ...runShell(machines, machine, ns, o.command, plane) };
    this.executed.push(result);
    return result;
  }

  #until(ns: number): void {
    const now = this.lab.machines.clock.ns;
    if (ns > now) this.lab.advance(ns - now);
  }

  #ident(): number {
    this.#nextIdent = (this.#nextIdent % 0xffff) + 1;
    return this.#nextIdent;
  }
}

/** The server's side of a connection: reads what the plan expects, answers, and closes when the client has. */
function serve(c: TcpSock, plan: TcpServer["plan"]): void {
  let got = 0;
  let sent = 0;
  let closing = false;
  const chunk = new Uint8Array(Math.min(Math.max(plan.send, 1), 65536)).fill(0x62);
  const step = (): void => {
    got += c.recv(1 << 20).length;
    while (got >= plan.receive && sent < plan.send && c.writable()) {
      const n = c.send(chunk.subarray(0, Math.min(chunk.length, plan.send - sent)));
      if (n <= 0) break;
      sent += n;
    }
    if (!closing && c.state === TCP_CLOSE_WAIT) {
      closing = true;
      c.close();
    }
  };
  c.onEvent = step;
  step();
}

function serverKey(e: EndpointRef, port: number, ipv6: boolean): string {
  return `${e.ns?.id ?? -1}:${port}/${ipv6 ? 6 : 4}`;
}

function nodePortsOf(cluster: ControlPlane): Set<number> {
  const out = new Set<number>();
  for (const o of cluster.model.objects) {
    if (o.kind !== "Service") continue;
    const spec = o.raw.spec as { readonly ports?: readonly { readonly nodePort?: unknown }[] } | undefined;
    for (const p of spec?.ports ?? []) if (typeof p.nodePort === "number") out.add(p.nodePort);
  }
  return out;
}

function durationOf(d: string | number): number {
  const ns = parseDuration(d);
  if (ns === undefined)
    throw new PodpathError("USAGE", `${JSON.stringify(d)} is not a duration like 5s or 100ms`);
  return ns;
}

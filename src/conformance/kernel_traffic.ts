// The traffic steps of a lab, sent by the model's own sockets on the virtual clock, with the results that the
// senders saw in the form of results.json.

import { csum_fold, csum_partial } from "../kernel/csum.js";
import { dev_queue_xmit } from "../kernel/dev.js";
import type { NetDevice } from "../kernel/device.js";
import { ip_command } from "../kernel/iproute.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Netns } from "../kernel/netns.js";
import { Ping, RawSock } from "../kernel/raw.js";
import { sysctl_set } from "../kernel/rtnetlink.js";
import { alloc_local_skb, skb_set_dev } from "../kernel/skbuff.js";
import { TcpSock } from "../kernel/tcp.js";
import { MAX_TSO_SEGS } from "../kernel/tcp_cong.js";
import { UdpSock } from "../kernel/udp.js";
import { formatIpv4, parseIpv4 } from "../net/address.js";
import { toHex } from "../net/view.js";
import { type StepPace, TCP_SENDS } from "./kernel_pace.js";

/** A step of topology.json's traffic. */
export interface TrafficOp {
  readonly op: string;
  readonly id?: string;
  readonly ns?: string;
  // biome-ignore lint/suspicious/noExplicitAny: the fields depend on the kind of step
  readonly [key: string]: any;
}

/** What a step gave, as JSON. */
export type StepResult = Record<string, unknown>;

/** Runs a command that is not `ip` or `sysctl` (iptables ...). */
export type CommandRunner = (
  ns: Netns,
  argv: readonly string[],
  stdin: string,
) => { rc: number; out: string } | null;

export const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  11: "EAGAIN",
  13: "EACCES",
  19: "ENODEV",
  22: "EINVAL",
  32: "EPIPE",
  71: "EPROTO",
  90: "EMSGSIZE",
  92: "ENOPROTOOPT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  101: "ENETUNREACH",
  104: "ECONNRESET",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  112: "EHOSTDOWN",
  113: "EHOSTUNREACH",
};
const STRERROR: Readonly<Record<number, string>> = {
  1: "Operation not permitted",
  13: "Permission denied",
  22: "Invalid argument",
  90: "Message too long",
  101: "Network is unreachable",
  104: "Connection reset by peer",
  110: "Connection timed out",
  111: "Connection refused",
  113: "No route to host",
};
const errnoName = (n: number): string => ERRNO_NAMES[n] ?? String(n);

class OsError extends Error {
  constructor(readonly errno: number) {
    super(`[Errno ${errno}] ${STRERROR[errno] ?? "error"}`);
  }
}

const PMTU: Readonly<Record<string, number>> = { dont: 0, want: 1, do: 2, probe: 3 };

export function pattern(n: number, seed = 0): Uint8Array {
  const b = new Uint8Array(n);
  for (let i = 0; i < n; i++) b[i] = (i * 7 + seed) & 0xff;
  return b;
}

const equal = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i]);

/** An IPv4 packet from the fields of a `raw` or `frame` step. */
// biome-ignore lint/suspicious/noExplicitAny: JSON
export function craftIpv4(f: any): Uint8Array {
  const src = parseIpv4(f.src);
  const dst = parseIpv4(f.dst);
  let proto: number = f.proto ?? 0;
  let body: Uint8Array;
  const addrSum = (): number => {
    let s = 0;
    for (const a of [src, dst])
      s += ((a & 0xff) << 8) + ((a >>> 8) & 0xff) + (((a >>> 16) & 0xff) << 8) + (a >>> 24);
    return s;
  };
  const l4 = f.l4;
  if (f.payload_hex !== undefined && f.payload_hex !== null) body = fromHexText(f.payload_hex);
  else if (l4.kind === "udp") {
    proto = 17;
    const data = pattern(l4.len ?? 0, l4.seed ?? 0);
    body = new Uint8Array(8 + data.length);
    const v = new DataView(body.buffer);
    v.setUint16(0, l4.sport);
    v.setUint16(2, l4.dport);
    v.setUint16(4, body.length);
    body.set(data, 8);
    const c = csum_fold(csum_partial(body, 0, body.length, addrSum() + 17 + body.length)) || 0xffff;
    v.setUint16(6, l4.csum ?? c);
  } else if (l4.kind === "icmp") {
    proto = 1;
    const data = pattern(l4.len ?? 56, l4.seed ?? 0);
    body = new Uint8Array(8 + data.length);
    const v = new DataView(body.buffer);
    body[0] = l4.type ?? 8;
    body[1] = l4.code ?? 0;
    v.setUint16(4, l4.id ?? 1);
    v.setUint16(6, l4.seq ?? 1);
    body.set(data, 8);
    v.setUint16(2, csum_fold(csum_partial(body, 0, body.length, 0)));
  } else {
    proto = 6;
    const data = pattern(l4.len ?? 0, l4.seed ?? 0);
    const opts = fromHexText(l4.options_hex ?? "");
    let flags = 0;
    for (const ch of l4.flags as string)
      flags |= { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 }[ch] ?? 0;
    body = new Uint8Array(20 + opts.length + data.length);
    const v = new DataView(body.buffer);
    v.setUint16(0, l4.sport);
    v.setUint16(2, l4.dport);
    v.setUint32(4, l4.seqno ?? 1);
    v.setUint32(8, l4.ackno ?? 0);
    body[12] = (20 + opts.length) << 2;
    body[13] = flags;
    v.setUint16(14, l4.window ?? 64240);
    body.set(opts, 20);
    body.set(data, 20 + opts.length);
    v.setUint16(16, csum_fold(csum_partial(body, 0, body.length, addrSum() + 6 + body.length)));
  }
  const iopts = fromHexText(f.ip_options_hex ?? "");
  const hl = 20 + iopts.length;
  const p = new Uint8Array(hl + body.length);
  const v = new DataView(p.buffer);
  p[0] = 0x40 | (hl / 4);
  p[1] = f.tos ?? 0;
  v.setUint16(2, p.length);
  v.setUint16(4, f.id ?? 1);
  v.setUint16(6, (f.df ? 0x4000 : 0) | (f.mf ? 0x2000 : 0) | (f.frag ?? 0));
  p[8] = f.ttl ?? 64;
  p[9] = proto;
  v.setInt32(12, src, true);
  v.setInt32(16, dst, true);
  p.set(iopts, 20);
  v.setUint16(10, f.ip_csum ?? csum_fold(csum_partial(p, 0, hl, 0)));
  p.set(body, hl);
  return p;
}

function fromHexText(s: string): Uint8Array {
  const b = new Uint8Array(s.length / 2);
  for (let i = 0; i < b.length; i++) b[i] = Number.parseInt(s.slice(2 * i, 2 * i + 2), 16);
  return b;
}

const macBytes = (s: string): number[] => s.split(":").map((x) => Number.parseInt(x, 16));

interface Server<T> {
  readonly ns: string;
  readonly sock: T;
}

/** A connection of a script: the client, whose calls take `timeout` ms at most, and what the server accepted. */
interface Connection {
  readonly c: TcpSock;
  readonly a: TcpSock;
  readonly timeout: number;
}

/** The timeout of what a server accepts, ms. */
const ACCEPTED_MS = 1000;

/** Sends a lab's traffic. */
export class LabTraffic {
  readonly #stash = new Map<string, Connection>();
  #pace: StepPace = {};
  /** What a pause takes longer than asked for, ms. */
  #overhead = 0.7;

  constructor(
    readonly kernel: Kernel,
    readonly ns: ReadonlyMap<string, Netns>,
    readonly command: CommandRunner,
  ) {}

  /** The pause of a script: a little longer than asked for, as every sleep is. */
  #pause(ms: number): void {
    this.sleep(ms + this.#overhead);
  }

  /** Waits until the recording's script made its `i`th sending; without a record of it, `ms` as a pause. */
  #until(i: number, ms = 0): void {
    const t = this.#pace.sends?.[i];
    if (t === undefined) {
      if (ms > 0) this.#pause(ms);
    } else if (t > this.kernel.clock.ns) this.kernel.runUntil(t);
  }

  /** Virtual milliseconds pass. */
  sleep(ms: number): void {
    this.kernel.runUntil(this.kernel.clock.ns + ms * 1e6);
  }

  /** Waits until `cond` holds, at most `ms`. */
  wait(cond: () => boolean, ms: number): boolean {
    const k = this.kernel;
    const end = k.clock.ns + ms * 1e6;
    k.runUntil(k.clock.ns);
    while (!cond()) {
      const due = k.timers.nextDue();
      if (due > end) {
        k.runUntil(end);
        return cond();
      }
      k.runUntil(due);
    }
    return true;
  }

  #netns(op: TrafficOp): Netns {
    return this.ns.get(op.ns ?? "")!;
  }

  /** One step and the pause behind it; it takes at least `ms` (what the recorded one took). */
  run(op: TrafficOp, pace: StepPace = {}): StepResult {
    const ms = pace.ms ?? 0;
    this.#pace = pace;
    if (pace.atNs !== undefined && pace.atNs > this.kernel.clock.ns) this.kernel.runUntil(pace.atNs);
    const start = this.kernel.clock.ns;
    // A connection has up to five pauses; what it took beyond them is spread over them if the capture does not tell.
    const pauses = 20 + (op.c2s ? 80 : 0) + (op.s2c ? 80 : 0) + 80 + 30;
    const known = pace.sends?.[0] !== undefined;
    this.#overhead = op.op === "tcp" && !known && ms > pauses ? Math.min((ms - pauses) / 5, 40) : 0.7;
    // Datagrams and pings that nobody answered and no capture shows: what they took too long is spread over them.
    const n = op.count ?? 1;
    if (op.op === "udp")
      this.#spread(ms - n * 1000 * ((op.timeout ?? 0.8) + (op.interval ?? 0.02)), n, known);
    if (op.op === "ping") {
      const interval = (n - 1) * (op.interval ?? 0.2);
      this.#spread(ms - 1000 * (n * (op.timeout ?? 0.6) + interval), n, known);
    }
    let r: StepResult | undefined;
    try {
      switch (op.op) {
        case "sleep":
          this.sleep(op.seconds * 1000);
          break;
        case "cmd":
          r = this.#cmd(op);
          break;
        case "ping":
          r = this.#ping(op);
          break;
        case "udp":
          r = this.#udp(op);
          break;
        case "tcp":
          r = this.#tcp(op);
          break;
        case "tcp-more":
          r = this.#tcpMore(op);
          break;
        case "raw":
          r = this.#raw(op);
          break;
        case "frame":
          r = this.#frame(op);
          break;
        case "listen":
          r = this.#listen(op);
          break;
        default:
          r = { error: `step "${op.op}" is not modelled` };
      }
    } catch (e) {
      if (!(e instanceof OsError)) throw e;
      r = { errno: errnoName(e.errno), error: e.message };
    }
    const rest = ms - (this.kernel.clock.ns - start) / 1e6;
    if (rest > 0) this.sleep(rest);
    this.sleep((op.settle ?? 0.05) * 1000);
    return r ?? {};
  }

  /** What `n` pauses together took longer than asked for, ms, unless the capture tells of each. */
  #spread(ms: number, n: number, known: boolean): void {
    if (!known && ms > 0) this.#overhead = ms / n;
  }

  #cmd(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const argv = op.argv as string[];
    if (argv[0] === "ip") {
      const r = ip_command(ns, argv.slice(1));
      return { rc: r.rc, out: r.out };
    }
    if (argv[0] === "sysctl") {
      const [k, v] = argv[argv.length - 1]!.split("=");
      // Dots separate, except inside a device name, where sysctl wants slashes.
      sysctl_set(ns, k!.replaceAll(".", "/").trim(), v!.trim());
      return { rc: 0, out: `${k!.trim()} = ${v!.trim()}\n` };
    }
    const r = this.command(ns, argv, (op.stdin as string | undefined) ?? "");
    return r === null ? { rc: 127, out: `${argv[0]}: not modelled\n` } : { rc: r.rc, out: r.out };
  }

  #ping(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const dst = parseIpv4(op.dst);
    const p = new Ping(ns, dst, op.ident ?? 0x1234, (seq, size) => pattern(size, seq));
    p.sock.ttl = op.ttl ?? 64;
    p.sock.tos = op.tos ?? 0;
    p.sock.pmtudisc = PMTU[op.pmtu ?? "want"]!;
    if (op.src !== undefined) p.sock.saddr = parseIpv4(op.src);
    if (op.mark !== undefined) p.sock.mark = op.mark;
    const out: StepResult[] = [];
    for (let i = 0; i < (op.count ?? 1); i++) {
      this.#until(i, i > 0 ? (op.interval ?? 0.2) * 1000 : 0);
      const seq = (op.seq ?? 1) + i;
      const res: StepResult = { seq };
      p.send(seq, op.size ?? 56);
      const probe = p.probes[p.probes.length - 1]!;
      if (probe.sendErrno !== 0) res.send_errno = errnoName(probe.sendErrno);
      this.wait(() => probe.reply !== null || probe.error !== null, (op.timeout ?? 0.6) * 1000);
      p.reading = false;
      if (probe.error !== null) {
        const e = probe.error;
        res.icmp_error = {
          errno: errnoName(e.errno),
          origin: e.origin,
          type: e.type,
          code: e.code,
          info: e.info,
          from: formatIpv4(e.from),
        };
      } else if (probe.reply !== null) {
        const r = probe.reply;
        res.reply = { from: formatIpv4(r.from), ttl: r.ttl, len: r.len, payload_ok: r.payloadOk };
      }
      out.push(res);
    }
    p.close();
    return { packets: out };
  }

  #serverList(op: TrafficOp): { ns: string; port: number; ip?: string }[] {
    const s = op.server;
    if (s === undefined || s === null) return [];
    return Array.isArray(s) ? s : [s];
  }

  #udp(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const srv: Server<UdpSock>[] = this.#serverList(op).map((x) => {
      const sock = new UdpSock(this.ns.get(x.ns)!);
      sock.bind(parseIpv4(x.ip ?? "0.0.0.0"), x.port, true);
      return { ns: x.ns, sock };
    });
    const timeout = (op.timeout ?? 0.8) * 1000;
    const c = new UdpSock(ns);
    c.ttl = op.ttl ?? 64;
    c.tos = op.tos ?? 0;
    c.pmtudisc = PMTU[op.pmtu ?? "want"]!;
    c.recverr = true;
    const out: StepResult[] = [];
    try {
      const b = c.bind(parseIpv4(op.src ?? "0.0.0.0"), op.sport, true);
      if (b < 0) throw new OsError(-b);
      const dst = parseIpv4(op.dst);
      if (op.connect === true) {
        const r = c.connect(dst, op.dport);
        if (r < 0) throw new OsError(-r);
      }
      for (let i = 0; i < (op.count ?? 1); i++) {
        const res: StepResult = {};
        const d = pattern(op.size ?? 32, i);
        const echo = op.echo !== false;
        this.#until(2 * i);
        try {
          const r = c.sendto(d, dst, op.dport);
          if (r < 0) throw new OsError(-r);
          if (srv.length > 0) {
            if (!this.wait(() => srv.some((s) => s.sock.received.length > 0), timeout)) throw new OsError(0);
            const s = srv.find((x) => x.sock.received.length > 0)!;
            const g = s.sock.recv()!;
            res.server_saw = {
              from: formatIpv4(g.from),
              sport: g.sport,
              len: g.data.length,
              payload_ok: equal(g.data, d),
            };
            if (srv.length > 1) res.server = s.ns;
            if (echo) {
              this.#until(2 * i + 1, 20);
              const e = s.sock.sendto(g.data, g.from, g.sport);
              if (e < 0) throw new OsError(-e);
            }
          }
          if (echo) {
            if (!this.wait(() => c.received.length > 0 || c.err !== 0, timeout)) throw new OsError(0);
            if (c.err !== 0) throw new OsError(c.takeError());
            const g = c.recv()!;
            res.reply = {
              from: formatIpv4(g.from),
              sport: g.sport,
              len: g.data.length,
              payload_ok: equal(g.data, d),
            };
          }
        } catch (e) {
          if (!(e instanceof OsError)) throw e;
          if (e.errno === 0) res.timeout = true;
          else res.errno = errnoName(e.errno);
        }
        const e = c.errqueue.shift();
        if (e !== undefined) {
          c.err = c.errqueue.length > 0 ? c.errqueue[0]!.errno : 0;
          res.icmp_error = {
            errno: errnoName(e.errno),
            origin: e.origin,
            type: e.type,
            code: e.code,
            info: e.info,
            from: formatIpv4(e.offender),
          };
        }
        out.push(res);
        this.#pause((op.interval ?? 0.02) * 1000);
      }
    } finally {
      c.close();
      for (const s of srv) s.sock.close();
    }
    return { datagrams: out };
  }

  #raw(op: TrafficOp): StepResult {
    const p = craftIpv4(op.ip);
    this.#until(0);
    const s = new RawSock(this.#netns(op), 255);
    const r = s.sendto(p, parseIpv4(op.ip.dst));
    s.close();
    if (r < 0) throw new OsError(-r);
    return { hex: toHex(p) };
  }

  #frame(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const dev = ns.devByName(op.dev) as NetDevice;
    const type: number = op.ethertype ?? 0x0800;
    let body: Uint8Array;
    if (op.ip !== undefined) body = craftIpv4(op.ip);
    else if (op.arp !== undefined) {
      const a = op.arp;
      body = new Uint8Array(28);
      const v = new DataView(body.buffer);
      v.setUint32(0, 0x00010800);
      v.setUint16(4, 0x0604);
      v.setUint16(6, a.op);
      body.set(macBytes(a.sha), 8);
      v.setInt32(14, parseIpv4(a.sip), true);
      body.set(macBytes(a.tha), 18);
      v.setInt32(24, parseIpv4(a.tip), true);
    } else body = fromHexText(op.hex);
    const f = new Uint8Array(14 + body.length);
    f.set(macBytes(op.dmac), 0);
    f.set(macBytes(op.smac), 6);
    f[12] = type >> 8;
    f[13] = type & 0xff;
    f.set(body, 14);
    const skb = alloc_local_skb(ns);
    skb.setFrame(f);
    skb.network = skb.data + 14;
    skb.protocol = type;
    skb_set_dev(skb, dev);
    dev_queue_xmit(skb);
    return { hex: toHex(f) };
  }

  #listen(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const addr = parseIpv4(op.ip ?? "0.0.0.0");
    if (op.proto === "udp") new UdpSock(ns).bind(addr, op.port);
    else {
      const s = new TcpSock(ns);
      s.bind(addr, op.port);
      s.listen(4);
    }
    return {};
  }

  /** sendall by `x`, then recv by `y` until all is there; a call takes `xMs` or `yMs` at most. */
  #xfer(x: TcpSock, y: TcpSock, n: number, xMs: number, yMs: number): boolean {
    const d = pattern(n);
    let sent = 0;
    const got: Uint8Array[] = [];
    let have = 0;
    const pump = (): void => {
      if (sent < n) {
        const r = x.send(d.subarray(sent));
        if (r > 0) sent += r;
      }
    };
    pump();
    while (sent < n) {
      if (!this.wait(() => x.writable() || x.err !== 0, xMs)) throw new OsError(0);
      if (x.err !== 0) throw new OsError(x.takeError());
      pump();
    }
    while (have < n) {
      if (!this.wait(() => y.readable() || y.err !== 0, yMs)) throw new OsError(0);
      if (y.err !== 0) throw new OsError(y.takeError());
      const b = y.recv(65536);
      if (b.length === 0) break;
      got.push(b);
      have += b.length;
    }
    const all = new Uint8Array(have);
    let o = 0;
    for (const g of got) {
      all.set(g, o);
      o += g.length;
    }
    return equal(all, d);
  }

  /** `before`: the pause in front of what is sent first, ms. */
  #exchange(conn: Connection, op: TrafficOp, res: StepResult, before: number): void {
    const { c, a, timeout } = conn;
    let pause = before;
    if (op.c2s) {
      this.#until(TCP_SENDS.c2s, pause);
      res.c2s_ok = this.#xfer(c, a, op.c2s, timeout, ACCEPTED_MS);
      pause = 80;
    }
    if (op.s2c) {
      this.#until(TCP_SENDS.s2c, pause);
      res.s2c_ok = this.#xfer(a, c, op.s2c, ACCEPTED_MS, timeout);
      pause = 80;
    }
    if (op.hold) {
      this.#pause(pause);
      return;
    }
    this.#until(TCP_SENDS.clientClose, pause);
    if (op.rst) c.abort();
    else {
      c.shutdown();
      if (!this.wait(() => a.readable() || a.err !== 0, ACCEPTED_MS)) throw new OsError(0);
      if (a.err !== 0) throw new OsError(a.takeError());
      res.server_eof = a.recv(10).length === 0;
      this.#until(TCP_SENDS.serverClose, 80);
    }
    a.close();
    this.#pause(30);
  }

  #tcp(op: TrafficOp): StepResult {
    const ns = this.#netns(op);
    const srv: Server<TcpSock>[] = this.#serverList(op).map((x) => {
      const sock = new TcpSock(this.ns.get(x.ns)!);
      sock.tsoSegs = this.#pace.tsoSegs?.server ?? MAX_TSO_SEGS;
      sock.issHint = this.#pace.isn?.server ?? null;
      sock.bind(parseIpv4(x.ip ?? "0.0.0.0"), x.port);
      sock.listen(8);
      return { ns: x.ns, sock };
    });
    const res: StepResult = {};
    const timeout = (op.timeout ?? 0.8) * 1000;
    let c: TcpSock | null = new TcpSock(ns);
    let accepted: TcpSock | null = null;
    // IP_TOS of a stream socket leaves ECN alone.
    c.tos = (op.tos ?? 0) & ~3;
    c.ttl = op.ttl ?? 64;
    c.tsoSegs = this.#pace.tsoSegs?.client ?? MAX_TSO_SEGS;
    c.issHint = this.#pace.isn?.client ?? null;
    if (op.syncnt) c.synRetries = op.syncnt;
    try {
      const b = c.bind(parseIpv4(op.src ?? "0.0.0.0"), op.sport);
      if (b < 0) throw new OsError(-b);
      this.#until(TCP_SENDS.connect);
      const r = c.connect(parseIpv4(op.dst), op.dport);
      if (r < 0) throw new OsError(-r);
      const client = c;
      if (!this.wait(() => client.connected || client.err !== 0, timeout)) throw new OsError(0);
      if (c.err !== 0) throw new OsError(c.takeError());
      res.connected = true;
      if (srv.length > 0) {
        if (!this.wait(() => srv.some((s) => s.sock.acceptable()), 1000)) throw new OsError(0);
        const s = srv.find((x) => x.sock.acceptable())!;
        const a = s.sock.accept()!;
        accepted = a;
        res.server_saw = { from: formatIpv4(a.daddr), sport: a.dport };
        if (srv.length > 1) res.server = s.ns;
        this.#exchange({ c, a, timeout }, op, res, 20);
        if (op.hold) {
          this.#stash.set(op.hold, { c, a, timeout });
          c = null;
          accepted = null;
        }
      }
    } catch (e) {
      if (!(e instanceof OsError)) throw e;
      if (e.errno === 0) res.timeout = true;
      else res.errno = errnoName(e.errno);
      this.#until(TCP_SENDS.clientClose);
    }
    c?.close();
    for (const s of srv) s.sock.close();
    // Nobody holds it any more when the step ends.
    accepted?.close();
    return res;
  }

  #tcpMore(op: TrafficOp): StepResult {
    const held = this.#stash.get(op.conn);
    const res: StepResult = {};
    if (held === undefined) return { error: `no connection "${op.conn}" is held` };
    try {
      this.#exchange(held, op, res, 0);
    } catch (e) {
      if (!(e instanceof OsError)) throw e;
      if (e.errno === 0) res.timeout = true;
      else res.errno = errnoName(e.errno);
    }
    if (!op.hold) {
      held.c.close();
      held.a.close();
    }
    return res;
  }
}

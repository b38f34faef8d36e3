// What of a recorded lab depends on the machine that made it: when its script sent what, initial sequence numbers,
// how much a TCP packet carried. Read from the captures, so that the model can be made to keep the recording's time.
//
// Senders' times matter because the kernel paces redirects, errors and ARP in jiffies of 4 ms, and a script's pauses
// are longer than asked for.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseIpv4 } from "../net/address.js";
import { readPcap } from "../net/pcap.js";
import type { LabTopology } from "./kernel.js";
import type { TrafficOp } from "./kernel_traffic.js";

/** What of a step depends on the machine. */
export interface StepPace {
  /** When the step began, ns of the model's clock. */
  readonly atNs?: number;
  /** Milliseconds it took; steps that only read texts have none. */
  readonly ms?: number;
  /** When it sent, in the order of TCP_SENDS; undefined where the capture does not show it. */
  readonly sends?: readonly (number | undefined)[];
  /** Initial sequence numbers of client and server. */
  readonly isn?: { readonly client?: number; readonly server?: number };
  /** Segments that one TCP packet of each side carried (tcp_tso_autosize: less on a slow machine). */
  readonly tsoSegs?: TsoSegs;
}

/** What of a lab depends on the machine. */
export interface LabPace {
  /** One for each step. */
  readonly steps: readonly StepPace[];
  /** When the last frame was captured, ns of the model's clock. */
  readonly endNs?: number;
}

/** Indices of StepPace.sends for a connection; datagrams have two each (sent, echoed), pings and raw packets one. */
export const TCP_SENDS = { connect: 0, c2s: 1, s2c: 2, clientClose: 3, serverClose: 4 } as const;

/** A frame that a namespace sent. */
interface Sent {
  readonly us: number;
  readonly frame: Uint8Array;
}

/** Captures of a lab, by namespace. */
export class LabRecording {
  readonly #sent = new Map<string, Sent[]>();
  readonly #frames = new Map<string, Uint8Array[][]>();
  readonly #own = new Map<string, ReadonlySet<string>>();
  /** When the last frame was captured, µs of the wall clock. */
  readonly lastUs: number;

  constructor(dir: string, topo: LabTopology) {
    const macs = new Map<string, string>();
    for (const l of topo.links)
      for (const e of l.ends ?? [{ ns: l.ns ?? "", name: l.name ?? "", mac: l.mac ?? "" }])
        macs.set(`${e.ns}/${e.name}`, e.mac.replaceAll(":", ""));
    for (const [ns, { addresses }] of Object.entries(topo.netns))
      this.#own.set(ns, new Set((addresses ?? []).map((a) => a.addr.replace(/\/.*/, ""))));
    let last = 0;
    for (const c of topo.captures ?? []) {
      const { packets } = readPcap(readFileSync(join(dir, c.file)));
      const sent = this.#sent.get(c.ns) ?? [];
      const mac = macs.get(`${c.ns}/${c.dev}`);
      for (const p of packets) {
        const f = p.bytes;
        const us = p.sec * 1e6 + p.nsec / 1000;
        last = Math.max(last, us);
        if (f.length < 14) continue;
        let src = "";
        for (let i = 6; i < 12; i++) src += f[i]!.toString(16).padStart(2, "0");
        if (src === mac) sent.push({ us, frame: f });
      }
      this.#sent.set(
        c.ns,
        sent.sort((a, b) => a.us - b.us),
      );
      const frames = this.#frames.get(c.ns) ?? [];
      frames.push(packets.map((p) => p.bytes));
      this.#frames.set(c.ns, frames);
    }
    this.lastUs = last;
  }

  /** What the captures of `ns` hold, device by device. */
  frames(ns: string): readonly (readonly Uint8Array[])[] {
    return this.#frames.get(ns) ?? [];
  }

  /** When `ns` first sent anything, µs of the recording's wall clock. */
  begun(ns: string): number | undefined {
    return this.#sent.get(ns)?.[0]?.us;
  }

  /**
   * When `ns` first sent an IPv4 packet that `is` accepts, between `from` and `to`; µs of the recording's wall clock.
   * A packet that waited for an ARP answer was sent when the request was; undefined when that was not the first one,
   * for then it had waited longer.
   */
  firstSent(ns: string, from: number, to: number, is: (ip: Ipv4Frame) => boolean): number | undefined {
    const list = this.#sent.get(ns) ?? [];
    // What a tunnel carries for others is not its own.
    const own = this.#own.get(ns);
    for (const [i, s] of list.entries()) {
      if (s.us < from) continue;
      if (s.us > to) break;
      const ip = innermostIpv4(s.frame);
      if (ip === null || (ip.b !== s.frame && !own?.has(ip.b.subarray(26, 30).join("."))) || !is(ip))
        continue;
      for (let j = i - 1; j >= 0; j--) {
        const before = list[j]!;
        if (s.us - before.us > ARP_US || before.us < from) break;
        if (isArpRequest(before.frame)) return askedAgain(list, j) ? undefined : before.us;
      }
      return s.us;
    }
    return undefined;
  }
}

/** How long an answered ARP request takes at most, µs. */
const ARP_US = 1500;
/** How long a host waits at most before it asks again, µs. */
const ARP_RETRY_US = 1_200_000;

const isArpRequest = (f: Uint8Array): boolean => f[12] === 8 && f[13] === 6 && f[0] === 255 && f.length >= 42;

/** Whether the ARP request at `at` repeats one, of a host that captures of several devices may show. */
function askedAgain(list: readonly Sent[], at: number): boolean {
  const { us, frame } = list[at]!;
  for (let i = at - 1; i >= 0 && us - list[i]!.us < ARP_RETRY_US; i--) {
    const f = list[i]!.frame;
    if (us - list[i]!.us > ARP_US && isArpRequest(f) && i32(f, 38) === i32(frame, 38)) return true;
  }
  return false;
}

/** An IPv4 packet in an Ethernet frame; `l4` is the offset of its transport header. */
interface Ipv4Frame {
  readonly b: Uint8Array;
  readonly proto: number;
  readonly id: number;
  /** Flags and fragment offset. */
  readonly frag: number;
  readonly l4: number;
  /** Bytes from `l4` on. */
  readonly len: number;
}

const u16 = (b: Uint8Array, o: number): number => (b[o]! << 8) | b[o + 1]!;
const i32 = (b: Uint8Array, o: number): number =>
  (b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!;

function ipv4Of(f: Uint8Array): Ipv4Frame | null {
  if (f.length < 34 || u16(f, 12) !== 0x0800) return null;
  const l4 = 14 + (f[14]! & 15) * 4;
  return { b: f, proto: f[23]!, id: u16(f, 18), frag: u16(f, 20), l4, len: u16(f, 16) - (l4 - 14) };
}

const VXLAN_PORT = 4789;
const GENEVE_PORT = 6081;

/** The IPv4 packet inside tunnels: what a node itself sent into one is seen on its card like this. */
function innermostIpv4(f: Uint8Array): Ipv4Frame | null {
  const p = ipv4Of(f);
  if (p === null) return null;
  let inner = -1;
  if (p.proto === 4 && (p.frag & 0x1fff) === 0 && f.length >= p.l4) inner = p.l4 - 14;
  else if (hasL4(p, 17) && f.length >= p.l4 + 16) {
    const dport = u16(f, p.l4 + 2);
    if (dport === VXLAN_PORT) inner = p.l4 + 16;
    else if (dport === GENEVE_PORT) inner = p.l4 + 16 + (f[p.l4 + 8]! & 0x3f) * 4;
  }
  if (inner < 0) return p;
  const rest = f.slice(inner);
  // An IPIP packet has no link-layer header of its own.
  if (p.proto === 4) rest.set([8, 0], 12);
  return innermostIpv4(rest);
}

/** An IPv4 packet that carries its transport header: no fragment, or the first. */
const hasL4 = (p: Ipv4Frame, proto: number): boolean =>
  p.proto === proto && (p.frag & 0x1fff) === 0 && p.b.length >= p.l4 + 8;

/** The earlier of two times, either of which may be unknown. */
const earlier = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || (b !== undefined && b < a) ? b : a;

/** When a step that took `ms` sent, µs of the wall clock, not before `from`. */
function stepSends(
  rec: LabRecording,
  op: TrafficOp,
  from: number,
  ms: number | undefined,
): (number | undefined)[] {
  const ns = op.ns ?? "";
  const out: (number | undefined)[] = [];
  // Ports come again in later steps: what follows the first packet belongs to this one only while it lasted.
  const end = (first: number | undefined): number =>
    first === undefined || ms === undefined ? Number.POSITIVE_INFINITY : first + ms * 1000;
  const servers: readonly { ns: string; port: number }[] =
    op.server === undefined || op.server === null ? [] : [op.server].flat();
  switch (op.op) {
    case "ping": {
      // An earlier step may have used the same numbers: the next one is behind this one.
      let at = from;
      for (let i = 0; i < (op.count ?? 1); i++) {
        const seq = (op.seq ?? 1) + i;
        const sent = rec.firstSent(ns, at, end(out[0]), (p) => {
          if (!hasL4(p, 1) || p.b[p.l4] !== 8) return false;
          return u16(p.b, p.l4 + 4) === (op.ident ?? 0x1234) && u16(p.b, p.l4 + 6) === seq;
        });
        out.push(sent);
        if (sent !== undefined) at = sent;
      }
      return out;
    }
    case "udp": {
      let at = from;
      for (let i = 0; i < (op.count ?? 1); i++) {
        // Payloads start with their number; empty ones are told apart by their order.
        const mine = (p: Ipv4Frame, port: number): boolean =>
          hasL4(p, 17) && u16(p.b, p.l4) === port && (p.len <= 8 || p.b[p.l4 + 8] === (i & 255));
        const to = end(out[0]);
        const sent = rec.firstSent(ns, at, to, (p) => mine(p, op.sport) && u16(p.b, p.l4 + 2) === op.dport);
        out.push(sent);
        if (sent !== undefined) at = sent + 1;
        const echoed = servers
          .map((s) => rec.firstSent(s.ns, at, end(out[0]), (p) => mine(p, s.port)))
          .reduce(earlier, undefined);
        out.push(echoed);
        if (echoed !== undefined) at = echoed + 1;
      }
      return out;
    }
    case "tcp": {
      const tcp = (side: string, port: number, is: (flags: number, len: number) => boolean) => {
        let id = 0;
        let refused = false;
        const at = rec.firstSent(side, out[TCP_SENDS.connect] ?? from, end(out[TCP_SENDS.connect]), (p) => {
          if (!hasL4(p, 6) || p.b.length < p.l4 + 14 || u16(p.b, p.l4) !== port) return false;
          // One device may show later than another what came before.
          const ahead = ((p.id - id) << 16) >> 16;
          refused = id !== 0 && ahead > 1;
          if (id === 0 || ahead > 0) id = p.id;
          return is(p.b[p.l4 + 13]!, p.len - (p.b[p.l4 + 12]! >> 4) * 4);
        });
        // What its own host refused is in no capture. Ids are missing: this is not what was sent first.
        return refused ? undefined : at;
      };
      const server = (is: (flags: number, len: number) => boolean): number | undefined =>
        servers.map((s) => tcp(s.ns, s.port, is)).reduce(earlier, undefined);
      const data = (_flags: number, len: number): boolean => len > 0;
      const fin = (flags: number): boolean => (flags & 1) !== 0;
      out.push(tcp(ns, op.sport, (flags) => (flags & 0x12) === 2));
      // Without the SYN there is nothing to tell the rest from another connection's.
      if (out[TCP_SENDS.connect] === undefined) return out;
      out.push(tcp(ns, op.sport, data), server(data), tcp(ns, op.sport, fin), server(fin));
      return out;
    }
    case "raw": {
      const src = parseIpv4(op.ip.src);
      out.push(
        rec.firstSent(ns, from, Number.POSITIVE_INFINITY, (p) => {
          const same = p.id === (op.ip.id ?? 1) && (p.frag & 0x1fff) === (op.ip.frag ?? 0);
          return same && new DataView(p.b.buffer, p.b.byteOffset).getInt32(26, true) === src;
        }),
      );
      return out;
    }
    default:
      return out;
  }
}

/** What two pauses of the script take longer than asked for, µs. */
const STEP_US = 300;
/** How much later than that a step may begin on a busy machine, µs. */
const LATE_US = 600_000;
/** By how much the ends of steps are misjudged at most, µs. */
const HELD_US = 20_000;
/** What a step that only read texts is taken to have lasted, ms. */
const TOOLS_MS = 500;

/** Steps with the same text send packets that look the same. */
const looksLike = (op: TrafficOp): string => [op.op, op.ns, op.sport ?? op.ident ?? op.ip?.id, op.seq].join();

/**
 * When the steps of a recording began and sent, on the model's clock. The first step begins at `originNs`; or, where the
 * recording tells its jiffies (`clock`), when it did, so that everything lies in its jiffy.
 */
export function recordedPace(
  rec: LabRecording,
  topo: LabTopology,
  ms: readonly (number | undefined)[],
  originNs: number,
): LabPace {
  const lasts = (i: number): number =>
    (ms[i] ?? (topo.traffic[i]!.op === "tools" ? TOOLS_MS : 0)) * 1000 +
    (topo.traffic[i]!.settle ?? 0.05) * 1e6 +
    STEP_US;
  // A packet that waits for an ARP shows late, a machine that is busy makes everything later: the step that seems to have
  // begun earliest tells when the first did.
  let due: number | undefined;
  let sum = 0;
  const seen = new Set<string>();
  topo.traffic.forEach((op, i) => {
    // What looks like an earlier step's packet would be found there.
    const key = looksLike(op);
    let t = seen.has(key) ? undefined : stepSends(rec, op, 0, ms[i])[0];
    seen.add(key);
    // Before the first step nobody has anything to send, so that its ARP request tells as well.
    if (i === 0) t = rec.begun(op.ns ?? "") ?? t;
    if (t !== undefined) due = earlier(due, t - sum);
    sum += lasts(i);
  });
  if (due === undefined) return { steps: topo.traffic.map(() => ({})) };
  const first = due;
  const starts: number[] = [];
  // True behind a step of unknown length, until something is seen to be sent.
  let unknown = false;
  let known = due;
  const guessed: boolean[] = [];
  /** Behind what was found so far of steps that look alike, and may have waited for an ARP answer, µs. */
  const after = new Map<string, number>();
  const sends = topo.traffic.map((op, i) => {
    if (i > 0 && ms[i - 1] === undefined) unknown = true;
    const key = looksLike(op);
    const from = Math.max(unknown ? known : due! - LATE_US, after.get(key) ?? 0);
    const s = stepSends(rec, op, from, ms[i]);
    for (const us of s) if (us !== undefined) after.set(key, Math.max(after.get(key) ?? 0, us + ARP_US));
    // It sent nothing that shows, or only what waited for an ARP that failed: it began when the one before had ended.
    if (s[0] !== undefined && !unknown && s[0] - due! > LATE_US) s.length = 0;
    if (s[0] !== undefined) {
      unknown = false;
      known = s[0];
    }
    guessed.push(unknown);
    starts.push(s[0] ?? due!);
    due = starts[i]! + lasts(i);
    return s;
  });
  for (let i = starts.length - 2; i >= 0; i--) {
    const latest = starts[i + 1]! - lasts(i);
    // What it sent was held up, or it came after a step of unknown length: it ended when the next one began.
    if (starts[i]! > latest + HELD_US || (guessed[i] && !guessed[i + 1])) {
      starts[i] = latest;
      if (sends[i]![0] !== undefined) sends[i]![0] = latest;
    }
  }
  const zero = topo.clock?.jiffy0_us ?? first - originNs / 1000;
  const ns = (us: number | undefined): number | undefined =>
    us === undefined ? undefined : Math.round((us - zero) * 1000);
  return {
    steps: starts.map((s, i) => ({ atNs: ns(s)!, sends: sends[i]!.map(ns) })),
    ...(rec.lastUs > 0 ? { endNs: ns(rec.lastUs)! } : {}),
  };
}

/** Half of TCP_INIT_CWND. */
const HALF_INIT_CWND = 5;

/** What the captures tell of it. */
interface TsoSegs {
  client?: number;
  server?: number;
}

/**
 * How many segments each side of a recorded connection put into one packet: those up to the first PSH, when more data
 * followed. Seen on the client's devices, where what was lost on the way is missing.
 */
export function recordedBurst(rec: LabRecording, op: TrafficOp): TsoSegs {
  const found: TsoSegs = {};
  for (const frames of rec.frames(op.ns ?? "")) {
    const ways = new Map<
      boolean,
      { begin: number; mss: number; end: number; pushed: boolean; done: boolean }
    >();
    for (const f of frames) {
      const p = innermostIpv4(f);
      if (p === null || !hasL4(p, 6) || p.b.length < p.l4 + 20) continue;
      const mine = u16(p.b, p.l4) === op.sport;
      if (!mine && u16(p.b, p.l4 + 2) !== op.sport) continue;
      const seq = i32(p.b, p.l4 + 4);
      const flags = p.b[p.l4 + 13]!;
      const first = (seq + 1) | 0;
      if ((flags & 2) !== 0) ways.set(mine, { begin: first, mss: 0, end: first, pushed: false, done: false });
      const len = p.len - (p.b[p.l4 + 12]! >> 4) * 4;
      const w = ways.get(mine);
      if (w === undefined || len <= 0 || w.done) continue;
      if (w.pushed) {
        // New data right behind a PSH: the packet before it was as long as it could be. (Other data is sent again.)
        if (seq !== w.end) continue;
        w.done = true;
        const n = w.mss === 0 ? 0 : Math.ceil(((w.end - w.begin) | 0) / w.mss);
        // Half the first window (tcp_cwnd_test) says nothing of what a later packet may carry.
        if (n > 1 && n < HALF_INIT_CWND) found[mine ? "client" : "server"] ??= n;
        continue;
      }
      w.mss = Math.max(w.mss, len);
      w.end = (seq + len) | 0;
      w.pushed = (flags & 8) !== 0;
    }
  }
  return found;
}

/**
 * Initial sequence numbers of a recorded connection, which crafted segments of the lab may refer to. `nth`: how many
 * steps before came from the same port of the same namespace, each with a SYN of its own.
 */
export function recordedIsn(
  rec: LabRecording,
  op: TrafficOp,
  nth: number,
): { client?: number; server?: number } {
  const out: { client?: number; server?: number } = {};
  for (const frames of rec.frames(op.ns ?? "")) {
    let seen = -1;
    let last: number | undefined;
    for (const f of frames) {
      const p = innermostIpv4(f);
      if (p === null || !hasL4(p, 6) || p.b.length < p.l4 + 20) continue;
      const flags = p.b[p.l4 + 13]! & 0x3f;
      const seq = i32(p.b, p.l4 + 4);
      if (flags === 2 && u16(p.b, p.l4) === op.sport && seq !== last) {
        last = seq;
        seen++;
        if (seen === nth) out.client ??= seq;
      }
      if (seen === nth && flags === 18 && u16(p.b, p.l4 + 2) === op.sport) out.server ??= seq;
    }
  }
  if (out.client === undefined || out.server !== undefined) return out;
  // The answer may have been lost on its way: what it was, the server's devices tell.
  const servers = op.server === undefined ? [] : "ns" in op.server ? [op.server] : op.server;
  for (const { ns } of servers)
    for (const frames of rec.frames(ns))
      for (const f of frames) {
        const p = innermostIpv4(f);
        if (p === null || !hasL4(p, 6) || p.b.length < p.l4 + 20) continue;
        const answers = (p.b[p.l4 + 13]! & 0x3f) === 18 && i32(p.b, p.l4 + 8) === ((out.client + 1) | 0);
        if (answers) out.server ??= i32(p.b, p.l4 + 4);
      }
  return out;
}

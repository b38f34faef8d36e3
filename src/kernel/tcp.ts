// TCP endpoints whose packets look like Linux's (tcp.c, tcp_input.c, tcp_output.c, tcp_timer.c), on the virtual clock.
//
// A send is cut into GSO packets as the kernel does (one per push, PSH on the last segment), all segments of one
// leave before anything that they cause is handled, and while a call works on the socket ("owned by user") segments
// that come in wait in the backlog until the call is done.
//
// What is under way, lost and sent again is the business of tcp_recovery.ts.
//
// Differs from the kernel: no receive buffer tuning (the window only shrinks by what is not read), no urgent data, no
// fast open, no ECN; what differs in congestion control is said there.

import type { Timer } from "../base/clock.js";
import type { Skb } from "../bpf/skb.js";
import { Step } from "../bpf/steps.js";
import { SockName } from "./cgroup.js";
import type { Netns } from "./netns.js";
import { alloc_local_skb } from "./skbuff.js";
import { Mib } from "./snmp.js";
import { IN6ADDR_ANY, Sock } from "./sock.js";
import { ipv4_specific, type TcpAf, type TcpRoute } from "./tcp_af.js";
import { MAX_TSO_SEGS } from "./tcp_cong.js";
import { OutOfOrder } from "./tcp_ofo.js";
import {
  FLAG_DATA,
  FLAG_SND_UNA_ADVANCED,
  FLAG_WIN_UPDATE,
  PUSH_ALL,
  PUSH_PROBE,
  TcpRecovery,
  type TcpSender,
} from "./tcp_recovery.js";
import { fragment, setSegs, type TxSkb, txSkb } from "./tcp_scoreboard.js";
import { after, before } from "./tcp_seq.js";
import { wheelTimer } from "./timer_wheel.js";

export const TCP_ESTABLISHED = 1;
export const TCP_SYN_SENT = 2;
export const TCP_SYN_RECV = 3;
export const TCP_FIN_WAIT1 = 4;
export const TCP_FIN_WAIT2 = 5;
export const TCP_TIME_WAIT = 6;
export const TCP_CLOSE = 7;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LAST_ACK = 9;
export const TCP_LISTEN = 10;
export const TCP_CLOSING = 11;

export const TH_FIN = 1;
export const TH_SYN = 2;
export const TH_RST = 4;
export const TH_PSH = 8;
export const TH_ACK = 16;

const MS = 1e6;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ECONNRESET = 104;
const ETIMEDOUT = 110;
const EPIPE = 32;
const ENOTCONN = 107;
const MAX_QUICKACKS = 16;
const TIMEWAIT_MS = 60_000;
/** Memory that a received segment takes beyond its data (skb->truesize), bytes; from recorded windows. */
const SKB_OVERHEAD = 1092;
const TS_LEN = 12;

const NO_OPTIONS = new Uint8Array(0);

/** What a received segment says, read once. */
export class TcpSegment {
  seq = 0;
  ack = 0;
  flags = 0;
  window = 0;
  end = 0;
  data = new Uint8Array(0);
  tsVal = 0;
  tsEcr = 0;
  hasTs = false;
  mss = 0;
  wscale = -1;
  sackOk = false;
  saddr = 0;
  daddr = 0;
  /** Of an IPv6 segment, 16 bytes each. */
  saddr6: Uint8Array = IN6ADDR_ANY;
  daddr6: Uint8Array = IN6ADDR_ANY;
  sport = 0;
  dport = 0;
  tos = 0;
  ttl = 0;
  id = 0;
  sacks: number[] = [];
  /** gso_segs: segments that this one stands for. */
  segs = 1;
  /** IP options of a reset in answer to it (ip_send_unicast_reply echoes them). */
  ipOptions: Uint8Array = NO_OPTIONS;
  /** sk_txhash of the socket that answers with a reset; 0 = there is none. */
  txhash = 0;

  constructor(readonly af: TcpAf) {}
}

export class TcpSock extends Sock implements TcpSender {
  state = TCP_CLOSE;
  /** tcp_syn_retries of this socket (TCP_SYNCNT). */
  synRetries: number;
  noDelay = false;
  parent: TcpSock | null = null;
  readonly #acceptq: TcpSock[] = [];
  #synq = 0;
  #backlogLimit = 0;
  // send side
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  #writeSeq = 0;
  sndWnd = 0;
  #sndWl1 = 0;
  #sndWscale = 0;
  #queue: TxSkb[] = [];
  /** What is under way. */
  readonly #snd = new TcpRecovery(this);
  mssClamp = 536;
  #mssCache = 536;
  #pmtuCookie = 0;
  #sndSml = 0;
  #minshall = false;
  #finQueued = false;
  // receive side
  irs = 0;
  rcvNxt = 0;
  #rcvWup = 0;
  #rcvWnd = 0;
  #rcvWscale = 0;
  /** What lies beyond a hole. */
  readonly #ofo = new OutOfOrder();
  #rcvQueue: Uint8Array[] = [];
  #rcvQueued = 0;
  #rcvShutdown = false;
  #eofRead = false;
  readonly #rcvbuf: number;
  #rcvMss = 88;
  #rcvSsthresh = 0;
  #scalingRatio = 0;
  // acknowledgements
  #quick = 0;
  #ato = 0;
  #pingpong = false;
  #lrcvNs = 0;
  #ackScheduled = false;
  #ackPushed = 0;
  /** ICSK_ACK_NOW. */
  #ackNow = false;
  #delack: Timer | null = null;
  // SACK compression: duplicates put off, told one by one before that, and rcvNxt of those.
  #compressedAck = 0;
  #dupAcksSent = 0;
  #compressedRcvNxt = 0;
  #compTimer: Timer | null = null;
  // timestamps
  tsOk = false;
  sackOk = false;
  #tsOffset = 0;
  #tsRecent = 0;
  // timers
  #twTimer: Timer | null = null;
  /** icsk_probes_out: probes that nobody answered. */
  #probes = 0;
  /** icsk_backoff of probes. */
  #probeBackoff = 0;
  // ownership
  #owned = 0;
  /** By a call of the application (sock_owned_by_user), not by a segment that is being handled. */
  #byUser = false;
  /** TCP_ACK_DEFERRED: what the backlog has to acknowledge is acknowledged once, at its end. */
  #ackDeferred = false;
  readonly #backlog: TcpSegment[] = [];
  #mtuDeferred = 0;
  #confirm = false;
  /** sk_txhash: random, never 0. */
  #txhash: number;
  #orphan = false;
  /** The walk id that the next packets carry; 0 = each its own. */
  walkId = 0;
  connected = false;
  /** Initial sequence number to use (of the connections of a listener too); null = random. */
  issHint: number | null = null;
  /** Segments that one packet may carry at most; on a slow path tcp_tso_autosize makes it fewer. */
  tsoSegs = MAX_TSO_SEGS;
  /** Called when a connection is ready to be accepted. */
  onAccept: (() => void) | null = null;

  /** `af`: ipv6_specific makes it a socket of IPv6 (and only that: IPV6_V6ONLY). */
  constructor(
    ns: Netns,
    readonly af: TcpAf = ipv4_specific,
  ) {
    super(ns);
    this.synRetries = ns.sysctl.tcp_syn_retries;
    this.#rcvbuf = ns.sysctl.tcp_rmem_default;
    this.#txhash = this.#rndhash();
  }

  /** net_tx_rndhash. */
  #rndhash(): number {
    return this.ns.kernel.prng.nextInt32() | 1;
  }

  // ---- calls of the application ----

  bind(addr: number, port: number): number {
    const t = this.ns.sockets;
    if (addr !== 0 && !this.transparent && !this.ns.fib.isLocalAddr(addr)) return -EADDRNOTAVAIL;
    if (
      port !== 0 &&
      t.tcpListen.get(port)?.some((s) => s.saddr === 0 || addr === 0 || s.saddr === addr) === true
    )
      return -EADDRINUSE;
    this.saddr = addr;
    this.sport = port;
    return 0;
  }

  /** `bind` of an IPv6 socket to every address of the host. */
  bind6(port: number): number {
    if (port !== 0 && this.ns.sockets.tcpListen6.has(port)) return -EADDRINUSE;
    this.sport = port;
    return 0;
  }

  listen(backlog: number): number {
    const t = this.af.listeners(this.ns.sockets);
    this.#backlogLimit = backlog;
    this.state = TCP_LISTEN;
    const l = t.get(this.sport);
    if (l === undefined) t.set(this.sport, [this]);
    else l.push(this);
    return 0;
  }

  /** tcp_v4_connect: sends the SYN; `connected` or `err` tell the outcome. 0 or a negative errno. */
  connect(addr: number, port: number): number {
    const name = new SockName().set(addr, port);
    const refused = this.ns.kernel.cgroup?.connect4(this, 6, name) ?? 0;
    if (refused !== 0) return refused;
    this.daddr = name.ip;
    this.dport = name.port;
    return this.#connect();
  }

  /** tcp_v6_connect: `connect` of an IPv6 socket to 16 bytes of address. */
  connect6(addr: Uint8Array, port: number): number {
    const name = new SockName().set6(addr, port);
    const refused = this.ns.kernel.cgroup?.connect6(this, 6, name) ?? 0;
    if (refused !== 0) return refused;
    this.daddr6 = name.ip6;
    this.dport = name.port;
    return this.#connect();
  }

  #connect(): number {
    const ns = this.ns;
    const { af, dport } = this;
    const rt = af.connect(this);
    if (rt === null) {
      af.noRoute(ns);
      return -af.errno();
    }
    const listeners = af.listeners(ns.sockets);
    const established = af.established(ns.sockets);
    if (this.sport === 0)
      this.sport = ns.sockets.ephemeralPort((p) => listeners.has(p) || established.has((dport << 16) | p));
    // __inet_check_established: only a connection in TIME_WAIT that used timestamps gives way.
    const old = established.get(this.#key())?.find((x) => af.sameAddresses(x, this));
    if (old !== undefined && (old.state !== TCP_TIME_WAIT || !old.tsOk)) return -EADDRNOTAVAIL;
    this.iss = old !== undefined ? (old.sndNxt + 65_537) | 0 : (this.issHint ?? ns.kernel.prng.nextInt32());
    this.#tsOffset = old !== undefined ? old.#tsOffset : ns.kernel.prng.nextInt32();
    if (old !== undefined) {
      this.#tsRecent = old.#tsRecent;
      old.#done();
    }
    this.ipId = ns.kernel.prng.nextInt32() & 0xffff;
    this.sndUna = this.iss;
    this.sndNxt = (this.iss + 1) | 0;
    this.#writeSeq = this.sndNxt;
    this.tsOk = ns.sysctl.tcp_timestamps !== 0;
    this.sackOk = ns.sysctl.tcp_sack !== 0;
    this.#rcvWscale = ns.sysctl.tcp_window_scaling !== 0 ? this.#wscale() : -1;
    const advmss = this.#advmss(rt);
    this.#rcvWnd = initialWindow(advmss);
    this.#pmtuCookie = af.mtu(this, rt);
    this.state = TCP_SYN_SENT;
    this.#hash();
    ns.mib[Mib.TcpActiveOpens]!++;
    this.#enter();
    this.#sendSyn();
    this.#snd.armRetrans();
    this.#leave();
    return 0;
  }

  acceptable(): boolean {
    return this.#acceptq.length > 0;
  }

  accept(): TcpSock | null {
    return this.#acceptq.shift() ?? null;
  }

  /** tcp_sendmsg: takes what fits into the send buffer. Number of bytes or a negative errno. */
  send(data: Uint8Array, walkId = 0): number {
    if (this.err !== 0) return -this.takeError();
    if (this.#finQueued || (this.state !== TCP_ESTABLISHED && this.state !== TCP_CLOSE_WAIT))
      return this.state === TCP_SYN_SENT || this.state === TCP_SYN_RECV
        ? -11
        : this.state === TCP_CLOSE && !this.connected
          ? -ENOTCONN
          : -EPIPE;
    if (walkId !== 0) this.walkId = walkId;
    const room = 2_500_000 - ((this.#writeSeq - this.sndUna) | 0);
    const n = Math.min(room, data.length);
    if (n <= 0) return -11;
    this.#enter();
    let off = 0;
    while (off < n) {
      // Data joins the last unsent packet while that has room.
      const tail = this.#queue[this.#queue.length - 1];
      const goal = this.#sizeGoal();
      if (tail !== undefined && !tail.fin && tail.data.length < goal) {
        const take = Math.min(goal - tail.data.length, n - off);
        const joined = new Uint8Array(tail.data.length + take);
        joined.set(tail.data);
        joined.set(data.subarray(off, off + take), tail.data.length);
        tail.data = joined;
        tail.end = (tail.end + take) | 0;
        off += take;
      } else {
        const take = Math.min(goal, n - off);
        this.#queue.push(txSkb(this.#writeSeq, data.slice(off, off + take)));
        off += take;
      }
      this.#writeSeq = this.#queue[this.#queue.length - 1]!.end;
    }
    const last = this.#queue[this.#queue.length - 1];
    if (last !== undefined) last.psh = true;
    this.push();
    this.#leave();
    return n;
  }

  #sizeGoal(): number {
    const mss = this.currentMss();
    return Math.max(mss, Math.floor(65000 / mss) * mss);
  }

  readable(): boolean {
    return this.#rcvQueued > 0 || this.#rcvShutdown;
  }

  writable(): boolean {
    return ((this.#writeSeq - this.sndUna) | 0) < 2_500_000;
  }

  /** tcp_recvmsg: at most `max` bytes; empty when nothing is there or at the end. */
  recv(max: number): Uint8Array {
    this.#enter();
    const r = this.#take(max);
    const n = r.length;
    this.#rcvQueued -= n;
    if (n === 0 && this.#rcvShutdown) this.#eofRead = true;
    this.#cleanupRbuf(n);
    this.#leave();
    return r;
  }

  /** At most `max` bytes off the receive queue. One segment read as a whole, the usual case, is not copied again. */
  #take(max: number): Uint8Array {
    const queue = this.#rcvQueue;
    if (queue.length === 1 && queue[0]!.length <= max) return queue.pop()!;
    const r = new Uint8Array(Math.min(max, this.#rcvQueued));
    let n = 0;
    while (n < r.length) {
      const b = queue[0]!;
      const part = b.length <= r.length - n ? b : b.subarray(0, r.length - n);
      r.set(part, n);
      n += part.length;
      if (part === b) queue.shift();
      else queue[0] = b.subarray(part.length);
    }
    return r;
  }

  /** tcp_cleanup_rbuf: reading may be the moment to acknowledge. */
  #cleanupRbuf(copied: number): void {
    if (this.state === TCP_CLOSE || this.state === TCP_LISTEN) return;
    let now = false;
    if (this.#ackScheduled) {
      if (
        ((this.rcvNxt - this.#rcvWup) | 0) > this.#rcvMss ||
        (copied > 0 &&
          (this.#ackPushed > 1 || (this.#ackPushed > 0 && !this.#pingpong)) &&
          this.#rcvQueued === 0)
      )
        now = true;
    }
    if (copied > 0 && !now && !this.#rcvShutdown) {
      const win = this.#receiveWindow();
      if (2 * win <= this.#windowClamp()) {
        const nw = this.#selectWindow();
        if (nw !== 0 && nw >= 2 * win) now = true;
      }
    }
    if (now) this.#sendAck();
  }

  /** shutdown(SHUT_WR): FIN behind everything that was written. */
  shutdown(): void {
    this.#enter();
    if (this.state === TCP_ESTABLISHED || this.state === TCP_SYN_RECV) this.#closeWith(TCP_FIN_WAIT1);
    else if (this.state === TCP_CLOSE_WAIT) this.#closeWith(TCP_LAST_ACK);
    this.#leave();
  }

  #closeWith(next: number): void {
    this.state = next;
    this.#queueFin();
  }

  #queueFin(): void {
    if (this.#finQueued) return;
    this.#finQueued = true;
    const tail = this.#queue[this.#queue.length - 1];
    if (tail !== undefined) {
      tail.fin = true;
      tail.end = (tail.end + 1) | 0;
    } else {
      const s = txSkb(this.#writeSeq, EMPTY);
      s.fin = true;
      s.end = (s.end + 1) | 0;
      this.#queue.push(s);
    }
    this.#writeSeq = (this.#writeSeq + 1) | 0;
    this.push();
  }

  /** close(): FIN, or RST when data was not read. */
  close(): void {
    if (this.#orphan) return;
    if (this.state === TCP_LISTEN) {
      const t = this.af.listeners(this.ns.sockets);
      const l = t.get(this.sport);
      if (l !== undefined) {
        const at = l.indexOf(this);
        if (at >= 0) l.splice(at, 1);
        if (l.length === 0) t.delete(this.sport);
      }
      for (const c of this.#acceptq) c.abort();
      this.#acceptq.length = 0;
      this.state = TCP_CLOSE;
      this.closed = true;
      return;
    }
    this.#orphan = true;
    this.closed = true;
    this.#enter();
    if (this.state === TCP_SYN_SENT) this.#done();
    else if (this.#rcvQueued > 0 && this.state !== TCP_CLOSE) {
      this.#sendReset();
      this.#done();
    } else if (this.state === TCP_ESTABLISHED || this.state === TCP_SYN_RECV) this.#closeWith(TCP_FIN_WAIT1);
    else if (this.state === TCP_CLOSE_WAIT) this.#closeWith(TCP_LAST_ACK);
    else if (this.state === TCP_FIN_WAIT2) this.#timeWait(this.ns.sysctl.tcp_fin_timeout * 1000, false);
    this.#leave();
  }

  /** close() with SO_LINGER 0: RST at once. */
  abort(): void {
    if (this.state === TCP_LISTEN) {
      this.close();
      return;
    }
    this.#orphan = true;
    this.closed = true;
    this.#enter();
    if (this.state !== TCP_CLOSE && this.state !== TCP_SYN_SENT && this.state !== TCP_TIME_WAIT)
      this.#sendReset();
    this.#done();
    this.#leave();
  }

  // ---- ownership ----

  #enter(): void {
    if (this.#owned++ === 0) this.#byUser = true;
  }

  /** release_sock: what came in meanwhile, then what was put off. */
  #leave(): void {
    if (this.#owned > 1) {
      this.#owned--;
      return;
    }
    for (;;) {
      const s = this.#backlog.shift();
      if (s === undefined) break;
      this.#receive(s);
    }
    this.#owned = 0;
    this.#byUser = false;
    if (this.#ackDeferred) {
      this.#ackDeferred = false;
      if (this.#ackScheduled) this.#sendAck();
    }
    if (this.#mtuDeferred !== 0) {
      const m = this.#mtuDeferred;
      this.#mtuDeferred = 0;
      this.#mtuReduced(m);
    }
  }

  // ---- tables ----

  #key(): number {
    return (this.dport << 16) | this.sport;
  }

  #hash(): void {
    const t = this.af.established(this.ns.sockets);
    const l = t.get(this.#key());
    if (l === undefined) t.set(this.#key(), [this]);
    else l.push(this);
  }

  #unhash(): void {
    const t = this.af.established(this.ns.sockets);
    const l = t.get(this.#key());
    if (l === undefined) return;
    const at = l.indexOf(this);
    if (at >= 0) l.splice(at, 1);
    if (l.length === 0) t.delete(this.#key());
  }

  /** tcp_done. */
  #done(): void {
    if (this.state === TCP_SYN_RECV && this.parent !== null) this.parent.#synq--;
    this.state = TCP_CLOSE;
    this.#unhash();
    this.#snd.clear();
    this.#stopAckTimers();
    this.#twTimer?.cancel();
    this.#queue = [];
    this.#rcvShutdown = true;
    this.ns.kernel.cgroup?.release(this, 6);
    this.onEvent?.();
  }

  #fail(errno: number): void {
    this.err = errno;
    this.#done();
  }

  #timeWait(ms: number, tw = true): void {
    if (tw) this.state = TCP_TIME_WAIT;
    this.#snd.stopTimer();
    this.#stopAckTimers();
    this.#twTimer?.cancel();
    this.#twTimer = this.ns.kernel.timers.after(ms * MS, () => this.#done());
  }

  // ---- sizes ----

  #wscale(): number {
    let space = Math.max(this.#rcvbuf >> 1, this.ns.sysctl.tcp_rmem_max);
    let w = 0;
    while (space > 65535 && w < 14) {
      space >>= 1;
      w++;
    }
    return w;
  }

  #advmss(rt: TcpRoute): number {
    const { af } = this;
    const told = af.advmss(rt);
    const m = told !== 0 ? told : af.mtu(this, rt) - 20 - af.netHeaderLen;
    return Math.min(Math.max(m, this.ns.sysctl.min_adv_mss), 65495);
  }

  /** tcp_current_mss: the MSS without options, less the timestamp option. */
  currentMss(): number {
    const rt = this.af.route(this);
    if (rt !== null) {
      const mtu = this.af.mtu(this, rt);
      if (mtu !== this.#pmtuCookie) this.#syncMss(mtu);
    }
    // SACK blocks, which not every packet has, take room from the data.
    const blocks = this.sackOk ? Math.min(this.#ofo.told, this.tsOk ? 3 : 4) : 0;
    return blocks === 0 ? this.#mssCache : this.#mssCache - 4 - 8 * blocks;
  }

  /** tcp_sync_mss. */
  #syncMss(mtu: number): void {
    this.#pmtuCookie = mtu;
    const m = Math.min(mtu - 20 - this.af.netHeaderLen, this.mssClamp);
    this.#mssCache = Math.max(m, 48) - (this.tsOk ? TS_LEN : 0);
  }

  #windowClamp(): number {
    return this.#rcvbuf;
  }

  /** tcp_receive_window: what is left of the window last told. */
  #receiveWindow(): number {
    const w = (this.#rcvWup + this.#rcvWnd - this.rcvNxt) | 0;
    return w < 0 ? 0 : w;
  }

  /** __tcp_select_window. */
  #selectWindow(): number {
    const free = Math.max(0, (this.#rcvbuf >> 1) - this.#rcvQueued);
    const full = this.#rcvbuf >> 1;
    const mss = Math.min(this.#rcvMss, full);
    if (free < full >> 1 && (free < full >> 4 || free < mss)) return 0;
    const ws = Math.max(0, this.#rcvWscale);
    if (ws > 0) {
      const g = 1 << ws;
      return Math.ceil(free / g) * g;
    }
    return Math.min(Math.max(this.#receiveWindow(), free), 65535);
  }

  /** The timestamp of a segment sent at `ns`: milliseconds, from an offset of the connection's own. */
  tsAt(ns: number): number {
    return (Math.floor(ns / MS) + this.#tsOffset) | 0;
  }

  // ---- transmission ----

  /** __tcp_transmit_skb of one segment, complete with IP (ip_queue_xmit). */
  #xmit(
    seq: number,
    flags: number,
    data: Uint8Array,
    from: number,
    len: number,
    noId = false,
    gsoSize = 0,
  ): number {
    const ns = this.ns;
    const { af } = this;
    const rt = af.route(this);
    if (rt === null) {
      ns.mib[Mib.IpOutNoRoutes]!++;
      return -af.errno();
    }
    const syn = (flags & TH_SYN) !== 0;
    const skb = alloc_local_skb(ns);
    if (this.walkId !== 0) skb.id = this.walkId;
    const h = skb.data;
    const b0 = syn || !this.sackOk || this.#ofo.told === 0 ? NO_BLOCKS : this.#ofo.edges(this.tsOk ? 3 : 4);
    let optLen = 0;
    if (syn) {
      optLen = 4;
      if (this.tsOk) optLen += 12;
      else if (this.sackOk) optLen += 4;
      if (this.#rcvWscale >= 0) optLen += 4;
    } else if ((flags & TH_RST) === 0 || this.tsOk) {
      if (this.tsOk) optLen += 12;
      if (b0.length > 0) optLen += 4 + 4 * b0.length;
    }
    skb.ensure(h + 20 + optLen + len);
    skb.tail = h + 20 + optLen + len;
    const b = skb.bytes;
    const v = skb.view;
    v.setUint16(h, this.sport, false);
    v.setUint16(h + 2, this.dport, false);
    v.setInt32(h + 4, seq, false);
    v.setInt32(h + 8, (flags & TH_ACK) !== 0 ? this.rcvNxt : 0, false);
    b[h + 12] = ((20 + optLen) / 4) << 4;
    b[h + 13] = flags;
    let win: number;
    if (syn) win = Math.min(this.#rcvWnd, 65535);
    else if ((flags & TH_RST) !== 0) win = 0;
    else {
      // tcp_select_window: never shrinks what was told.
      const cur = this.#receiveWindow();
      let nw = this.#selectWindow();
      const ws = Math.max(0, this.#rcvWscale);
      if (nw < cur) nw = Math.ceil(cur / (1 << ws)) << ws;
      this.#rcvWnd = nw;
      this.#rcvWup = this.rcvNxt;
      win = Math.min(nw >> ws, 65535);
    }
    v.setUint16(h + 14, win, false);
    v.setUint16(h + 16, 0, false);
    v.setUint16(h + 18, 0, false);
    let o = h + 20;
    if (syn) {
      b[o] = 2;
      b[o + 1] = 4;
      v.setUint16(o + 2, this.#advmss(rt), false);
      o += 4;
      if (this.tsOk) {
        b[o] = this.sackOk ? 4 : 1;
        b[o + 1] = this.sackOk ? 2 : 1;
        o = this.#putTs(skb, o + 2, flags);
      } else if (this.sackOk) {
        b[o] = 1;
        b[o + 1] = 1;
        b[o + 2] = 4;
        b[o + 3] = 2;
        o += 4;
      }
      if (this.#rcvWscale >= 0) {
        b[o] = 1;
        b[o + 1] = 3;
        b[o + 2] = 3;
        b[o + 3] = this.#rcvWscale;
        o += 4;
      }
    } else if (optLen > 0) {
      if (this.tsOk) {
        b[o] = 1;
        b[o + 1] = 1;
        o = this.#putTs(skb, o + 2, flags);
      }
      if (b0.length > 0) {
        b[o] = 1;
        b[o + 1] = 1;
        b[o + 2] = 5;
        b[o + 3] = 2 + 4 * b0.length;
        o += 4;
        for (const s of b0) {
          v.setInt32(o, s, false);
          o += 4;
        }
      }
    }
    for (let i = 0; i < len; i++) b[o + i] = data[from + i]!;
    skb.gsoSize = gsoSize;
    // skb_set_hash_from_sk: tunnels on this machine take their source port from it.
    skb.hash = this.#txhash;
    af.header(this, skb, h, rt, noId, gsoSize > 0 ? Math.ceil(len / gsoSize) : 1);
    skb.sk = this;
    skb.mark = this.mark;
    skb.priority = this.priority;
    if (this.#confirm) {
      skb.dstConfirm = true;
      this.#confirm = false;
    }
    if ((flags & TH_ACK) !== 0) this.#ackSent();
    ns.mib[Mib.TcpOutSegs]!++;
    if (ns.recorder !== null) ns.recorder.step(Step.ORIGIN, skb, this, 6, 0, 0);
    return af.output(ns, skb);
  }

  #putTs(skb: Skb, o: number, flags: number): number {
    skb.bytes[o] = 8;
    skb.bytes[o + 1] = 10;
    skb.view.setInt32(o + 2, this.tsAt(this.ns.kernel.clock.ns), false);
    skb.view.setInt32(o + 6, (flags & TH_ACK) !== 0 ? this.#tsRecent : 0, false);
    return o + 10;
  }

  #sendSyn(): void {
    this.#snd.synSent();
    this.#xmit(this.iss, TH_SYN, EMPTY, 0, 0);
  }

  #sendSynAck(): void {
    this.#snd.synSent();
    this.#xmit(this.iss, TH_SYN | TH_ACK, EMPTY, 0, 0, true);
  }

  /** tcp_rtx_synack; the timer of the request starts anew. */
  #rtxSynAck(): void {
    this.#txhash = this.#rndhash();
    this.ns.mib[Mib.TcpRetransSegs]!++;
    this.#sendSynAck();
    this.#snd.armRequest();
  }

  /** tcp_send_ack. */
  #sendAck(): void {
    if (this.state === TCP_CLOSE) return;
    this.#xmit(this.sndNxt, TH_ACK, EMPTY, 0, 0);
  }

  #sendReset(): void {
    this.ns.mib[Mib.TcpOutRsts]!++;
    this.#xmit(this.sndNxt, TH_RST | TH_ACK, EMPTY, 0, 0);
  }

  /** tcp_event_ack_sent. */
  #ackSent(): void {
    if (this.#quick > 0) this.#quick--;
    this.#ackScheduled = false;
    this.#ackPushed = 0;
    this.#compressedAck = 0;
    this.#stopAckTimers();
  }

  #stopAckTimers(): void {
    this.#delack?.cancel();
    this.#delack = null;
    this.#compTimer?.cancel();
    this.#compTimer = null;
  }

  windowEnd(): number {
    return (this.sndUna + this.sndWnd) | 0;
  }

  sendHead(): TxSkb | undefined {
    return this.#queue[0];
  }

  /** Whether Nagle keeps a small packet back: until the acknowledgement of an earlier small one. */
  #nagle(partial: boolean): boolean {
    return (
      partial &&
      !this.noDelay &&
      this.#snd.out.packetsOut > 0 &&
      this.#minshall &&
      after(this.#sndSml, this.sndUna)
    );
  }

  /** tcp_grow_skb: the head of the send queue fills up to `len` bytes from the packet behind it. */
  #growHead(s: TxSkb, len: number): void {
    const next = this.#queue[1];
    const room = Math.min(len - s.data.length, next?.data.length ?? 0);
    if (next === undefined || room <= 0) return;
    const joined = new Uint8Array(s.data.length + room);
    joined.set(s.data);
    joined.set(next.data.subarray(0, room), s.data.length);
    s.data = joined;
    next.data = next.data.subarray(room);
    next.seq = (next.seq + room) | 0;
    if (next.data.length > 0) {
      s.end = next.seq;
      return;
    }
    s.end = next.end;
    s.fin ||= next.fin;
    s.psh ||= next.psh;
    this.#queue.splice(1, 1);
  }

  /** tcp_write_xmit. */
  push(how = PUSH_ALL, nagleOff = false): boolean {
    const mss = this.currentMss();
    const probe = how === PUSH_PROBE;
    const snd = this.#snd;
    snd.refresh();
    let sent = 0;
    while (this.#queue.length > 0) {
      const s = this.#queue[0]!;
      // tcp_cwnd_test: half the window at most, so that two packets are under way. A loss probe goes in any case.
      const { cwnd } = snd.cong;
      let quota = Math.min(Math.max(cwnd >> 1, 1), cwnd - snd.out.inFlight());
      if (quota <= 0) {
        if (!probe) break;
        quota = 1;
      }
      const wnd = (this.windowEnd() - s.seq) | 0;
      const most = Math.min(quota, snd.tsoSegs(mss)) * mss;
      if (!probe) this.#growHead(s, most);
      const len = s.data.length;
      // tcp_snd_wnd_test: a segment must fit, or all there is.
      if (Math.min(len, mss) > wnd) break;
      const last = this.#queue.length === 1;
      let limit = len;
      if (len <= mss) {
        if (last && !s.fin && !nagleOff && this.#nagle(len < mss)) break;
      } else {
        if (!probe && snd.tsoShouldDefer(s, wnd, last, this.sndWnd, mss)) break;
        // tcp_mss_split_point.
        const needed = Math.min(len, wnd);
        if (most <= needed || (!last && most <= wnd)) limit = Math.min(len, most);
        else limit = !nagleOff && this.#nagle(needed % mss !== 0) ? needed - (needed % mss) : needed;
      }
      if (limit < len) this.#queue.splice(1, 0, fragment(s, limit, mss));
      this.#eventDataSent(s);
      setSegs(s, mss);
      // What the stack itself refuses stays where it is.
      if (this.transmit(s) < 0) break;
      this.#queue.shift();
      this.sndNxt = s.end;
      if (s.data.length > 0 && s.data.length % mss !== 0) {
        this.#sndSml = s.end;
        this.#minshall = true;
      }
      snd.newDataSent(s);
      sent += s.pcount;
      if (probe) break;
    }
    snd.pushed(sent, probe);
    if (sent === 0 && this.#queue.length > 0) snd.armProbe0(0);
    return sent > 0;
  }

  /** Sends one packet, a GSO one when it is longer than a segment; the device cuts it. 0 or a negative errno. */
  transmit(s: TxSkb): number {
    const len = s.data.length;
    let fl = TH_ACK;
    // A GSO packet is always pushed, so that the receiver's GRO hands it on without waiting.
    if (len > s.mss || (s.psh && len > 0)) fl |= TH_PSH;
    if (s.fin) fl |= TH_FIN;
    return this.#xmit(s.seq, fl, s.data, 0, len, false, len > s.mss ? s.mss : 0);
  }

  /** tcp_event_data_sent: answering soon after receiving makes the connection interactive. */
  #eventDataSent(s: TxSkb): void {
    if (s.data.length === 0) return;
    const now = this.ns.kernel.clock.ns;
    if (this.#ato > 0 && now - this.#lrcvNs < this.#ato * MS) this.#pingpong = true;
  }

  // ---- timers ----

  /** tcp_retransmit_timer of a connection that is not yet established. */
  handshakeTimer(): boolean {
    const s = this.ns.sysctl;
    const snd = this.#snd;
    if (this.state === TCP_SYN_SENT) {
      if (this.timedOut(snd.retransmits)) return true;
      snd.retransmits++;
      snd.cong.synTimeout(snd.retransmits);
      // The first four SYNs are repeated once a second (tcp_syn_linear_timeouts).
      if (snd.retransmits > s.tcp_syn_linear_timeouts) snd.rtt.backoff();
      this.ns.mib[Mib.TcpRetransSegs]!++;
      this.#sendSyn();
    } else if (this.state === TCP_SYN_RECV) {
      // A request ends with its listener.
      if (snd.retransmits >= s.tcp_synack_retries || this.parent?.state !== TCP_LISTEN) {
        this.#done();
        return true;
      }
      snd.retransmits++;
      snd.rtt.backoff();
      this.#rtxSynAck();
      return true;
    } else return false;
    snd.armRetrans();
    return true;
  }

  /** tcp_write_timeout: gives up after so many retransmissions, else tries another path (sk_rethink_txhash). */
  timedOut(retransmits: number): boolean {
    const limit = this.state === TCP_SYN_SENT ? this.synRetries : this.ns.sysctl.tcp_retries2;
    if (retransmits < limit) {
      this.#txhash = this.#rndhash();
      return false;
    }
    this.#fail(this.err !== 0 ? this.err : ETIMEDOUT);
    return true;
  }

  /** tcp_probe_timer and tcp_send_probe0: data that waits for a window, or for a stack that refused it. */
  probeTimer(): void {
    const s = this.#queue[0];
    if (s === undefined || this.#snd.out.packetsOut > 0) return;
    if (this.#probes >= this.ns.sysctl.tcp_retries2) {
      this.#fail(this.err !== 0 ? this.err : ETIMEDOUT);
      return;
    }
    if (before(s.seq, this.windowEnd()) || s.data.length === 0) {
      // tcp_write_wakeup: one segment, whose data is pushed.
      const len = Math.min(this.currentMss(), (this.windowEnd() - s.seq) | 0);
      if (s.data.length > len) this.#queue.splice(1, 0, fragment(s, len, this.currentMss()));
      s.psh = true;
      if (this.push(PUSH_PROBE, true)) {
        this.#probes = 0;
        this.#probeBackoff = 0;
        return;
      }
    } else {
      // A zero window probe: an acknowledgement with an old number.
      this.#xmit((this.sndUna - 1) | 0, TH_ACK, EMPTY, 0, 0);
    }
    this.#probes++;
    this.#probeBackoff++;
    this.#snd.armProbe0(this.#probeBackoff);
  }

  /** tcp_ack_probe: what now fits into the window is sent at once; should that fail, probes begin anew. */
  #ackProbe(): void {
    const s = this.#queue[0];
    if (s === undefined) return;
    this.#snd.stopTimer();
    if (after(s.end, this.windowEnd())) this.#snd.armProbe0(this.#probeBackoff);
    else this.#probeBackoff = 0;
  }

  /** tcp_send_delayed_ack. */
  #scheduleDelack(): void {
    if (this.#delack !== null) return;
    const now = this.ns.kernel.clock.ns;
    // No longer than a round trip, where that is known.
    const ato = Math.max(40, Math.min(this.#ato, this.#snd.rtt.srtt > 0 ? this.#snd.rtt.srtt : 200));
    this.#delack = wheelTimer(this.ns.kernel.timers, now + ato * MS, () => {
      this.#delack = null;
      if (!this.#ackScheduled || this.state === TCP_CLOSE) return;
      const w = this.ns.kernel.world;
      // It ran out: wait longer next time, and the connection is not interactive any more.
      if (!this.#pingpong) this.#ato = Math.min(this.#ato * 2, this.#snd.rtt.rto);
      else {
        this.#pingpong = false;
        this.#ato = 40;
      }
      w.enter();
      this.#sendAck();
      w.leave();
    });
  }

  // ---- reception ----

  /** A segment for this socket (tcp_v4_rcv found it). */
  segment(s: TcpSegment): void {
    if (this.#owned > 0) {
      const tail = this.#backlog[this.#backlog.length - 1];
      if (!this.#byUser || tail === undefined || !coalesce(tail, s)) this.#backlog.push(s);
      return;
    }
    this.#owned = 1;
    this.#receive(s);
    this.#leave();
  }

  #receive(s: TcpSegment): void {
    switch (this.state) {
      case TCP_CLOSE:
        tcp_send_reset(this.ns, s);
        return;
      case TCP_LISTEN:
        this.#listenRcv(s);
        return;
      case TCP_SYN_SENT:
        this.#synSentRcv(s);
        return;
      case TCP_TIME_WAIT:
        this.#timeWaitRcv(s);
        return;
      default:
        this.#stateRcv(s);
    }
  }

  /** tcp_conn_request. */
  #listenRcv(s: TcpSegment): void {
    if ((s.flags & TH_RST) !== 0) return;
    if ((s.flags & TH_ACK) !== 0) {
      tcp_send_reset(this.ns, s);
      return;
    }
    if ((s.flags & TH_SYN) === 0 || (s.flags & TH_FIN) !== 0) return;
    if (this.#acceptq.length > this.#backlogLimit || this.#synq > 1024) return;
    const ns = this.ns;
    const { af } = this;
    const c = new TcpSock(ns, af);
    c.parent = this;
    c.saddr = s.daddr;
    c.saddr6 = s.daddr6;
    c.sport = s.dport;
    c.daddr = s.saddr;
    c.daddr6 = s.saddr6;
    c.dport = s.sport;
    c.pmtudisc = this.pmtudisc;
    c.ttl = this.ttl;
    c.mark = this.mark;
    c.priority = this.priority;
    c.boundIf = this.boundIf;
    c.transparent = this.transparent;
    c.tsoSegs = this.tsoSegs;
    const rt = af.route(c);
    if (rt === null) return;
    c.irs = s.seq;
    c.rcvNxt = (s.seq + 1) | 0;
    c.#rcvWup = c.rcvNxt;
    c.iss = this.issHint ?? ns.kernel.prng.nextInt32();
    c.#tsOffset = ns.kernel.prng.nextInt32();
    c.ipId = ns.kernel.prng.nextInt32() & 0xffff;
    c.sndUna = c.iss;
    c.sndNxt = (c.iss + 1) | 0;
    c.#writeSeq = c.sndNxt;
    c.tsOk = s.hasTs && ns.sysctl.tcp_timestamps !== 0;
    c.sackOk = s.sackOk && ns.sysctl.tcp_sack !== 0;
    c.#tsRecent = s.tsVal;
    if (s.wscale >= 0 && ns.sysctl.tcp_window_scaling !== 0) {
      c.#sndWscale = Math.min(s.wscale, 14);
      c.#rcvWscale = c.#wscale();
    } else c.#rcvWscale = -1;
    c.sndWnd = s.window;
    c.mssClamp = s.mss !== 0 ? s.mss : 536;
    c.#rcvWnd = initialWindow(c.#advmss(rt) - (c.tsOk ? TS_LEN : 0));
    c.#syncMss(af.mtu(c, rt));
    c.state = TCP_SYN_RECV;
    this.#synq++;
    c.#hash();
    c.#sendSynAck();
    c.#snd.armRequest();
  }

  /** tcp_rcv_synsent_state_process. */
  #synSentRcv(s: TcpSegment): void {
    const ns = this.ns;
    if ((s.flags & TH_ACK) !== 0) {
      if (s.ack !== this.sndNxt) {
        if ((s.flags & TH_RST) === 0) tcp_send_reset(ns, s);
        return;
      }
      if ((s.flags & TH_RST) !== 0) {
        ns.mib[Mib.TcpAttemptFails]!++;
        this.#fail(111);
        return;
      }
      if ((s.flags & TH_SYN) === 0) return;
      this.#snd.stopTimer();
      this.#snd.handshakeRtt(s);
      this.irs = s.seq;
      this.rcvNxt = (s.seq + 1) | 0;
      this.#rcvWup = this.rcvNxt;
      this.sndUna = s.ack;
      this.tsOk = this.tsOk && s.hasTs;
      this.sackOk = this.sackOk && s.sackOk;
      if (s.hasTs) this.#tsRecent = s.tsVal;
      if (s.wscale >= 0 && this.#rcvWscale >= 0) this.#sndWscale = Math.min(s.wscale, 14);
      else {
        this.#sndWscale = 0;
        this.#rcvWscale = -1;
      }
      this.sndWnd = s.window;
      this.#sndWl1 = s.seq;
      this.mssClamp = s.mss !== 0 ? s.mss : 536;
      const rt = this.af.route(this);
      this.#syncMss(rt === null ? 1500 : this.af.mtu(this, rt));
      this.state = TCP_ESTABLISHED;
      this.connected = true;
      this.#lrcvNs = ns.kernel.clock.ns;
      this.#confirm = true;
      this.#sendAck();
      this.onEvent?.();
      return;
    }
    // Simultaneous open is not modelled: a bare SYN is ignored.
  }

  #timeWaitRcv(s: TcpSegment): void {
    if ((s.flags & TH_RST) !== 0) {
      this.#done();
      return;
    }
    if ((s.flags & TH_SYN) !== 0 && after(s.seq, this.rcvNxt)) {
      this.#done();
      const l = tcp_listener(this.ns, s.daddr, s.dport, 0);
      if (l !== null) l.segment(s);
      return;
    }
    if (s.end !== s.seq || (s.flags & TH_FIN) !== 0) {
      this.#timeWait(TIMEWAIT_MS);
      // tcp_v4_timewait_ack: no socket counts its packets any more.
      this.#xmit(this.sndNxt, TH_ACK, EMPTY, 0, 0, true);
    }
  }

  /** tcp_rcv_state_process and tcp_rcv_established. */
  #stateRcv(s: TcpSegment): void {
    const ns = this.ns;
    // PAWS and sequence check (tcp_validate_incoming).
    if (
      this.tsOk &&
      s.hasTs &&
      (s.flags & TH_RST) === 0 &&
      before(s.tsVal, this.#tsRecent) &&
      s.end !== s.seq
    ) {
      this.#sendAck();
      return;
    }
    const wnd = this.#receiveWindow();
    const inWindow = !before(s.end, this.#rcvWup) && !after(s.seq, (this.rcvNxt + wnd) | 0);
    if (!inWindow) {
      if ((s.flags & TH_RST) === 0) {
        if ((s.flags & TH_SYN) !== 0 && this.state === TCP_SYN_RECV && s.seq === this.irs) {
          this.#rtxSynAck();
          return;
        }
        if (s.end !== s.seq && before(s.seq, this.rcvNxt)) this.#dsackOf(s);
        this.#sendAck();
      }
      return;
    }
    if ((s.flags & TH_RST) !== 0) {
      if (s.seq === this.rcvNxt) this.#reset();
      else this.#sendAck();
      return;
    }
    if ((s.flags & TH_SYN) !== 0) {
      // RFC 5961: a challenge.
      if (this.state === TCP_SYN_RECV && s.seq === this.irs) this.#rtxSynAck();
      else this.#sendAck();
      return;
    }
    if ((s.flags & TH_ACK) === 0) return;
    if (this.state === TCP_SYN_RECV) {
      if (s.ack !== this.sndNxt || this.parent?.state !== TCP_LISTEN) {
        if (this.parent?.state !== TCP_LISTEN) this.#done();
        tcp_send_reset(ns, s);
        return;
      }
      this.state = TCP_ESTABLISHED;
      this.connected = true;
      this.sndUna = s.ack;
      this.#snd.stopTimer();
      this.#snd.handshakeRtt(s);
      this.sndWnd = s.window << this.#sndWscale;
      this.#sndWl1 = s.seq;
      this.#lrcvNs = ns.kernel.clock.ns;
      this.#confirm = true;
      ns.mib[Mib.TcpPassiveOpens]!++;
      const p = this.parent;
      if (p !== null) {
        p.#synq--;
        if (p.state === TCP_LISTEN) {
          p.#acceptq.push(this);
          p.onAccept?.();
          p.onEvent?.();
        }
      }
    }
    if (!this.#ack(s)) return;
    if (this.state === TCP_CLOSE || this.state === TCP_TIME_WAIT) return;
    if (s.hasTs && !before(s.tsVal, this.#tsRecent) && !after(s.seq, this.#rcvWup)) this.#tsRecent = s.tsVal;
    const fin = (s.flags & TH_FIN) !== 0 ? 1 : 0;
    if (s.data.length > 0 || fin !== 0) {
      if (
        this.#orphan &&
        (this.state === TCP_FIN_WAIT1 || this.state === TCP_FIN_WAIT2) &&
        after((s.end - fin) | 0, this.rcvNxt)
      ) {
        // Data after close(), or a FIN behind some that is missing: nobody will read it.
        s.txhash = this.#txhash;
        tcp_send_reset(ns, s);
        this.#done();
        return;
      }
      this.#data(s);
    }
    this.push();
    this.#ackSndCheck();
  }

  #reset(): void {
    this.ns.mib[Mib.TcpEstabResets]!++;
    this.#fail(this.state === TCP_CLOSE_WAIT ? EPIPE : ECONNRESET);
  }

  /** tcp_ack. False when the segment goes no further. */
  #ack(s: TcpSegment): boolean {
    const prior = this.sndUna;
    if (after(s.ack, this.sndNxt)) {
      this.#sendAck();
      return false;
    }
    if (before(s.ack, prior)) {
      this.#snd.oldAck(s);
      return true;
    }
    const forward = after(s.ack, prior);
    const idle = this.#snd.out.packetsOut === 0;
    let flag = s.end !== s.seq ? FLAG_DATA : 0;
    // tcp_may_update_window.
    const wnd = s.window << this.#sndWscale;
    if (
      forward ||
      after(s.seq, this.#sndWl1) ||
      (s.seq === this.#sndWl1 && (wnd > this.sndWnd || wnd === 0))
    ) {
      this.sndWnd = wnd;
      this.#sndWl1 = s.seq;
      flag |= FLAG_WIN_UPDATE;
    }
    this.#probes = 0;
    if (forward) {
      flag |= FLAG_SND_UNA_ADVANCED;
      this.sndUna = s.ack;
      this.#snd.retransmits = 0;
    }
    if (this.#snd.ack(s, prior, flag)) this.#confirm = true;
    if (idle) this.#ackProbe();
    if (forward) this.#finAcked();
    if (this.#queue.length > 0 && forward) this.onEvent?.();
    return true;
  }

  /** Our FIN was acknowledged? */
  #finAcked(): void {
    if (!this.#finQueued || this.#queue.length > 0 || this.sndUna !== this.#writeSeq) return;
    switch (this.state) {
      case TCP_FIN_WAIT1:
        this.state = TCP_FIN_WAIT2;
        if (this.#orphan) this.#timeWait(this.ns.sysctl.tcp_fin_timeout * 1000, false);
        break;
      case TCP_CLOSING:
        this.#timeWait(TIMEWAIT_MS);
        break;
      case TCP_LAST_ACK:
        this.#done();
        break;
      default:
        break;
    }
  }

  /** tcp_data_queue. */
  #data(s: TcpSegment): void {
    const fin = (s.flags & TH_FIN) !== 0;
    if (after(s.seq, this.rcvNxt)) {
      this.#measureRcvMss(s.data.length);
      if (this.sackOk) this.#growWindow(s.data.length);
      if (this.#ofo.add({ seq: s.seq, end: s.end, data: s.data, fin }) && this.#compressedAck > 0)
        this.#sendAck();
      this.#ackScheduled = true;
      return;
    }
    if (!after(s.end, this.rcvNxt)) {
      this.#dsackOf(s);
      this.#quick = Math.max(this.#quick, MAX_QUICKACKS);
      this.#pingpong = false;
      this.#ackScheduled = true;
      this.#ackNow = true;
      return;
    }
    const skip = (this.rcvNxt - s.seq) | 0;
    if (skip > 0) this.#dsackOf(s);
    this.#accept(s.seq, s.end, s.data, fin);
    if (s.data.length > 0) this.#eventDataRecv(s.data.length);
    if ((s.flags & TH_PSH) !== 0 && s.data.length > 0) this.#ackPushed++;
    if (this.#ofo.queue.length > 0) {
      this.#ofo.startDrain(this.rcvNxt);
      for (let o = this.#ofo.drain(this.rcvNxt); o !== undefined; o = this.#ofo.drain(this.rcvNxt))
        this.#accept(o.seq, o.end, o.data, o.fin);
      // A gap that is closed is acknowledged at once (RFC 5681, 4.2).
      if (this.#ofo.queue.length === 0) this.#ackNow = true;
      this.#ofo.forget(this.rcvNxt);
    }
    this.onEvent?.();
  }

  /** Takes in what follows rcvNxt, without what was there already. */
  #accept(seq: number, end: number, data: Uint8Array, fin: boolean): void {
    const skip = (this.rcvNxt - seq) | 0;
    this.#queueIn(skip > 0 ? data.subarray(skip) : data);
    this.rcvNxt = end;
    if (fin) this.#fin();
  }

  #queueIn(d: Uint8Array): void {
    if (d.length === 0) return;
    if (this.#orphan) return;
    this.#rcvQueue.push(d);
    this.#rcvQueued += d.length;
  }

  #dsackOf(s: TcpSegment): void {
    if (this.sackOk && s.end !== s.seq)
      this.#ofo.setDsack(s.seq, after(s.end, this.rcvNxt) ? this.rcvNxt : s.end);
  }

  /** tcp_event_data_recv: the delayed acknowledgement engine. */
  #eventDataRecv(len: number): void {
    const now = this.ns.kernel.clock.ns;
    this.#ackScheduled = true;
    this.#measureRcvMss(len);
    if (this.#ato === 0) {
      this.#quick = Math.max(
        2,
        Math.min(MAX_QUICKACKS, Math.floor(this.#rcvWnd / (2 * Math.max(1, this.#rcvMss)))),
      );
      this.#ato = 40;
    } else {
      const m = (now - this.#lrcvNs) / MS;
      if (m <= 20) this.#ato = this.#ato / 2 + 20;
      else if (m < this.#ato) this.#ato = Math.min(this.#ato / 2 + m, this.#snd.rtt.rto);
      else if (m > this.#snd.rtt.rto) this.#quick = Math.max(this.#quick, 2);
    }
    this.#lrcvNs = now;
    if (len >= 128) this.#growWindow(len);
  }

  /** tcp_measure_rcv_mss. */
  #measureRcvMss(len: number): void {
    if (len < this.#rcvMss && this.#rcvMss !== 88) return;
    this.#rcvMss = Math.max(this.#rcvMss, Math.min(len, 1460));
    // What of the receive buffer holds data, in 1/256: the rest is overhead, as much for each segment.
    this.#scalingRatio = Math.floor((256 * len) / (len + SKB_OVERHEAD));
  }

  /**
   * tcp_grow_window. What is told as the window does not follow it (it depends on the machine's memory), but each growth
   * asks for an acknowledgement at once.
   */
  #growWindow(len: number): void {
    if (this.#rcvSsthresh === 0) this.#rcvSsthresh = this.#rcvWnd;
    const room = Math.floor((this.#rcvbuf * this.#scalingRatio) / 256) - this.#rcvSsthresh;
    if (room <= 0) return;
    this.#rcvSsthresh += Math.min(room, 2 * len);
    this.#quick |= 1;
  }

  /** tcp_fin. */
  #fin(): void {
    this.#ackScheduled = true;
    this.#rcvShutdown = true;
    switch (this.state) {
      case TCP_SYN_RECV:
      case TCP_ESTABLISHED:
        this.state = TCP_CLOSE_WAIT;
        this.#pingpong = true;
        break;
      case TCP_FIN_WAIT1:
        this.#sendAck();
        this.state = TCP_CLOSING;
        break;
      case TCP_FIN_WAIT2:
        // Of a closed socket only a timewait one is left by now (tcp_v4_timewait_ack).
        this.#xmit(this.sndNxt, TH_ACK, EMPTY, 0, 0, this.#orphan);
        this.#timeWait(TIMEWAIT_MS);
        break;
      default:
        break;
    }
    this.#ofo.clear();
    this.onEvent?.();
  }

  /** __tcp_ack_snd_check. */
  #ackSndCheck(): void {
    if (!this.#ackScheduled || this.state === TCP_CLOSE || this.state === TCP_TIME_WAIT) return;
    if (
      (((this.rcvNxt - this.#rcvWup) | 0) > this.#rcvMss && this.#selectWindow() >= this.#rcvWnd) ||
      (this.#quick > 0 && !this.#pingpong) ||
      this.#ackNow
    ) {
      this.#ackNow = false;
      if (this.#byUser) this.#ackDeferred = true;
      else this.#sendAck();
    } else if (this.#ofo.queue.length === 0) this.#scheduleDelack();
    else this.#compressAck();
  }

  /** The rest of __tcp_ack_snd_check: after three duplicates those that follow are told together. */
  #compressAck(): void {
    if (!this.sackOk || this.#compressedAck >= this.ns.sysctl.tcp_comp_sack_nr) {
      this.#sendAck();
      return;
    }
    if (this.#compressedRcvNxt !== this.rcvNxt) {
      this.#compressedRcvNxt = this.rcvNxt;
      this.#dupAcksSent = 0;
    }
    if (this.#dupAcksSent < 3) {
      this.#dupAcksSent++;
      this.#sendAck();
      return;
    }
    this.#compressedAck++;
    if (this.#compTimer !== null) return;
    // 5 % of the round trip, which takes no time here: what counts is how long the timer may be late.
    const s = this.ns.sysctl;
    const ns = Math.min(s.tcp_comp_sack_delay_ns, this.#snd.rtt.srtt * (MS / 20)) + s.tcp_comp_sack_slack_ns;
    this.#compTimer = this.ns.kernel.timers.after(ns, () => {
      this.#compTimer = null;
      if (this.#compressedAck === 0 || this.state === TCP_CLOSE) return;
      const w = this.ns.kernel.world;
      w.enter();
      this.#sendAck();
      w.leave();
    });
  }

  /** At the end of the received data? */
  get eof(): boolean {
    return this.#eofRead;
  }

  // ---- errors from the network ----

  /** tcp_v4_err for frag needed. */
  pmtu(mtu: number): void {
    if (this.state === TCP_LISTEN || this.state === TCP_CLOSE) return;
    if (this.#owned > 0) {
      this.#mtuDeferred = mtu;
      return;
    }
    this.#mtuReduced(mtu);
  }

  /** tcp_v4_mtu_reduced and tcp_simple_retransmit. */
  #mtuReduced(mtu: number): void {
    this.af.updatePmtu(this, mtu);
    const rt = this.af.route(this);
    const now = rt === null ? mtu : this.af.mtu(this, rt);
    if (this.pmtudisc === 0 || this.#pmtuCookie <= now) return;
    this.#syncMss(now);
    this.#owned++;
    this.#snd.simpleRetransmit(this.#mssCache);
    this.#leave();
  }

  /** tcp_v4_err for everything else. */
  icmpError(errno: number, fatal: boolean): void {
    if (this.state === TCP_SYN_SENT || this.state === TCP_SYN_RECV) {
      if (this.state === TCP_SYN_SENT) this.ns.mib[Mib.TcpAttemptFails]!++;
      this.#fail(errno);
      return;
    }
    if (fatal && this.recverr) this.#fail(errno);
  }
}

const EMPTY = new Uint8Array(0);
const NO_BLOCKS: readonly number[] = [];

/** tcp_add_backlog: a segment that continues the last one waiting joins it. */
function coalesce(tail: TcpSegment, s: TcpSegment): boolean {
  if (
    tail.end !== s.seq ||
    tail.tos !== s.tos ||
    ((tail.flags | s.flags) & (TH_SYN | TH_RST)) !== 0 ||
    (tail.flags & s.flags & TH_ACK) === 0 ||
    // The options must be the same.
    tail.hasTs !== s.hasTs ||
    tail.tsVal !== s.tsVal ||
    tail.tsEcr !== s.tsEcr ||
    tail.sacks.length !== s.sacks.length ||
    tail.sacks.some((x, i) => x !== s.sacks[i])
  )
    return false;
  if (s.data.length > 0) {
    const both = new Uint8Array(tail.data.length + s.data.length);
    both.set(tail.data);
    both.set(s.data, tail.data.length);
    tail.data = both;
  }
  tail.end = s.end;
  if (!before(s.ack, tail.ack)) {
    tail.ack = s.ack;
    tail.window = s.window;
  }
  tail.flags |= s.flags;
  tail.segs += s.segs;
  return true;
}

/** tcp_select_initial_window: whole segments below 64 KB. */
function initialWindow(mss: number): number {
  return mss > 65535 ? 65535 : Math.floor(65535 / mss) * mss;
}

/** A listening socket for an address and port, or null. */
export function tcp_listener(ns: Netns, daddr: number, dport: number, dif: number): TcpSock | null {
  const l = ns.sockets.tcpListen.get(dport);
  if (l === undefined) return null;
  let best: TcpSock | null = null;
  for (const s of l) {
    if (s.saddr !== 0 && s.saddr !== daddr) continue;
    if (s.boundIf !== 0 && dif !== 0 && s.boundIf !== dif) continue;
    if (best === null || (best.saddr === 0 && s.saddr !== 0)) best = s;
  }
  return best;
}

/** tcp_v4_send_reset, tcp_v6_send_reset: for a segment nobody wants. */
export function tcp_send_reset(ns: Netns, s: TcpSegment): void {
  if ((s.flags & TH_RST) === 0) s.af.sendReset(ns, s);
}

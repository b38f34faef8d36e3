// IPVS connections: the table, TCP and UDP states, timeouts (net/netfilter/ipvs/ip_vs_conn.c, ip_vs_proto_*.c).
//
//   client  caddr:cport   ->  virtual  vaddr:vport   ->  destination  daddr:dport
//
// A connection is found from the client's side by client and virtual address, from the server's side by client and
// destination; both hash the client, so one table does. A template (persistence) has client port 0.

import type { Timer } from "../../base/clock.js";
import type { IpVs } from "./ip_vs.js";
import type { IpVsDest } from "./ip_vs_sched.js";

export const IP_VS_TCP_S_NONE = 0;
export const IP_VS_TCP_S_ESTABLISHED = 1;
export const IP_VS_TCP_S_SYN_SENT = 2;
export const IP_VS_TCP_S_SYN_RECV = 3;
export const IP_VS_TCP_S_FIN_WAIT = 4;
export const IP_VS_TCP_S_TIME_WAIT = 5;
export const IP_VS_TCP_S_CLOSE = 6;
export const IP_VS_TCP_S_CLOSE_WAIT = 7;
export const IP_VS_TCP_S_LAST_ACK = 8;
export const IP_VS_TCP_S_LISTEN = 9;
export const IP_VS_TCP_S_SYNACK = 10;

const TCP_NAMES: readonly string[] = [
  "NONE",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "SYNACK",
];

/** tcp_state_active_table: these count as active connections of a destination. */
const TCP_ACTIVE: readonly boolean[] = [
  false,
  true,
  true,
  true,
  false,
  false,
  false,
  false,
  false,
  false,
  true,
];

// tcp_states[direction][event][state], columns NO ES SS SR FW TW CL CW LA LI SA; events syn, fin, ack, rst.
// biome-ignore format: a table
const TCP_STATES = new Uint8Array([
  /* from the client */ 3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3,
  /*            fin  */ 6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5,
  /*            ack  */ 1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1,
  /*            rst  */ 6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3,
  /* from the server */ 2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3,
  /*            fin  */ 5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5,
  /*            ack  */ 1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1,
  /*            rst  */ 6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6,
]);

export const IP_VS_DIR_INPUT = 0;
export const IP_VS_DIR_OUTPUT = 1;

/** struct ip_vs_conn. Addresses are Be32, ports host order. */
export class IpVsConn {
  next: IpVsConn | null = null;
  state = 0;
  /** Seconds that a packet keeps it. */
  timeout = 3;
  /** When it ends, ms modulo 2^32. */
  deadline = 0;
  /** Counted as inactive at its destination. */
  inactive = true;
  /** Packets hang on to conntrack's entry (IP_VS_CONN_F_NFCT). */
  nfct: boolean;
  /** The template that made it. */
  control: IpVsConn | null = null;
  /** Connections that a template made. */
  nControl = 0;
  /** A template some of whose connections was established. */
  assured = false;
  dead = false;
  inPkts = 0;

  constructor(
    readonly id: number,
    readonly proto: number,
    readonly caddr: number,
    readonly cport: number,
    readonly vaddr: number,
    readonly vport: number,
    readonly daddr: number,
    readonly dport: number,
    readonly dest: IpVsDest,
    readonly template: boolean,
    nfct: boolean,
  ) {
    this.nfct = nfct;
  }

  /** As `ipvsadm -lnc` prints the state. */
  get stateName(): string {
    if (this.template) return this.assured ? "ASSURED" : "NONE";
    if (this.proto === 6) return TCP_NAMES[this.state]!;
    if (this.proto === 17) return this.state === 1 ? "UDP" : "NONE";
    return "NONE";
  }
}

/** The connection table of a namespace. */
export class IpVsConnTable {
  #buckets: (IpVsConn | null)[] = new Array<IpVsConn | null>(256).fill(null);
  #mask = 255;
  count = 0;
  #nextId = 1;
  #timer: Timer | null = null;
  readonly #at = new Float64Array([Number.POSITIVE_INFINITY]);

  constructor(readonly ipvs: IpVs) {}

  get now(): number {
    return Math.floor(this.ipvs.ns.kernel.clock.ns / 1e6) | 0;
  }

  #hash(proto: number, addr: number, port: number): number {
    let h = Math.imul(addr ^ this.ipvs.ns.hashSecret, 0x9e3779b1);
    h = Math.imul(h ^ (h >>> 15) ^ ((port << 8) | proto), 0x85ebca77);
    return (h ^ (h >>> 13)) & this.#mask;
  }

  /** ip_vs_conn_in_get: of a packet from the client. */
  findIn(proto: number, caddr: number, cport: number, vaddr: number, vport: number): IpVsConn | null {
    let c = this.#buckets[this.#hash(proto, caddr, cport)]!;
    while (c !== null) {
      if (
        c.cport === cport &&
        c.vport === vport &&
        c.caddr === caddr &&
        c.vaddr === vaddr &&
        c.proto === proto &&
        !c.template &&
        this.#alive(c)
      )
        return c;
      c = c.next!;
    }
    return null;
  }

  /** ip_vs_conn_out_get: of a packet from the server to the client. */
  findOut(proto: number, caddr: number, cport: number, daddr: number, dport: number): IpVsConn | null {
    let c = this.#buckets[this.#hash(proto, caddr, cport)]!;
    while (c !== null) {
      if (
        c.cport === cport &&
        c.dport === dport &&
        c.caddr === caddr &&
        c.daddr === daddr &&
        c.proto === proto &&
        !c.template &&
        this.#alive(c)
      )
        return c;
      c = c.next!;
    }
    return null;
  }

  /** ip_vs_ct_in_get: the template of a client. */
  findTemplate(proto: number, caddr: number, vaddr: number, vport: number): IpVsConn | null {
    let c = this.#buckets[this.#hash(proto, caddr, 0)]!;
    while (c !== null) {
      if (
        c.template &&
        c.caddr === caddr &&
        c.vaddr === vaddr &&
        c.vport === vport &&
        c.proto === proto &&
        this.#alive(c)
      )
        return c;
      c = c.next!;
    }
    return null;
  }

  #alive(c: IpVsConn): boolean {
    return ((c.deadline - this.now) | 0) > 0 || c.nControl > 0;
  }

  /** ip_vs_conn_new. */
  add(
    proto: number,
    caddr: number,
    cport: number,
    vaddr: number,
    vport: number,
    dest: IpVsDest,
    dport: number,
    template: boolean,
  ): IpVsConn {
    // An entry of the same client and service whose time is over makes room.
    const id = this.#nextId++;
    const c = new IpVsConn(
      id,
      proto,
      caddr,
      cport,
      vaddr,
      vport,
      dest.addr,
      dport,
      dest,
      template,
      this.ipvs.sysctl.conntrack !== 0,
    );
    if (this.count * 2 >= this.#mask) this.#grow();
    const b = this.#hash(proto, caddr, cport);
    c.next = this.#buckets[b]!;
    this.#buckets[b] = c;
    this.count++;
    if (template) dest.persistconns++;
    else dest.inactconns++;
    dest.checkUpper();
    return c;
  }

  #grow(): void {
    const old = this.#buckets;
    this.#mask = old.length * 2 - 1;
    this.#buckets = new Array<IpVsConn | null>(old.length * 2).fill(null);
    for (const first of old) {
      let c = first;
      while (c !== null) {
        const next: IpVsConn | null = c.next;
        const b = this.#hash(c.proto, c.caddr, c.cport);
        c.next = this.#buckets[b]!;
        this.#buckets[b] = c;
        c = next;
      }
    }
  }

  /** ip_vs_conn_put: the timer starts anew. */
  touch(c: IpVsConn): void {
    const ms = c.timeout * 1000;
    c.deadline = (this.now + ms) | 0;
    this.#arm(ms);
  }

  #arm(ms: number): void {
    const clock = this.ipvs.ns.kernel.clock;
    const at = Math.ceil((clock.ns / 1e6 + ms) / 100) * 100;
    if (at >= this.#at[0]!) return;
    this.#timer?.cancel();
    this.#at[0] = at;
    this.#timer = this.ipvs.ns.kernel.timers.at(at * 1e6, this.#run);
  }

  readonly #run = (): void => {
    this.#timer = null;
    this.#at[0] = Number.POSITIVE_INFINITY;
    const now = this.now;
    const dead: IpVsConn[] = [];
    let next = 0x7fffffff;
    for (const c of this.entries()) {
      const left = (c.deadline - now) | 0;
      if (left <= 0) dead.push(c);
      else if (left < next) next = left;
    }
    dead.sort((a, b) => a.id - b.id);
    // Connections before the template that controls them.
    for (const c of dead) if (!c.template) this.expire(c);
    for (const c of dead) {
      if (!c.template) continue;
      if (c.nControl > 0) {
        c.deadline = (now + 60_000) | 0;
        if (next > 60_000) next = 60_000;
      } else this.expire(c);
    }
    if (this.count > 0 && next !== 0x7fffffff) this.#arm(next);
  };

  /** ip_vs_conn_expire: out of the table; its conntrack entry goes with it. */
  expire(c: IpVsConn): void {
    if (c.dead) return;
    c.dead = true;
    const b = this.#hash(c.proto, c.caddr, c.cport);
    let p: IpVsConn | null = this.#buckets[b]!;
    if (p === c) this.#buckets[b] = c.next;
    else {
      while (p !== null && p.next !== c) p = p.next;
      if (p !== null) p.next = c.next;
    }
    c.next = null;
    this.count--;
    if (c.control !== null) c.control.nControl--;
    const d = c.dest;
    if (c.template) d.persistconns--;
    else if (c.inactive) d.inactconns--;
    else d.activeconns--;
    d.checkLower();
    if (c.nfct && !c.template) this.ipvs.dropConntrack(c);
  }

  *entries(): Generator<IpVsConn> {
    for (const first of this.#buckets) for (let c = first; c !== null; c = c.next) yield c;
  }

  /** Deletes all that `pred` picks. */
  flush(pred: (c: IpVsConn) => boolean): void {
    const list = [...this.entries()].filter(pred).sort((a, b) => a.id - b.id);
    for (const c of list) if (!c.template) this.expire(c);
    for (const c of list) if (c.template && c.nControl === 0) this.expire(c);
  }

  // ---- states ----

  /** ip_vs_set_state. `off` is the L4 header. */
  setState(c: IpVsConn, dir: number, flags: number): void {
    const to = this.ipvs.timeouts;
    if (c.proto === 17) {
      c.state = 1;
      c.timeout = to.udp;
      if (dir === IP_VS_DIR_OUTPUT && c.control !== null) c.control.assured = true;
      return;
    }
    if (c.proto !== 6) {
      c.timeout = 300;
      return;
    }
    let ev = -1;
    if ((flags & 4) !== 0) ev = 3;
    else if ((flags & 2) !== 0) ev = 0;
    else if ((flags & 1) !== 0) ev = 1;
    else if ((flags & 16) !== 0) ev = 2;
    let s = IP_VS_TCP_S_CLOSE;
    if (ev >= 0) s = TCP_STATES[dir * 44 + ev * 11 + c.state]!;
    if (s !== c.state) {
      const active = TCP_ACTIVE[s]!;
      if (!c.inactive && !active) {
        c.dest.activeconns--;
        c.dest.inactconns++;
        c.inactive = true;
      } else if (c.inactive && active) {
        c.dest.activeconns++;
        c.dest.inactconns--;
        c.inactive = false;
      }
      if (s === IP_VS_TCP_S_ESTABLISHED && c.control !== null) c.control.assured = true;
    }
    c.state = s;
    c.timeout = to.tcp[s]!;
  }
}

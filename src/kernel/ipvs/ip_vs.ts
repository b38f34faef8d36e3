// IP virtual server: the hooks, scheduling of new connections, masquerade mode (net/netfilter/ipvs/ip_vs_core.c and
// ip_vs_xmit.c).
//
//   INPUT   98 reply  99 request      FORWARD  99 ICMP in  100 reply      OUTPUT  -99 reply  -98 request
//
// A request is found in INPUT (or OUTPUT), gets its new destination and route and goes out through OUTPUT and
// POSTROUTING; a reply is changed back in FORWARD (or OUTPUT, from a backend on this host).
//
// Differs from the kernel: only IPv4 and masquerade mode send packets on (tunnel and direct routing are refused when
// a server is added); no synchronisation daemon, no ftp application, no drop strategies; SCTP ports are rewritten
// without state tracking.

import type { Skb } from "../../bpf/skb.js";
import { Step } from "../../bpf/steps.js";
import { bswap16 } from "../../net/view.js";
import { csum_fold, csum_partial, ip_send_check } from "../csum.js";
import type { NetDevice } from "../device.js";
import { NETFILTER_DROP, NOT_SPECIFIED } from "../drop_reason.js";
import {
  ICMP_DEST_UNREACH,
  ICMP_FRAG_NEEDED,
  ICMP_PORT_UNREACH,
  ICMP_TIME_EXCEEDED,
  icmp_link_failure,
  icmp_send,
} from "../icmp.js";
import { ip_output, ip_route_me_harder } from "../ip_output.js";
import {
  IP_CT_UNTRACKED,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_STOLEN,
  NfHook,
  type NfState,
  nf_hook,
} from "../netfilter/hooks.js";
import { IPS_CONFIRMED, IPS_DYING, IPS_TEMPLATE, type NfConn, NfTuple } from "../netfilter/nf_conntrack.js";
import { csumReplace2, csumReplace4 } from "../netfilter/nf_nat.js";
import { formatIpv4 } from "../netfilter/text.js";
import { xtNet } from "../netfilter/xtables.js";
import type { Netns } from "../netns.js";
import { dst_mtu, flowOut, ip_route_output_flow, isLoopback, RTCF_LOCAL, type Rtable } from "../route.js";
import { IPSKB_IGNORE_DF, kfree_skb_reason } from "../skbuff.js";
import { Mib } from "../snmp.js";
import {
  IP_VS_DIR_INPUT,
  IP_VS_DIR_OUTPUT,
  IP_VS_TCP_S_FIN_WAIT,
  IP_VS_TCP_S_TIME_WAIT,
  type IpVsConn,
  IpVsConnTable,
} from "./ip_vs_conn.js";
import { IpVsDest, type IpVsService } from "./ip_vs_sched.js";

/** net.ipv4.vs.*. */
export class IpVsSysctl {
  conntrack = 0;
  conn_reuse_mode = 1;
  expire_nodest_conn = 0;
  expire_quiescent_template = 0;
  nat_icmp_send = 0;
  snat_reroute = 1;
  sloppy_tcp = 0;
  sloppy_sctp = 0;
  pmtu_disc = 1;
  cache_bypass = 0;
  drop_entry = 0;
  drop_packet = 0;
  secure_tcp = 0;
  am_droprate = 10;
  amemthresh = 1024;
  schedule_icmp = 0;
  ignore_tunneled = 0;
  backup_only = 0;
}

/** Timeouts in seconds; `tcp` by state. */
export class IpVsTimeouts {
  readonly tcp: number[] = [2, 900, 120, 60, 120, 120, 10, 60, 30, 120, 120];
  udp = 300;
}

/** IP_VS_DEST_TRASH_PERIOD. */
const DEST_TRASH_MS = 120_000;

/** What conn_schedule decided. */
const SCHED_NONE = 0;
const SCHED_CONN = 1;
const SCHED_VERDICT = 2;

/** What becomes of a SYN for a known connection. */
const REUSE_STAY = 0;
const REUSE_NEW = 1;
const REUSE_DROP = 2;

const scratchTuple = new NfTuple();

export class IpVs {
  readonly sysctl = new IpVsSysctl();
  readonly timeouts = new IpVsTimeouts();
  /** By (protocol, address, port); services of a firewall mark have protocol 0. */
  readonly services = new Map<string, IpVsService>();
  readonly conns: IpVsConnTable;
  readonly ns: Netns;
  /** Lines for the kernel log. */
  readonly log: string[] = [];
  #registered = false;
  #trash: IpVsDest[] = [];
  /** Services by packed key, for packets. */
  #byAddr = new Map<number, IpVsService[]>();
  #byMark = new Map<number, IpVsService>();

  constructor(readonly nf: NfState) {
    this.ns = nf.ns;
    this.conns = new IpVsConnTable(this);
  }

  // ---- services ----

  static key(proto: number, addr: number, port: number, fwmark: number): string {
    return fwmark !== 0 ? `mark ${fwmark}` : `${proto} ${addr} ${port}`;
  }

  addService(s: IpVsService): void {
    this.#register();
    const key = IpVs.key(s.proto, s.addr, s.port, s.fwmark);
    const known = this.services.has(key);
    this.services.set(key, s);
    if (known) this.#index();
    else this.#indexOne(s);
  }

  removeService(s: IpVsService): void {
    for (const d of [...s.dests]) this.removeDest(s, d);
    this.services.delete(IpVs.key(s.proto, s.addr, s.port, s.fwmark));
    this.#index();
  }

  /** __ip_vs_del_dest: connections of the server end at once with expire_nodest_conn. */
  removeDest(s: IpVsService, d: IpVsDest): void {
    s.removeDest(d);
    d.available = false;
    if (this.sysctl.expire_nodest_conn !== 0) this.conns.flush((c) => c.dest === d);
    d.removedAt = this.ns.kernel.clock.ns / 1e6;
    this.#trash = this.#trash.filter((t) => this.#kept(t));
    this.#trash.push(d);
  }

  /** Removed destinations stay for two minutes, and as long as connections hang on to them. */
  #kept(d: IpVsDest): boolean {
    return (
      d.activeconns + d.inactconns + d.persistconns > 0 ||
      this.ns.kernel.clock.ns / 1e6 - d.removedAt < DEST_TRASH_MS
    );
  }

  /** ip_vs_trash_get_dest: what comes back has its old connections and counters. */
  addDest(s: IpVsService, addr: number, port: number, weight: number, forward: string): IpVsDest {
    const at = this.#trash.findIndex(
      (t) =>
        t.addr === addr &&
        t.port === port &&
        t.svc.proto === s.proto &&
        t.svc.fwmark === s.fwmark &&
        (s.fwmark !== 0 || (t.svc.addr === s.addr && t.svc.port === s.port)) &&
        this.#kept(t),
    );
    let d: IpVsDest;
    if (at < 0) d = new IpVsDest(s, addr, port, weight, forward);
    else {
      d = this.#trash.splice(at, 1)[0]!;
      d.available = true;
      d.weight = weight;
      d.forward = forward;
      if (d.svc !== s) {
        d.svc = s;
        d.stats.zero();
      }
    }
    s.addDest(d);
    return d;
  }

  #index(): void {
    this.#byAddr = new Map();
    this.#byMark = new Map();
    for (const s of this.services.values()) this.#indexOne(s);
  }

  #indexOne(s: IpVsService): void {
    if (s.fwmark !== 0) {
      this.#byMark.set(s.fwmark, s);
      return;
    }
    const l = this.#byAddr.get(s.addr);
    if (l === undefined) this.#byAddr.set(s.addr, [s]);
    else l.push(s);
  }

  /** ip_vs_service_find: by mark, by address and port, then the service for all ports. */
  findService(mark: number, proto: number, addr: number, port: number): IpVsService | null {
    if (mark !== 0 && this.#byMark.size > 0) {
      const s = this.#byMark.get(mark);
      if (s !== undefined) return s;
    }
    const list = this.#byAddr.get(addr);
    if (list === undefined) return null;
    let any: IpVsService | null = null;
    for (let i = 0; i < list.length; i++) {
      const s = list[i]!;
      if (s.proto !== proto) continue;
      if (s.port === port) return s;
      if (s.port === 0) any = s;
    }
    return any;
  }

  #register(): void {
    if (this.#registered) return;
    this.#registered = true;
    const nf = this.nf;
    nf.register(new VsHook("ip_vs_reply", NF_INET_LOCAL_IN, 98, this, false));
    nf.register(new VsHook("ip_vs_remote_request", NF_INET_LOCAL_IN, 99, this, true));
    nf.register(new VsHook("ip_vs_local_reply", NF_INET_LOCAL_OUT, -99, this, false));
    nf.register(new VsHook("ip_vs_local_request", NF_INET_LOCAL_OUT, -98, this, true));
    nf.register(new VsForwardIcmp("ip_vs_forward_icmp", this));
    nf.register(new VsHook("ip_vs_reply", NF_INET_FORWARD, 100, this, false));
    if (this.sysctl.conntrack !== 0) {
      xtNet(this.ns).pinned = true;
      xtNet(this.ns).conntrack();
    }
  }

  // ---- conntrack ----

  /** ip_vs_conn_drop_conntrack. */
  dropConntrack(c: IpVsConn): void {
    const net = this.nf.ct;
    if (net === null) return;
    const t = scratchTuple;
    t.src = c.caddr;
    t.dst = c.vaddr;
    t.sport = c.cport;
    t.dport = c.vport;
    t.proto = c.proto;
    const h = net.find(t, 0);
    if (h !== null) net.kill(h.ct);
  }

  /** ip_vs_update_conntrack: the reply that conntrack waits for comes from the backend. */
  #updateConntrack(skb: Skb, c: IpVsConn, request: boolean): void {
    const ct = skb.nfct as NfConn | null;
    if (ct === null || (ct.status & (IPS_CONFIRMED | IPS_DYING | IPS_TEMPLATE)) !== 0) return;
    if (skb.nfctinfo >= 3) return;
    if (request) {
      ct.reply.src = c.daddr;
      if (ct.orig.proto !== 1) ct.reply.sport = c.dport;
    } else {
      ct.reply.dst = c.vaddr;
      if (ct.orig.proto !== 1) ct.reply.dport = c.vport;
    }
  }

  /** What every packet of a connection gets before it goes on. */
  #mark(skb: Skb, c: IpVsConn, request: boolean): void {
    skb.ipvsProperty = true;
    if (!c.nfct) {
      // ip_vs_notrack
      skb.nfct = null;
      skb.nfctinfo = IP_CT_UNTRACKED;
    } else this.#updateConntrack(skb, c, request);
  }

  // ---- requests ----

  /** ip_vs_in_hook. */
  in(skb: Skb, hook: number): number {
    if (skb.ipvsProperty) return NF_ACCEPT;
    if ((skb.pktType !== 0 && hook !== NF_INET_LOCAL_OUT) || skb.dst === null) return NF_ACCEPT;
    const n = skb.data;
    const v = skb.view;
    const proto = v.getUint8(n + 9);
    const off = n + ((v.getUint8(n) & 15) << 2);
    if (proto === 1) return this.inIcmp(skb, hook);
    if (proto !== 6 && proto !== 17 && proto !== 132) return NF_ACCEPT;
    if ((v.getUint16(n + 6, false) & 0x1fff) !== 0 || off + 8 > skb.tail) return NF_ACCEPT;
    const saddr = v.getInt32(n + 12, true);
    const daddr = v.getInt32(n + 16, true);
    const sport = v.getUint16(off, false);
    const dport = v.getUint16(off + 2, false);
    let c = this.conns.findIn(proto, saddr, sport, daddr, dport);
    if (c !== null) {
      const flags = proto === 6 && off + 14 <= skb.tail ? v.getUint8(off + 13) : 0;
      if (proto === 6 && (flags & 2) !== 0) {
        const reuse = this.#reuse(c, skb);
        if (reuse === REUSE_DROP) return NF_DROP;
        if (reuse === REUSE_NEW) c = null;
      }
    }
    if (c !== null && !c.dest.available) {
      if (this.sysctl.expire_nodest_conn === 0) return NF_DROP;
      const old = this.#usesOldConntrack(c, skb);
      if (!old) c.nfct = false;
      this.conns.expire(c);
      if (old) return NF_DROP;
      c = null;
    }
    const fresh = c === null;
    if (c === null) {
      const r = this.#schedule(skb, proto, off, saddr, sport, daddr, dport);
      if (r === SCHED_NONE) return NF_ACCEPT;
      if (r === SCHED_VERDICT) return this.#verdict;
      c = this.#scheduled!;
    }
    const rec = this.ns.recorder;
    if (rec !== null) rec.step(Step.IPVS, skb, c, fresh ? 1 : 0, 0, 0);
    this.#inStats(c, skb);
    this.conns.setState(c, IP_VS_DIR_INPUT, proto === 6 && off + 14 <= skb.tail ? v.getUint8(off + 13) : 0);
    c.inPkts++;
    // The answer may be here before the transmission returns: the timer runs before it, not after.
    this.conns.touch(c);
    return this.#natXmit(skb, c, off);
  }

  #verdict = 0;
  #scheduled: IpVsConn | null = null;

  /**
   * A SYN for a known connection: it stays with it, or goes to a new one. While conntrack still knows the old one the
   * packet is dropped: the sender's next copy finds both gone.
   */
  #reuse(c: IpVsConn, skb: Skb): number {
    const s = this.sysctl;
    let resched = false;
    let old = false;
    if (s.expire_nodest_conn !== 0 && c.dest.weight === 0) {
      resched = true;
      old = this.#usesOldConntrack(c, skb);
    } else if (
      s.conn_reuse_mode !== 0 &&
      (c.state === IP_VS_TCP_S_TIME_WAIT ||
        ((s.conn_reuse_mode & 2) !== 0 && c.state === IP_VS_TCP_S_FIN_WAIT))
    ) {
      old = this.#usesOldConntrack(c, skb);
      resched = c.nControl === 0 ? true : !old;
    }
    if (!resched) return REUSE_STAY;
    if (!old) c.nfct = false;
    if (c.nControl === 0) this.conns.expire(c);
    return old ? REUSE_DROP : REUSE_NEW;
  }

  /** ip_vs_conn_uses_old_conntrack. */
  #usesOldConntrack(c: IpVsConn, skb: Skb): boolean {
    if (!c.nfct) return false;
    const ct = skb.nfct as NfConn | null;
    return ct !== null && (ct.status & IPS_CONFIRMED) !== 0;
  }

  /** conn_schedule, ip_vs_schedule and ip_vs_leave. */
  #schedule(
    skb: Skb,
    proto: number,
    off: number,
    saddr: number,
    sport: number,
    daddr: number,
    dport: number,
  ): number {
    if (proto === 6) {
      if (off + 14 > skb.tail) {
        this.#verdict = NF_DROP;
        return SCHED_VERDICT;
      }
      const flags = skb.view.getUint8(off + 13);
      if ((flags & 4) !== 0 || ((flags & 2) === 0 && this.sysctl.sloppy_tcp === 0)) return SCHED_NONE;
    }
    const svc = this.findService(skb.mark, proto, daddr, dport);
    if (svc === null) return SCHED_NONE;
    const c =
      svc.persistent > 0
        ? this.#schedPersist(svc, proto, saddr, sport, daddr, dport)
        : this.#schedPlain(svc, proto, saddr, sport, daddr, dport);
    if (c !== null) {
      svc.stats.conns++;
      c.dest.stats.conns++;
      this.#scheduled = c;
      return SCHED_CONN;
    }
    this.log.push(
      `IPVS: ${svc.scheduler.name}: ${svc.fwmark !== 0 ? `FWM ${svc.fwmark} 0x${svc.fwmark.toString(16)}` : `${proto === 6 ? "TCP" : proto === 17 ? "UDP" : "SCTP"} ${formatIpv4(svc.addr)}:${svc.port}`} - no destination available`,
    );
    icmp_send(this.ns, skb, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
    this.#verdict = NF_DROP;
    return SCHED_VERDICT;
  }

  #schedPlain(
    svc: IpVsService,
    proto: number,
    saddr: number,
    sport: number,
    daddr: number,
    dport: number,
  ): IpVsConn | null {
    if (svc.fwmark === 0 && dport !== svc.port) return null;
    const dest = svc.scheduler.schedule(saddr);
    if (dest === null) return null;
    return this.conns.add(
      proto,
      saddr,
      sport,
      daddr,
      dport,
      dest,
      dest.port !== 0 ? dest.port : dport,
      false,
    );
  }

  /** ip_vs_sched_persist. */
  #schedPersist(
    svc: IpVsService,
    proto: number,
    saddr: number,
    sport: number,
    daddr: number,
    dport: number,
  ): IpVsConn | null {
    const snet = saddr & svc.netmask;
    const own = dport === svc.port && svc.fwmark === 0;
    const tproto = svc.fwmark !== 0 ? 0 : proto;
    const taddr = svc.fwmark !== 0 ? svc.fwmark : daddr;
    const tport = own ? dport : 0;
    let t = this.conns.findTemplate(tproto, snet, taddr, tport);
    if (
      t !== null &&
      (!t.dest.available || (this.sysctl.expire_quiescent_template !== 0 && t.dest.weight === 0))
    ) {
      // ip_vs_check_template: its server is gone.
      t.nControl = 0;
      this.conns.expire(t);
      t = null;
    }
    let dest: IpVsDest;
    if (t === null) {
      const d = svc.scheduler.schedule(saddr);
      if (d === null) return null;
      dest = d;
      t = this.conns.add(tproto, snet, 0, taddr, tport, dest, own ? dest.port : 0, true);
      t.timeout = svc.persistent;
    } else dest = t.dest;
    const port = dport === svc.port && dest.port !== 0 ? dest.port : dport;
    const c = this.conns.add(proto, saddr, sport, daddr, dport, dest, port, false);
    c.control = t;
    t.nControl++;
    this.conns.touch(t);
    return c;
  }

  #inStats(c: IpVsConn, skb: Skb): void {
    const len = skb.tail - skb.data;
    const d = c.dest.stats;
    d.inpkts++;
    d.inbytes += len;
    const s = c.dest.svc.stats;
    s.inpkts++;
    s.inbytes += len;
  }

  #outStats(c: IpVsConn, skb: Skb): void {
    const len = skb.tail - skb.data;
    const d = c.dest.stats;
    d.outpkts++;
    d.outbytes += len;
    const s = c.dest.svc.stats;
    s.outpkts++;
    s.outbytes += len;
  }

  /**
   * __ip_vs_get_out_rt for masquerade mode: 1 = the backend is this host, 0 = skb.dst is its route and the TTL is
   * one less, -1 = the packet cannot go there (the sender was told).
   */
  #outRoute(skb: Skb, c: IpVsConn, icmp: boolean): number {
    const ns = this.ns;
    const f = flowOut(ns);
    f.daddr = c.daddr;
    const rt = ip_route_output_flow(ns, f);
    if (rt === null) {
      icmp_link_failure(ns, skb);
      return -1;
    }
    if ((rt.rt_flags & RTCF_LOCAL) !== 0) return 1;
    const n = skb.data;
    const b = skb.bytes;
    // crosses_local_route_boundary: 127/8 does not leave the host.
    if (isLoopback(skb.view.getInt32(n + 12, true))) return -1;
    const ttl = b[n + 8]!;
    if (ttl <= 1) {
      ns.mib[Mib.IpInHdrErrors]!++;
      icmp_send(ns, skb, ICMP_TIME_EXCEEDED, 0, 0);
      return -1;
    }
    // ip_decrease_ttl
    let check = ((b[n + 10]! << 8) | b[n + 11]!) + 0x0100;
    check += check >= 0xffff ? 1 : 0;
    b[n + 10] = check >> 8;
    b[n + 11] = check;
    b[n + 8] = ttl - 1;
    const mtu = dst_mtu(ns, rt);
    if ((b[n + 6]! & 0x40) !== 0 && skb.tail - n > mtu && skb.gsoSize === 0 && !icmp) {
      icmp_send(ns, skb, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu);
      return -1;
    }
    skb.dst = rt;
    return 0;
  }

  /** ip_vs_nat_xmit. */
  #natXmit(skb: Skb, c: IpVsConn, off: number): number {
    const local = this.#outRoute(skb, c, false);
    if (local < 0) {
      kfree_skb_reason(this.ns, skb, NOT_SPECIFIED);
      return NF_STOLEN;
    }
    this.#rewrite(skb, off, false, c.vaddr, c.daddr, c.dport);
    skb.view.setInt32(skb.data + 16, c.daddr, true);
    ip_send_check(skb, skb.data);
    skb.ipcb |= IPSKB_IGNORE_DF;
    return this.#sendOrContinue(skb, c, local);
  }

  /** Changes the port and the L4 checksum for an address that goes from `from` to `to`. */
  #rewrite(skb: Skb, off: number, src: boolean, from: number, to: number, port: number): void {
    const v = skb.view;
    const proto = v.getUint8(skb.data + 9);
    const at = src ? off : off + 2;
    const old = v.getUint16(at, false);
    v.setUint16(at, port, false);
    if (proto === 6) {
      if (off + 20 > skb.tail) return;
      csumReplace4(skb, off + 16, from, to);
      csumReplace2(skb, off + 16, old, port);
    } else if (proto === 17) {
      if (v.getUint16(off + 6, false) !== 0) {
        csumReplace4(skb, off + 6, from, to);
        csumReplace2(skb, off + 6, old, port);
      } else {
        // A datagram without a checksum gets one.
        const len = skb.tail - off;
        const peer = v.getInt32(skb.data + (src ? 16 : 12), true);
        const sum =
          csum_partial(skb.bytes, off, len, 17 + len) +
          bswap16(to) +
          bswap16(to >>> 16) +
          bswap16(peer) +
          bswap16(peer >>> 16);
        v.setUint16(off + 6, csum_fold(sum), false);
      }
      if (v.getUint16(off + 6, false) === 0) v.setUint16(off + 6, 0xffff, false);
    }
  }

  /** ip_vs_nat_send_or_cont. */
  #sendOrContinue(skb: Skb, c: IpVsConn, local: number): number {
    this.#mark(skb, c, true);
    if (local > 0) return NF_ACCEPT;
    const ns = this.ns;
    const rt = skb.dst as Rtable;
    skb.network = skb.data;
    const v = nf_hook(ns, NF_INET_LOCAL_OUT, skb, null, rt.dev);
    if (v === NF_ACCEPT) ip_output(ns, skb);
    else if (v === NF_DROP) kfree_skb_reason(ns, skb, NETFILTER_DROP);
    return NF_STOLEN;
  }

  // ---- replies ----

  /** ip_vs_out_hook. */
  out(skb: Skb, hook: number): number {
    if (skb.ipvsProperty || skb.dst === null) return NF_ACCEPT;
    if (this.conns.count === 0) return NF_ACCEPT;
    const n = skb.data;
    const v = skb.view;
    const proto = v.getUint8(n + 9);
    const off = n + ((v.getUint8(n) & 15) << 2);
    if (proto === 1) return this.#outIcmp(skb, hook);
    if (proto !== 6 && proto !== 17 && proto !== 132) return NF_ACCEPT;
    if ((v.getUint16(n + 6, false) & 0x1fff) !== 0 || off + 8 > skb.tail) return NF_ACCEPT;
    const c = this.conns.findOut(
      proto,
      v.getInt32(n + 16, true),
      v.getUint16(off + 2, false),
      v.getInt32(n + 12, true),
      v.getUint16(off, false),
    );
    if (c === null) return NF_ACCEPT;
    const rec = this.ns.recorder;
    if (rec !== null) rec.step(Step.IPVS, skb, c, 0, 1, 0);
    this.#rewrite(skb, off, true, c.daddr, c.vaddr, c.vport);
    v.setInt32(n + 12, c.vaddr, true);
    ip_send_check(skb, n);
    if (!this.#routeMeHarder(skb, hook)) {
      kfree_skb_reason(this.ns, skb, NOT_SPECIFIED);
      return NF_STOLEN;
    }
    this.#outStats(c, skb);
    this.conns.setState(c, IP_VS_DIR_OUTPUT, proto === 6 && off + 14 <= skb.tail ? v.getUint8(off + 13) : 0);
    this.#mark(skb, c, false);
    this.conns.touch(c);
    return NF_ACCEPT;
  }

  /** ip_vs_route_me_harder: a reply leaves as if it came from the service address. */
  #routeMeHarder(skb: Skb, hook: number): boolean {
    if (hook === NF_INET_LOCAL_IN) return true;
    const rt = skb.dst as Rtable;
    if (this.sysctl.snat_reroute === 0 && (rt.rt_flags & RTCF_LOCAL) === 0) return true;
    skb.network = skb.data;
    return ip_route_me_harder(this.ns, skb) >= 0;
  }

  // ---- ICMP ----

  /** Type, code and quoted packet of an ICMP error about a protocol of ours; offset of the quote, 0 = none. */
  #quoted(skb: Skb): number {
    const v = skb.view;
    const n = skb.data;
    const off = n + ((v.getUint8(n) & 15) << 2);
    if ((v.getUint16(n + 6, false) & 0x1fff) !== 0 || off + 8 > skb.tail) return 0;
    const type = v.getUint8(off);
    if (type !== 3 && type !== 4 && type !== 11) return 0;
    const q = off + 8;
    if (q + 20 > skb.tail) return 0;
    const proto = v.getUint8(q + 9);
    if (proto !== 6 && proto !== 17 && proto !== 132) return 0;
    if ((v.getUint16(q + 6, false) & 0x1fff) !== 0) return 0;
    if (q + ((v.getUint8(q) & 15) << 2) + 4 > skb.tail) return 0;
    return q;
  }

  #icmpSumOk(skb: Skb): boolean {
    const off = skb.data + ((skb.view.getUint8(skb.data) & 15) << 2);
    return csum_fold(csum_partial(skb.bytes, off, skb.tail - off, 0)) === 0;
  }

  /** ip_vs_nat_icmp: outer and quoted addresses, the quoted port, then the sum of the message. */
  #natIcmp(skb: Skb, q: number, c: IpVsConn, reply: boolean): void {
    const v = skb.view;
    const n = skb.data;
    const off = n + ((v.getUint8(n) & 15) << 2);
    const l4 = q + ((v.getUint8(q) & 15) << 2);
    if (reply) {
      v.setInt32(n + 12, c.vaddr, true);
      v.setInt32(q + 16, c.vaddr, true);
      v.setUint16(l4 + 2, c.vport, false);
    } else {
      v.setInt32(n + 16, c.daddr, true);
      v.setInt32(q + 12, c.daddr, true);
      v.setUint16(l4, c.dport, false);
    }
    ip_send_check(skb, n);
    ip_send_check(skb, q);
    v.setUint16(off + 2, 0, false);
    v.setUint16(off + 2, csum_fold(csum_partial(skb.bytes, off, skb.tail - off, 0)), false);
  }

  /** ip_vs_out_icmp: an error about a request, on its way back to the client. */
  #outIcmp(skb: Skb, hook: number): number {
    const q = this.#quoted(skb);
    if (q === 0) return NF_ACCEPT;
    const v = skb.view;
    const l4 = q + ((v.getUint8(q) & 15) << 2);
    const c = this.conns.findOut(
      v.getUint8(q + 9),
      v.getInt32(q + 12, true),
      v.getUint16(l4, false),
      v.getInt32(q + 16, true),
      v.getUint16(l4 + 2, false),
    );
    if (c === null) return NF_ACCEPT;
    if (!this.#icmpSumOk(skb)) return NF_DROP;
    this.#natIcmp(skb, q, c, true);
    if (!this.#routeMeHarder(skb, hook)) return NF_DROP;
    this.#outStats(c, skb);
    this.#mark(skb, c, false);
    return NF_ACCEPT;
  }

  /** ip_vs_in_icmp: an error about a reply, on its way from the client's side to the backend. */
  inIcmp(skb: Skb, hook: number): number {
    if (skb.ipvsProperty) return NF_ACCEPT;
    const q = this.#quoted(skb);
    if (q === 0) return NF_ACCEPT;
    const v = skb.view;
    const l4 = q + ((v.getUint8(q) & 15) << 2);
    const c = this.conns.findIn(
      v.getUint8(q + 9),
      v.getInt32(q + 16, true),
      v.getUint16(l4 + 2, false),
      v.getInt32(q + 12, true),
      v.getUint16(l4, false),
    );
    if (c === null) return NF_ACCEPT;
    if (!this.#icmpSumOk(skb)) return NF_DROP;
    this.#inStats(c, skb);
    const local = this.#outRoute(skb, c, true);
    if (local < 0 || (local > 0 && hook === NF_INET_FORWARD)) {
      kfree_skb_reason(this.ns, skb, NOT_SPECIFIED);
      return NF_STOLEN;
    }
    this.#natIcmp(skb, q, c, false);
    skb.ipcb |= IPSKB_IGNORE_DF;
    return this.#sendOrContinue(skb, c, local);
  }
}

class VsHook extends NfHook {
  constructor(
    name: string,
    hook: number,
    priority: number,
    readonly vs: IpVs,
    readonly request: boolean,
  ) {
    super(name, hook, priority);
  }

  run(skb: Skb, hook: number, _inDev: NetDevice | null, _outDev: NetDevice | null): number {
    return this.request ? this.vs.in(skb, hook) : this.vs.out(skb, hook);
  }
}

class VsForwardIcmp extends NfHook {
  constructor(
    name: string,
    readonly vs: IpVs,
  ) {
    super(name, NF_INET_FORWARD, 99);
  }

  run(skb: Skb, hook: number, _inDev: NetDevice | null, _outDev: NetDevice | null): number {
    if (skb.view.getUint8(skb.data + 9) !== 1) return NF_ACCEPT;
    return this.vs.inIcmp(skb, hook);
  }
}

/** The IPVS state of a namespace, made when it is first wanted; its hooks come with the first service. */
export function ipvsState(nf: NfState): IpVs {
  let vs = nf.ipvs;
  if (vs === null) {
    vs = new IpVs(nf);
    nf.ipvs = vs;
  }
  return vs;
}

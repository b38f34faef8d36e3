// TCP in connection tracking: the state machine and the window check of nf_conntrack_proto_tcp.c.
//
//   state      0 NONE  1 SYN_SENT  2 SYN_RECV  3 ESTABLISHED  4 FIN_WAIT  5 CLOSE_WAIT  6 LAST_ACK
//              7 TIME_WAIT  8 CLOSE  9 SYN_SENT2          10 invalid  11 ignore
//
// Sequence numbers are int32; comparisons are by signed difference, as in the kernel.

import type { Skb } from "../../bpf/skb.js";
import { NF_ACCEPT, NF_DROP, NF_REPEAT } from "./hooks.js";
import {
  IPCT_ASSURED,
  IPCT_PROTOINFO,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_SEEN_REPLY,
  type NfConn,
  type NfConntrack,
} from "./nf_conntrack.js";
import { IPPROTO_TCP, nf_ip_checksum_bad } from "./nf_conntrack_proto.js";

export const TCP_CONNTRACK_NONE = 0;
export const TCP_CONNTRACK_SYN_SENT = 1;
export const TCP_CONNTRACK_SYN_RECV = 2;
export const TCP_CONNTRACK_ESTABLISHED = 3;
export const TCP_CONNTRACK_FIN_WAIT = 4;
export const TCP_CONNTRACK_CLOSE_WAIT = 5;
export const TCP_CONNTRACK_LAST_ACK = 6;
export const TCP_CONNTRACK_TIME_WAIT = 7;
export const TCP_CONNTRACK_CLOSE = 8;
export const TCP_CONNTRACK_SYN_SENT2 = 9;
const TCP_CONNTRACK_MAX = 10;
const TCP_CONNTRACK_IGNORE = 11;

/** Names as `conntrack -L` prints them, by state. */
export const TCP_STATE_NAMES: readonly string[] = [
  "NONE",
  "SYN_SENT",
  "SYN_RECV",
  "ESTABLISHED",
  "FIN_WAIT",
  "CLOSE_WAIT",
  "LAST_ACK",
  "TIME_WAIT",
  "CLOSE",
  "SYN_SENT2",
];

const TIMEOUT_RETRANS = 10;
const TIMEOUT_UNACK = 11;

const TCP_SYN_SET = 0;
const TCP_SYNACK_SET = 1;
const TCP_FIN_SET = 2;
const TCP_ACK_SET = 3;
const TCP_RST_SET = 4;
const TCP_NONE_SET = 5;

const FLAG_WINDOW_SCALE = 1;
const FLAG_SACK_PERM = 2;
const FLAG_CLOSE_INIT = 4;
const FLAG_BE_LIBERAL = 8;
const FLAG_DATA_UNACKNOWLEDGED = 16;
const FLAG_MAXACK_SET = 32;
const EXP_CHALLENGE_ACK = 64;
const SIMULTANEOUS_OPEN = 128;

const MAXACKWINCONST = 66_000;

// tcp_conntracks[dir][index][state]; columns NO SS SR ES FW CW LA TW CL S2.
const IV = TCP_CONNTRACK_MAX;
const IG = TCP_CONNTRACK_IGNORE;
// biome-ignore format: a table
const TCP_CONNTRACKS = new Uint8Array([
  /* original syn    */ 1, 1, IG, IG, IG, IG, IG, 1, 1, 9,
  /*          synack */ IV, IV, 2, IV, IV, IV, IV, IV, IV, 2,
  /*          fin    */ IV, IV, 4, 4, 6, 6, 6, 7, 8, IV,
  /*          ack    */ 3, IV, 3, 3, 5, 5, 7, 7, 8, IV,
  /*          rst    */ IV, 8, 8, 8, 8, 8, 8, 8, 8, 8,
  /*          none   */ IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
  /* reply    syn    */ IV, 9, IV, IV, IV, IV, IV, 1, IV, 9,
  /*          synack */ IV, 2, IG, IG, IG, IG, IG, IG, IG, 2,
  /*          fin    */ IV, IV, 4, 4, 6, 6, 6, 7, 8, IV,
  /*          ack    */ IV, IG, 2, 3, 5, 5, 7, 7, 8, IG,
  /*          rst    */ IV, 8, 8, 8, 8, 8, 8, 8, 8, 8,
  /*          none   */ IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
]);

/** struct ip_ct_tcp_state: what one side was seen to do. */
export class IpCtTcpState {
  td_end = 0;
  td_maxend = 0;
  td_maxwin = 0;
  td_maxack = 0;
  td_scale = 0;
  flags = 0;

  clear(): void {
    this.td_end = 0;
    this.td_maxend = 0;
    this.td_maxwin = 0;
    this.td_maxack = 0;
    this.td_scale = 0;
    this.flags = 0;
  }
}

/** struct ip_ct_tcp. */
export class IpCtTcp {
  readonly seen0 = new IpCtTcpState();
  readonly seen1 = new IpCtTcpState();
  state = 0;
  last_dir = 0;
  retrans = 0;
  last_index = 0;
  last_seq = 0;
  last_ack = 0;
  last_end = 0;
  last_win = 0;
  last_wscale = 0;
  last_flags = 0;
}

function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** segment_seq_plus_len. `flags` is byte 13 of the header. */
function segmentEnd(seq: number, len: number, doff: number, flags: number): number {
  return (seq + len - doff + ((flags & 2) >> 1) + (flags & 1)) | 0;
}

/** tcp_options: window scale and SACK-permitted of a SYN. */
function tcp_options(skb: Skb, off: number, doff: number, st: IpCtTcpState): void {
  if (doff === 20) return;
  st.td_scale = 0;
  st.flags = 0;
  const b = skb.bytes;
  let p = off + 20;
  const end = off + doff;
  while (p < end) {
    const op = b[p]!;
    if (op === 0) return;
    if (op === 1) {
      p++;
      continue;
    }
    if (p + 1 >= end) return;
    const n = b[p + 1]!;
    if (n < 2 || p + n > end) return;
    if (op === 4 && n === 2) st.flags |= FLAG_SACK_PERM;
    else if (op === 3 && n === 3) {
      const s = b[p + 2]!;
      st.td_scale = Math.min(s, 14);
      st.flags |= FLAG_WINDOW_SCALE;
    }
    p += n;
  }
}

/** tcp_sack: the highest right edge of a SACK block, or `ack`. */
function tcp_sack(skb: Skb, off: number, doff: number, ack: number): number {
  let sack = ack;
  const b = skb.bytes;
  let p = off + 20;
  const end = off + doff;
  while (p < end) {
    const op = b[p]!;
    if (op === 0) return sack;
    if (op === 1) {
      p++;
      continue;
    }
    if (p + 1 >= end) return sack;
    const n = b[p + 1]!;
    if (n < 2 || p + n > end) return sack;
    if (op === 5 && n >= 10 && (n - 2) % 8 === 0) {
      for (let i = p + 2; i < p + n; i += 8) {
        const right = skb.view.getInt32(i + 4, false);
        if (after(right, sack)) sack = right;
      }
      return sack;
    }
    p += n;
  }
  return sack;
}

/** tcp_init_sender. */
function tcp_init_sender(
  s: IpCtTcpState,
  r: IpCtTcpState,
  skb: Skb,
  off: number,
  doff: number,
  end: number,
  win: number,
  dir: number,
): void {
  s.td_end = end;
  s.td_maxend = end;
  s.td_maxwin = win === 0 ? 1 : win;
  tcp_options(skb, off, doff, s);
  if (dir === 1 && ((s.flags & FLAG_WINDOW_SCALE) === 0 || (r.flags & FLAG_WINDOW_SCALE) === 0)) {
    s.td_scale = 0;
    r.td_scale = 0;
  }
}

const RES_ACCEPT = 0;
const RES_IGNORE = 1;
const RES_INVALID = 2;

function badWindow(net: NfConntrack, s: IpCtTcpState, res: number): number {
  return (s.flags & FLAG_BE_LIBERAL) !== 0 || net.sysctl.tcp_be_liberal !== 0 ? RES_ACCEPT : res;
}

/** tcp_in_window: does the segment fit what the two sides said before? */
function tcp_in_window(
  net: NfConntrack,
  st: IpCtTcp,
  dir: number,
  index: number,
  skb: Skb,
  off: number,
  doff: number,
  flags: number,
): number {
  const sender = dir === 0 ? st.seen0 : st.seen1;
  const receiver = dir === 0 ? st.seen1 : st.seen0;
  const v = skb.view;
  let seq = v.getInt32(off + 4, false);
  let ack = v.getInt32(off + 8, false);
  let sack = ack;
  const winRaw = v.getUint16(off + 14, false);
  let win = winRaw;
  let end = segmentEnd(seq, skb.tail - off, doff, flags);
  const syn = (flags & 2) !== 0;
  if ((receiver.flags & FLAG_SACK_PERM) !== 0) sack = tcp_sack(skb, off, doff, ack);

  if (sender.td_maxwin === 0) {
    if (syn) {
      tcp_init_sender(sender, receiver, skb, off, doff, end, win, dir);
      if ((flags & 16) === 0) return RES_ACCEPT;
    } else {
      sender.td_end = end;
      const swin = win << sender.td_scale;
      sender.td_maxwin = swin === 0 ? 1 : swin;
      sender.td_maxend = (end + sender.td_maxwin) | 0;
      if (receiver.td_maxwin === 0) {
        receiver.td_end = sack;
        receiver.td_maxend = sack;
      } else if (sack === ((receiver.td_end + 1) | 0)) {
        receiver.td_end = (receiver.td_end + 1) | 0;
      }
    }
  } else if (
    syn &&
    after(end, sender.td_end) &&
    (st.state === TCP_CONNTRACK_SYN_SENT || st.state === TCP_CONNTRACK_SYN_RECV)
  ) {
    tcp_init_sender(sender, receiver, skb, off, doff, end, win, dir);
    if (dir === 1 && (flags & 16) === 0) return RES_ACCEPT;
  }

  if ((flags & 16) === 0) {
    ack = receiver.td_end;
    sack = ack;
  } else if ((flags & 4) !== 0 && ack === 0) {
    // Broken stacks set ACK in a RST with a zero acknowledgement.
    ack = receiver.td_end;
    sack = ack;
  }
  if ((flags & 4) !== 0 && seq === 0 && st.state === TCP_CONNTRACK_SYN_SENT) {
    seq = sender.td_end;
    end = seq;
  }
  const maxack = Math.max(sender.td_maxwin, MAXACKWINCONST);

  if (!before(seq, (sender.td_maxend + 1) | 0)) {
    const overshot = (end - sender.td_maxend + 1) >>> 0;
    const ackOk = after(sack, (receiver.td_end - maxack - 1) | 0);
    const inRecvWin = receiver.td_maxwin !== 0 && after(end, (sender.td_end - receiver.td_maxwin - 1) | 0);
    if (inRecvWin && ackOk && overshot <= receiver.td_maxwin && before(sack, (receiver.td_end + 1) | 0)) {
      // More bytes than the window allows: the peer may still take them, so remember where they end.
      sender.td_end = end;
      sender.flags |= FLAG_DATA_UNACKNOWLEDGED;
      return badWindow(net, sender, RES_IGNORE);
    }
    return badWindow(net, sender, RES_INVALID);
  }
  if (!before(sack, (receiver.td_end + 1) | 0)) return badWindow(net, sender, RES_INVALID);
  if (receiver.td_maxwin !== 0 && !after(end, (sender.td_end - receiver.td_maxwin - 1) | 0))
    return badWindow(net, sender, RES_IGNORE);
  if (!after(sack, (receiver.td_end - maxack - 1) | 0)) return badWindow(net, sender, RES_IGNORE);

  if (!syn) win <<= sender.td_scale;
  const swin = win + ((sack - ack) | 0);
  if (sender.td_maxwin < swin) sender.td_maxwin = swin;
  if (after(end, sender.td_end)) {
    sender.td_end = end;
    sender.flags |= FLAG_DATA_UNACKNOWLEDGED;
  }
  if ((flags & 16) !== 0) {
    if ((sender.flags & FLAG_MAXACK_SET) === 0) {
      sender.td_maxack = ack;
      sender.flags |= FLAG_MAXACK_SET;
    } else if (after(ack, sender.td_maxack)) sender.td_maxack = ack;
  }
  if (receiver.td_maxwin !== 0 && after(end, sender.td_maxend)) {
    receiver.td_maxwin = (receiver.td_maxwin + end - sender.td_maxend) | 0;
  }
  if (after((sack + win) | 0, (receiver.td_maxend - 1) | 0)) {
    receiver.td_maxend = (sack + win) | 0;
    if (win === 0) receiver.td_maxend = (receiver.td_maxend + 1) | 0;
  }
  if (ack === receiver.td_end) receiver.flags &= ~FLAG_DATA_UNACKNOWLEDGED;

  if (index === TCP_ACK_SET) {
    if (
      st.last_dir === dir &&
      st.last_seq === seq &&
      st.last_ack === ack &&
      st.last_end === end &&
      st.last_win === winRaw
    ) {
      st.retrans++;
    } else {
      st.last_dir = dir;
      st.last_seq = seq;
      st.last_ack = ack;
      st.last_end = end;
      st.last_win = winRaw;
      st.retrans = 0;
    }
  }
  return RES_ACCEPT;
}

// tcp_valid_flags, by FIN SYN RST PSH ACK URG with PSH masked out.
const VALID_FLAGS = new Uint8Array(64);
for (const f of [2, 2 | 32, 2 | 16, 4, 4 | 16, 1 | 16, 1 | 16 | 32, 16, 16 | 32]) VALID_FLAGS[f] = 1;

/** tcp_error. */
function tcp_error(
  net: NfConntrack,
  skb: Skb,
  off: number,
  doff: number,
  flags: number,
  hook: number,
): boolean {
  if (doff < 20 || doff > skb.tail - off) return true;
  if (nf_ip_checksum_bad(net, skb, off, IPPROTO_TCP, hook)) return true;
  return VALID_FLAGS[flags & 0x37] === 0;
}

/** tcp_new: sets up the entry of a first segment; false = it opens nothing. */
function tcp_new(
  net: NfConntrack,
  ct: NfConn,
  skb: Skb,
  off: number,
  doff: number,
  flags: number,
  index: number,
): boolean {
  const state = TCP_CONNTRACKS[index * 10]!;
  if (state >= TCP_CONNTRACK_MAX) return false;
  const v = skb.view;
  const t = new IpCtTcp();
  const s = t.seen0;
  const win = v.getUint16(off + 14, false);
  const end = segmentEnd(v.getInt32(off + 4, false), skb.tail - off, doff, flags);
  if (state === TCP_CONNTRACK_SYN_SENT) {
    s.td_end = end;
    s.td_maxwin = win === 0 ? 1 : win;
    s.td_maxend = end;
    tcp_options(skb, off, doff, s);
  } else {
    if (net.sysctl.tcp_loose === 0) return false;
    s.td_end = end;
    s.td_maxwin = win === 0 ? 1 : win;
    s.td_maxend = (end + s.td_maxwin) | 0;
    s.flags = FLAG_SACK_PERM | FLAG_BE_LIBERAL;
    t.seen1.flags = s.flags;
  }
  t.last_index = TCP_NONE_SET;
  ct.tcp = t;
  return true;
}

/** nf_conntrack_tcp_packet. */
export function tcp_packet(
  net: NfConntrack,
  ct: NfConn,
  skb: Skb,
  off: number,
  ctinfo: number,
  hook: number,
): number {
  if (off + 20 > skb.tail) return -NF_ACCEPT;
  const v = skb.view;
  const flags = v.getUint8(off + 13);
  const doff = (v.getUint8(off + 12) >>> 4) << 2;
  if (tcp_error(net, skb, off, doff, flags, hook)) return -NF_ACCEPT;
  let index = TCP_NONE_SET;
  if ((flags & 4) !== 0) index = TCP_RST_SET;
  else if ((flags & 2) !== 0) index = (flags & 16) !== 0 ? TCP_SYNACK_SET : TCP_SYN_SET;
  else if ((flags & 1) !== 0) index = TCP_FIN_SET;
  else if ((flags & 16) !== 0) index = TCP_ACK_SET;
  if ((ct.status & IPS_CONFIRMED) === 0 && !tcp_new(net, ct, skb, off, doff, flags, index)) return -NF_ACCEPT;

  const t = ct.tcp!;
  const dir = ctinfo >= 3 ? 1 : 0;
  const mine = dir === 0 ? t.seen0 : t.seen1;
  const theirs = dir === 0 ? t.seen1 : t.seen0;
  let oldState = t.state;
  let newState = TCP_CONNTRACKS[dir * 60 + index * 10 + oldState]!;
  let check = true;

  switch (newState) {
    case TCP_CONNTRACK_SYN_SENT:
      if (oldState < TCP_CONNTRACK_TIME_WAIT) break;
      // RFC 1122: a SYN may reopen a connection from TIME-WAIT; a closed or aborted one starts anew.
      if (
        ((mine.flags | theirs.flags) & FLAG_CLOSE_INIT) !== 0 ||
        (t.last_dir === dir && t.last_index === TCP_RST_SET)
      ) {
        return net.kill(ct) ? -NF_REPEAT : NF_DROP;
      }
      return ignored(t, skb, off, doff, flags, index, dir, oldState);
    case TCP_CONNTRACK_IGNORE:
      if (
        index === TCP_SYNACK_SET &&
        t.last_index === TCP_SYN_SET &&
        t.last_dir !== dir &&
        v.getInt32(off + 8, false) === t.last_end
      ) {
        // This SYN/ACK answers a SYN that was ignored: the two ends are in step, we were not.
        oldState = TCP_CONNTRACK_SYN_SENT;
        newState = TCP_CONNTRACK_SYN_RECV;
        const last = t.last_dir === 0 ? t.seen0 : t.seen1;
        last.td_end = t.last_end;
        last.td_maxend = t.last_end;
        last.td_maxwin = t.last_win === 0 ? 1 : t.last_win;
        last.td_scale = t.last_wscale;
        t.last_flags &= ~EXP_CHALLENGE_ACK;
        last.flags = t.last_flags;
        mine.clear();
        break;
      }
      return ignored(t, skb, off, doff, flags, index, dir, oldState);
    case TCP_CONNTRACK_MAX:
      return -NF_ACCEPT;
    case TCP_CONNTRACK_TIME_WAIT:
      if (
        oldState === TCP_CONNTRACK_LAST_ACK &&
        index === TCP_ACK_SET &&
        t.last_dir !== dir &&
        t.last_index === TCP_SYN_SET &&
        (t.last_flags & EXP_CHALLENGE_ACK) !== 0
      ) {
        t.last_flags &= ~EXP_CHALLENGE_ACK;
        return NF_ACCEPT;
      }
      break;
    case TCP_CONNTRACK_SYN_SENT2:
      t.last_flags |= SIMULTANEOUS_OPEN;
      break;
    case TCP_CONNTRACK_SYN_RECV:
      if (dir === 1 && index === TCP_ACK_SET && (t.last_flags & SIMULTANEOUS_OPEN) !== 0)
        newState = TCP_CONNTRACK_ESTABLISHED;
      break;
    case TCP_CONNTRACK_CLOSE: {
      if (index !== TCP_RST_SET) break;
      // tcp_can_early_drop: of a closing connection the numbers may be outdated, any RST is taken.
      if (oldState >= TCP_CONNTRACK_FIN_WAIT && oldState <= TCP_CONNTRACK_CLOSE) {
        check = false;
        break;
      }
      const seq = v.getInt32(off + 4, false);
      const est = oldState === TCP_CONNTRACK_ESTABLISHED && (ct.status & IPS_ASSURED) !== 0;
      if ((theirs.flags & FLAG_MAXACK_SET) !== 0 && t.last_index !== TCP_SYN_SET) {
        if (seq === 0 && !est) break;
        if (before(seq, theirs.td_maxack) && net.sysctl.tcp_ignore_invalid_rst === 0) return -NF_ACCEPT;
        if (!est || seq === theirs.td_maxack) break;
        if (t.last_index === TCP_ACK_SET && t.last_dir === dir && seq === t.last_end) break;
        // Not exactly what was acknowledged: keep the state, a challenge ACK may follow.
        newState = oldState;
      }
      if (
        (((ct.status & IPS_SEEN_REPLY) !== 0 && t.last_index === TCP_SYN_SET) ||
          ((ct.status & IPS_ASSURED) === 0 && t.last_index === TCP_ACK_SET)) &&
        v.getInt32(off + 8, false) === t.last_end
      ) {
        check = false;
        break;
      }
      if (
        oldState === TCP_CONNTRACK_SYN_SENT &&
        t.last_index === TCP_ACK_SET &&
        t.last_dir === 1 &&
        seq === t.last_ack
      ) {
        check = false;
      }
      break;
    }
  }

  if (check) {
    const res = tcp_in_window(net, t, dir, index, skb, off, doff, flags);
    if (res === RES_IGNORE) return NF_ACCEPT;
    if (res === RES_INVALID) {
      handleInvalid(net, ct, t, dir, index);
      return -NF_ACCEPT;
    }
  }

  t.last_index = index;
  t.last_dir = dir;
  t.state = newState;
  if (oldState !== newState && newState === TCP_CONNTRACK_FIN_WAIT) mine.flags |= FLAG_CLOSE_INIT;

  const to = net.sysctl.tcp_timeouts;
  let span = to[newState]!;
  if (t.retrans >= net.sysctl.tcp_max_retrans && span > to[TIMEOUT_RETRANS]!) span = to[TIMEOUT_RETRANS]!;
  else if (index === TCP_RST_SET) span = to[TCP_CONNTRACK_CLOSE]!;
  else if (((t.seen0.flags | t.seen1.flags) & FLAG_DATA_UNACKNOWLEDGED) !== 0 && span > to[TIMEOUT_UNACK]!)
    span = to[TIMEOUT_UNACK]!;
  else if (t.last_win === 0 && span > to[TIMEOUT_RETRANS]!) span = to[TIMEOUT_RETRANS]!;

  if (newState !== oldState) ct.events |= IPCT_PROTOINFO;

  if ((ct.status & IPS_SEEN_REPLY) === 0) {
    // Nothing but a RST came back: this was no connection.
    if ((flags & 4) !== 0) {
      net.kill(ct);
      return NF_ACCEPT;
    }
    // A repeated SYN does not keep an entry (and its NAT binding) alive.
    if (index === TCP_SYN_SET && oldState === TCP_CONNTRACK_SYN_SENT) return NF_ACCEPT;
    if (newState === TCP_CONNTRACK_ESTABLISHED && span > to[TIMEOUT_UNACK]!) span = to[TIMEOUT_UNACK]!;
  } else if (
    (ct.status & IPS_ASSURED) === 0 &&
    (oldState === TCP_CONNTRACK_SYN_RECV || oldState === TCP_CONNTRACK_ESTABLISHED) &&
    newState === TCP_CONNTRACK_ESTABLISHED
  ) {
    ct.status |= IPS_ASSURED;
    ct.events |= IPCT_ASSURED;
  }
  net.refresh(ct, ctinfo, skb, span);
  return NF_ACCEPT;
}

/** What is noted of a segment that may be valid or not; it passes and changes no state. */
function ignored(
  t: IpCtTcp,
  skb: Skb,
  off: number,
  doff: number,
  flags: number,
  index: number,
  dir: number,
  oldState: number,
): number {
  const v = skb.view;
  t.last_index = index;
  t.last_dir = dir;
  t.last_seq = v.getInt32(off + 4, false);
  t.last_end = segmentEnd(t.last_seq, skb.tail - off, doff, flags);
  t.last_win = v.getUint16(off + 14, false);
  if (index === TCP_SYN_SET && dir === 0) {
    t.last_flags = 0;
    t.last_wscale = 0;
    const seen = scratchSeen;
    seen.clear();
    tcp_options(skb, off, doff, seen);
    if ((seen.flags & FLAG_WINDOW_SCALE) !== 0) {
      t.last_flags |= FLAG_WINDOW_SCALE;
      t.last_wscale = seen.td_scale;
    }
    if ((seen.flags & FLAG_SACK_PERM) !== 0) t.last_flags |= FLAG_SACK_PERM;
    if (oldState === TCP_CONNTRACK_LAST_ACK) t.last_flags |= EXP_CHALLENGE_ACK;
  }
  if (oldState === TCP_CONNTRACK_SYN_SENT && index === TCP_ACK_SET && dir === 1)
    t.last_ack = v.getInt32(off + 8, false);
  return NF_ACCEPT;
}

const scratchSeen = new IpCtTcpState();

/** nf_tcp_handle_invalid: FIN or RST of both sides out of window shortens a long life. */
function handleInvalid(net: NfConntrack, ct: NfConn, t: IpCtTcp, dir: number, index: number): void {
  if (index !== TCP_FIN_SET && index !== TCP_RST_SET) return;
  if (t.last_dir !== dir && (t.last_index === TCP_FIN_SET || t.last_index === TCP_RST_SET)) {
    if (net.expires(ct) < 120_000) return;
    net.setTimeout(ct, net.sysctl.tcp_timeouts[TCP_CONNTRACK_CLOSE]! * 1000);
  } else {
    t.last_index = index;
    t.last_dir = dir;
  }
}

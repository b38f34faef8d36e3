// What bpf_sock.c works on, and the samples of bpf/lib/trace_sock.h: a destination address in the hands of connect(),
// sendmsg(), recvmsg() or getpeername(), the socket's cookies, and the event that tells of each translation.
//
//   trace-sock sample  0 1 type 7   1 1 xlate_point   2 1 l4_proto   3 1 flags (1 = IPv6)   4 2 dst_port
//                      8 8 cookie   16 8 cgroup_id    24 16 dst_ip

import {
  CILIUM_NOTIFY_TRACE_SOCK,
  SOCK_CGROUP_ID,
  SOCK_COOKIE,
  SOCK_DST_IP,
  SOCK_DST_PORT,
  SOCK_FLAGS,
  SOCK_L4_PROTO,
  SOCK_XLATE_POINT,
  TRACE_SOCK_LEN,
} from "../../maps/events.js";
import { AF_INET } from "../../src/bpf/helpers.js";
import { IPPROTO_TCP, IPPROTO_UDP } from "./common.js";
import type { Ctx } from "./ctx.js";

export const IPPROTO_UDPLITE = 136;

export const XLATE_PRE_DIRECTION_FWD = 1;
export const XLATE_POST_DIRECTION_FWD = 2;
export const XLATE_PRE_DIRECTION_REV = 3;
export const XLATE_POST_DIRECTION_REV = 4;

const L4_PROTOCOL_TCP = 1;
const L4_PROTOCOL_UDP = 2;
const FLAG_IPV6 = 1;

/**
 * struct bpf_sock_addr (and, for post_bind and sock_release, struct bpf_sock): the caller fills it, the program changes
 * address and port in place. Cookies are below 2^53.
 */
export class SockAddr {
  family: number = AF_INET;
  protocol: number = IPPROTO_TCP;
  /** Be32. */
  user_ip4 = 0;
  readonly user_ip6: Int32Array = new Int32Array(4);
  /** Be16. */
  user_port = 0;
  socket_cookie = 0;
  netns_cookie = 0;
  cgroup_id = 0;
  /** CPU whose ring takes the events. */
  cpu = 0;
  /** bpf_set_retval(): the errno that the system call fails with when the program rejects; negative. */
  retval = 0;
}

const bytes = new Uint8Array(TRACE_SOCK_LEN);
const view = new DataView(bytes.buffer);
const nothing = new Uint8Array(0);

function fill(sk: SockAddr, point: number, flags: number, port: number): void {
  bytes.fill(0);
  bytes[0] = CILIUM_NOTIFY_TRACE_SOCK;
  bytes[SOCK_XLATE_POINT] = point;
  // Other protocols stay 0, unknown.
  if (sk.protocol === IPPROTO_TCP) bytes[SOCK_L4_PROTO] = L4_PROTOCOL_TCP;
  else if (sk.protocol === IPPROTO_UDP) bytes[SOCK_L4_PROTO] = L4_PROTOCOL_UDP;
  bytes[SOCK_FLAGS] = flags;
  view.setUint16(SOCK_DST_PORT, port, true);
  put_u64(SOCK_COOKIE, sk.socket_cookie);
  put_u64(SOCK_CGROUP_ID, sk.cgroup_id);
}

function put_u64(at: number, v: number): void {
  view.setUint32(at, v >>> 0, true);
  view.setUint32(at + 4, Math.floor(v / 0x1_0000_0000), true);
}

/** send_trace_sock_notify4(): `port` is host order. */
export function send_trace_sock_notify4(
  ctx: Ctx,
  sk: SockAddr,
  point: number,
  dst_ip: number,
  port: number,
): void {
  if (!ctx.def.TRACE_SOCK_NOTIFY || !ctx.maps.cilium_events.enabled) return;
  fill(sk, point, 0, port);
  view.setInt32(SOCK_DST_IP, dst_ip, true);
  ctx.maps.cilium_events.output(sk.cpu, bytes, TRACE_SOCK_LEN, nothing, 0, 0);
}

/** send_trace_sock_notify6(): the address is four words from `at`. */
export function send_trace_sock_notify6(
  ctx: Ctx,
  sk: SockAddr,
  point: number,
  words: Int32Array,
  at: number,
  port: number,
): void {
  if (!ctx.def.TRACE_SOCK_NOTIFY || !ctx.maps.cilium_events.enabled) return;
  fill(sk, point, FLAG_IPV6, port);
  for (let i = 0; i < 4; i++) view.setInt32(SOCK_DST_IP + 4 * i, words[at + i], true);
  ctx.maps.cilium_events.output(sk.cpu, bytes, TRACE_SOCK_LEN, nothing, 0, 0);
}

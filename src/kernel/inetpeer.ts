// net/ipv4/inetpeer.c: what is remembered about a host: its token bucket for ICMP errors and redirects.

import type { Netns } from "./netns.js";
import { jiffyNs } from "./timer_wheel.js";

/** Times (of whole jiffies) and tokens in ms. */
export class InetPeer {
  rateTokens = 0;
  rateLast = 0;
  nRedirects = 0;
}

/**
 * The entry of `addr` (Be32), made full when it is new: rate_last is set a minute into the past, which is what
 * "60*HZ ago" in inet_getpeer does.
 */
export function inet_getpeer(ns: Netns, addr: number): InetPeer {
  let p = ns.peers.get(addr);
  if (p === undefined) {
    p = new InetPeer();
    p.rateLast = jiffyNs(ns.kernel.clock.ns) / 1e6 - 60_000;
    ns.peers.set(addr, p);
  }
  return p;
}

/** inet_peer_xrlim_allow: a bucket of six times `timeoutMs`, one message costs `timeoutMs`. */
export function inet_peer_xrlim_allow(ns: Netns, peer: InetPeer, timeoutMs: number): boolean {
  const now = jiffyNs(ns.kernel.clock.ns) / 1e6;
  let token = peer.rateTokens + (now - peer.rateLast);
  peer.rateLast = now;
  if (token > timeoutMs * 6) token = timeoutMs * 6;
  const ok = token >= timeoutMs;
  if (ok) token -= timeoutMs;
  peer.rateTokens = token;
  return ok;
}

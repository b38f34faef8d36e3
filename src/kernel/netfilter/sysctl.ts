// net.netfilter.* and net.ipv4.vs.*: sysctls of connection tracking and of IPVS.

import { ipvsState } from "../ipvs/ip_vs.js";
import type { Netns } from "../netns.js";
import { nfState } from "./hooks.js";
import type { NfCtSysctl } from "./nf_conntrack.js";
import { xtNet } from "./xtables.js";

const TCP_TIMEOUTS: Readonly<Record<string, number>> = {
  syn_sent: 1,
  syn_recv: 2,
  established: 3,
  fin_wait: 4,
  close_wait: 5,
  last_ack: 6,
  time_wait: 7,
  close: 8,
  max_retrans: 10,
  unacknowledged: 11,
};

/** Writes such a sysctl (path below /proc/sys); false when it is none of them. */
export function nfSysctlSet(ns: Netns, path: string, value: string | number): boolean {
  const n = Number(value);
  const vs = /^net\/ipv4\/vs\/(\w+)$/.exec(path);
  if (vs !== null) {
    const s = ipvsState(nfState(ns)).sysctl as unknown as Record<string, number>;
    if (!(vs[1]! in s)) return false;
    s[vs[1]!] = n;
    return true;
  }
  const m =
    /^net\/(?:netfilter|ipv4\/netfilter)\/(?:nf|ip)_conntrack_(\w+)$/.exec(path) ??
    (path === "net/nf_conntrack_max" ? ["", "max"] : null);
  if (m === null) return false;
  // The sysctls exist with the module; the tracking itself waits for its first user.
  const s = ctSysctl(ns);
  const key = m[1]!;
  const t = /^tcp_timeout_(\w+)$/.exec(key);
  if (t !== null) {
    const i = TCP_TIMEOUTS[t[1]!];
    if (i === undefined) return false;
    s.tcp_timeouts[i] = n;
    return true;
  }
  if (!(key in s)) return false;
  (s as unknown as Record<string, number>)[key] = n;
  return true;
}

function ctSysctl(ns: Netns): NfCtSysctl {
  const xt = xtNet(ns);
  return xt.nf.ct === null ? xt.ctSysctl : xt.nf.ct.sysctl;
}

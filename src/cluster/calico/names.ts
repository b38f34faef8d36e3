// Names that Calico derives: host interfaces of pods (libcalico-go, VethNameForWorkload), chains and sets of Felix
// (felix/hashutils, felix/ipsets).

import { base64UrlOf, hexOf, sha1, sha256 } from "../../base/sha.js";

/** iptables chains have at most 28 characters, ipsets 31. */
const MAX_CHAIN = 28;
const MAX_SET = 31;

/** `cali` and eleven hex digits of the SHA-1 of `namespace.pod`. */
export function vethName(namespace: string, pod: string): string {
  return `cali${hexOf(sha1(`${namespace}.${pod}`)).slice(0, 11)}`;
}

/** A chain name: prefix and name, or prefix, `_` and a hash where that would be too long. */
export function chainName(prefix: string, name: string): string {
  if (prefix.length + name.length <= MAX_CHAIN) return prefix + name;
  return `${prefix}_${base64UrlOf(sha256(name)).slice(0, MAX_CHAIN - prefix.length - 1)}`;
}

/**
 * Name of an IPv4 set: `cali40s:` for the addresses of a selector, `cali40n:` for a named port of them, `cali40svc:` for
 * addresses and ports of a service, `cali40svcnoport:` for its addresses. Differs from
 * Felix: it hashes its own canonical text of the selector, so that the letters after the colon are others.
 */
export function setName(kind: "s" | "n" | "svc" | "svcnoport", id: string): string {
  const head = `cali40${kind}:`;
  return head + base64UrlOf(sha256(id)).slice(0, MAX_SET - head.length);
}

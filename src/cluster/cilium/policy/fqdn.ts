// FQDN selectors (pkg/policy/api FQDNSelector, pkg/fqdn/matchpattern): which DNS names a toFQDNs element means.

/** One element of toFQDNs. */
export interface FqdnSelector {
  /** As written; `fqdn:<text>` is the label of the addresses behind it. */
  readonly text: string;
  /** Matches a lower-case name with trailing dot. */
  readonly pattern: RegExp;
}

const LABEL = "[-a-zA-Z0-9_]";

/** Lower case, with a dot at the end. */
export function dnsFqdn(name: string): string {
  const n = name.toLowerCase();
  return n.endsWith(".") ? n : `${n}.`;
}

export function fqdnByName(name: string): FqdnSelector {
  return { text: name, pattern: new RegExp(`^${escapeDots(dnsFqdn(name.trim()))}$`) };
}

/**
 * `*` inside a label stands for any of the label's characters, a leading `**.` for one or more whole labels, a lone `*`
 * for every name.
 */
export function fqdnByPattern(pattern: string): FqdnSelector {
  const p = pattern.trim();
  if (p === "*") return { text: pattern, pattern: new RegExp(`^(?:(?:${LABEL}+[.])+|[.])$`) };
  let body = dnsFqdn(p);
  let head = "";
  if (body.startsWith("**.")) {
    head = `(?:${LABEL}+[.])+`;
    body = body.slice(3);
  }
  return { text: pattern, pattern: new RegExp(`^${head}${escapeDots(body).replaceAll("*", `${LABEL}*`)}$`) };
}

export function fqdnMatches(s: FqdnSelector, name: string): boolean {
  return s.pattern.test(dnsFqdn(name));
}

function escapeDots(s: string): string {
  return s.replaceAll(".", "[.]");
}

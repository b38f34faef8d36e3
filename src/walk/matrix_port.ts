// Ports of a reachability matrix: as they are asked for, and each over one family.

import { PodpathError } from "../base/errors.js";

/** A port that is asked for; ICMP echo has port 0. */
export interface MatrixPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly ipv6: boolean;
}

/** A port as it is asked for: over both families where `ipv6` is left out. */
export type AskedPort = Omit<MatrixPort, "ipv6"> & { readonly ipv6?: boolean };

/** `80/tcp`, `53/udp`, `icmp`, over one family `80/tcp4`, `icmp6`. @throws PodpathError USAGE */
export function parseMatrixPort(text: string): AskedPort {
  const m = /^(?:(icmp)|(\d+)(?:\/(tcp|udp))?)([46])?$/i.exec(text);
  const port = m?.[1] === undefined ? Number(m?.[2]) : 0;
  // A family behind the number alone would be read as a digit of it.
  if (
    m === null ||
    (m[1] === undefined && (port < 1 || port > 65535 || (m[3] === undefined && m[4] !== undefined)))
  )
    throw new PodpathError("USAGE", `--port ${text}: write it like 80/tcp, 53/udp or icmp`);
  const protocol = (m[1] ?? m[3] ?? "tcp").toLowerCase() as MatrixPort["protocol"];
  return { port, protocol, ...(m[4] === undefined ? {} : { ipv6: m[4] === "6" }) };
}

/** As it is written; IPv6 shows as a 6 behind the protocol. */
export function portText(p: AskedPort): string {
  const text = p.protocol === "icmp" ? "icmp" : `${p.port}/${p.protocol}`;
  return p.ipv6 === true ? `${text}6` : text;
}

const PROTOCOLS = ["tcp", "udp", "icmp"] as const;

/** As a number, for tables. */
export function portNumber({ port, protocol, ipv6 }: MatrixPort): number {
  return (PROTOCOLS.indexOf(protocol) << 17) | (port << 1) | (ipv6 ? 1 : 0);
}

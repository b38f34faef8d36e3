// `ip tunnel add|change|del` and `ip link set NAME type ipip`: options of IPIP devices, with the tool's texts.

import { tryParseIpv4 } from "../net/address.js";
import { IpipDevice, ipip_forget } from "./ipip.js";
import type { CommandResult } from "./iproute.js";
import type { Netns } from "./netns.js";
import { link_del } from "./rtnetlink.js";

const OK: CommandResult = { rc: 0, out: "" };

export function ip_tunnel_command(ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", ...rest] = args;
  const a = [...rest];
  let name = "";
  let local: number | undefined;
  let remote: number | undefined;
  let ttl: number | undefined;
  let tos: number | undefined;
  let pmtudisc: boolean | undefined;
  let link: string | undefined;
  for (let i = 0; i < a.length; i++) {
    const w = a[i]!;
    const next = (): string => a[++i] ?? "";
    const addr = (): number => {
      const t = next();
      return t === "any" ? 0 : (tryParseIpv4(t) ?? 0);
    };
    switch (w) {
      case "mode": {
        const m = next();
        if (m !== "ipip" && m !== "ip/ip" && m !== "ipv4/ipv4" && m !== "any")
          return { rc: 255, out: `ip tunnel: mode "${m}" is not modelled\n` };
        break;
      }
      case "ipip":
        break;
      case "name":
        name = next();
        break;
      case "local":
        local = addr();
        break;
      case "remote":
        remote = addr();
        break;
      case "ttl":
      case "hoplimit": {
        const t = next();
        ttl = t === "inherit" ? 0 : Number.parseInt(t, 10);
        break;
      }
      case "tos":
      case "dsfield": {
        const t = next();
        tos = t === "inherit" ? 1 : t.startsWith("0x") ? Number.parseInt(t, 16) : Number.parseInt(t, 16);
        break;
      }
      case "pmtudisc":
        pmtudisc = true;
        break;
      case "nopmtudisc":
        pmtudisc = false;
        break;
      case "dev":
        link = next();
        break;
      default:
        if (name === "") name = w;
        else return { rc: 255, out: `ip tunnel: "${w}" is not modelled\n` };
    }
  }
  const have = ns.devByName(name);
  if (cmd === "del" || cmd === "delete") {
    if (!(have instanceof IpipDevice))
      return { rc: 1, out: `delete tunnel "${name}" failed: No such device\n` };
    if (have.fallback) return { rc: 1, out: `delete tunnel "${name}" failed: Operation not permitted\n` };
    ipip_forget(have);
    link_del(have);
    return OK;
  }
  const setTtl = ttl ?? (have instanceof IpipDevice && cmd === "linkset" ? have.ttl : 0);
  // The tool itself refuses a fixed TTL without path MTU discovery.
  if (cmd !== "linkset" && setTtl !== 0 && pmtudisc === false)
    return { rc: 1, out: "ttl != 0 and nopmtudisc are incompatible\n" };
  if (cmd === "add") {
    if (have !== null) return { rc: 1, out: `add tunnel "tunl0" failed: File exists\n` };
    const d = new IpipDevice(ns, name, {
      local: local ?? 0,
      remote: remote ?? 0,
      link: link === undefined ? null : ns.devByName(link),
    });
    d.configure({ ttl: ttl ?? 0, tos: tos ?? 0, pmtudisc: pmtudisc ?? true });
    return OK;
  }
  if (!(have instanceof IpipDevice)) return { rc: 1, out: `Cannot find device "${name}"\n` };
  if (cmd === "linkset") {
    // Attributes that are not given keep the kernel's defaults of a new device, except the addresses.
    if (ttl !== undefined && ttl !== 0 && !have.pmtudisc && pmtudisc !== true)
      return { rc: 255, out: "ttl != 0 and nopmtudisc are incompatible\n" };
    have.configure({
      ...(ttl === undefined ? {} : { ttl }),
      ...(tos === undefined ? {} : { tos }),
      ...(pmtudisc === undefined ? {} : { pmtudisc }),
    });
    return OK;
  }
  if (cmd === "change" || cmd === "chg") {
    const keep = have.pmtudisc;
    if (setTtl !== 0 && pmtudisc === undefined && !keep)
      return { rc: 1, out: "ttl != 0 and nopmtudisc are incompatible\n" };
    have.configure({
      ...(ttl === undefined ? {} : { ttl }),
      ...(tos === undefined ? {} : { tos }),
      ...(pmtudisc === undefined ? {} : { pmtudisc }),
    });
    if (local !== undefined && !have.fallback) have.local = local;
    if (remote !== undefined && !have.fallback) have.remote = remote;
    return OK;
  }
  return { rc: 255, out: `Command "${cmd}" is unknown, try "ip tunnel help".\n` };
}

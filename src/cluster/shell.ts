// Commands of an operator on a machine: iproute2 with its network namespaces, net-tools, bridge-utils, iptables, ipset,
// ipvsadm, conntrack, sysctl, each as the tool prints and returns. A line may hold several, separated by `;` or `&&`.

import { isPodpathError } from "../base/errors.js";
import { BridgeDevice } from "../kernel/bridge.js";
import { DummyDevice } from "../kernel/dummy.js";
import { type CommandResult, ip_command } from "../kernel/iproute.js";
import { ipvsadm } from "../kernel/ipvs/ipvsadm.js";
import { arp_n, brctl_show, ethtool_S, ifconfig, route_n } from "../kernel/net_tools.js";
import { conntrack } from "../kernel/netfilter/conntrack_cli.js";
import { iptablesRestore, iptablesSave } from "../kernel/netfilter/iptables.js";
import { iptables_command } from "../kernel/netfilter/iptables_cli.js";
import { nfSysctlSet } from "../kernel/netfilter/sysctl.js";
import { type TableName, xtNet } from "../kernel/netfilter/xtables.js";
import type { Netns } from "../kernel/netns.js";
import { link_del, link_down, sysctl_set } from "../kernel/rtnetlink.js";
import { VethDevice } from "../kernel/veth.js";
import type { Machine, Machines } from "./machines.js";

const OK: CommandResult = { rc: 0, out: "" };

/** A control plane's own tools: null for a command that it does not have. */
export type PlaneCommand = (machine: Machine, argv: readonly string[]) => CommandResult | null;

/**
 * Runs a line in a namespace of a machine; `plane` is asked first. `rc` is that of the last command that ran, `out` all
 * they printed.
 */
export function runShell(
  machines: Machines,
  machine: Machine,
  ns: Netns,
  line: string,
  plane?: PlaneCommand,
): CommandResult {
  let out = "";
  let rc = 0;
  for (const part of line.split(";")) {
    for (const command of part.split("&&")) {
      const argv = words(command);
      if (argv.length === 0) continue;
      const r = plane?.(machine, argv) ?? runOne(machines, machine, ns, argv);
      out += r.out;
      rc = r.rc;
      if (rc !== 0) break;
    }
  }
  return { rc, out };
}

/** Words of a command line; quotes group, a `#` or `//` begins a comment. */
function words(line: string): string[] {
  const out: string[] = [];
  for (const m of line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)) {
    if (m[3] === "#" || m[3] === "//") break;
    out.push(m[3] ?? m[2] ?? m[1]!.replace(/\\(.)/g, "$1"));
  }
  return out;
}

function runOne(machines: Machines, machine: Machine, ns: Netns, argv: readonly string[]): CommandResult {
  const args = argv.slice(1);
  try {
    switch (argv[0]) {
      case "ip":
        return ip(machines, machine, ns, args);
      case "route":
        return args[0] === "add" || args[0] === "del" ? notModelled(argv) : { rc: 0, out: route_n(ns) };
      case "arp":
        return { rc: 0, out: arp_n(ns) };
      case "ifconfig":
        return ifconfig(ns, args);
      case "ethtool":
        return args[0] === "-S" ? ethtool_S(ns, args[1] ?? "") : notModelled(argv);
      case "brctl":
        return brctl(machines, ns, args);
      case "cat":
      case "sysctl":
        return sysctl(ns, argv);
      case "iptables":
      case "iptables-nft":
        return iptables_command(ns, args);
      case "iptables-save": {
        const t = args.indexOf("-t");
        const tables = t < 0 ? {} : { tables: [args[t + 1] as TableName] };
        return { rc: 0, out: iptablesSave(ns, { counters: args.includes("-c"), ...tables }) };
      }
      case "iptables-restore":
        iptablesRestore(ns, args.join(" "), { strict: true });
        return OK;
      case "ipset":
        if (args[0] === "save") return { rc: 0, out: xtNet(ns).sets.save() };
        xtNet(ns).sets.restore(args.join(" "));
        return OK;
      case "ipvsadm":
        return ipvsadm(ns, args);
      case "conntrack": {
        const r = conntrack(ns, args);
        return { rc: r.rc, out: r.out + r.err };
      }
      default:
        return { rc: 127, out: `${argv[0]}: command not found\n` };
    }
  } catch (e) {
    if (!isPodpathError(e)) throw e;
    return { rc: 1, out: `${argv[0]}: ${e.message}\n` };
  }
}

const notModelled = (argv: readonly string[]): CommandResult => ({
  rc: 1,
  out: `${argv.join(" ")}: not modelled\n`,
});

// --- ip -------------------------------------------------------------------------------------------------------------

function ip(machines: Machines, machine: Machine, ns: Netns, args: readonly string[]): CommandResult {
  const [object = "", ...rest] = args.filter((a) => !a.startsWith("-") || a === "-n");
  if (object === "netns") return ipNetns(machines, machine, ns, args.slice(args.indexOf("netns") + 1));
  if (object !== "" && "link".startsWith(object)) {
    if (rest[0] === "add") return linkAdd(machines, ns, rest.slice(1));
    if (rest[0] === "set") {
      const r = linkSet(machine, ns, rest.slice(1));
      if (r !== null) return r;
    }
  }
  return ip_command(ns, args);
}

function ipNetns(machines: Machines, machine: Machine, ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "list", name = "", ...rest] = args;
  switch (cmd) {
    case "add":
      if (machine.netns.has(name))
        return { rc: 1, out: `Cannot create namespace file "/var/run/netns/${name}": File exists\n` };
      machines.addNetns(machine, name);
      return OK;
    case "list":
    case "show":
    case "ls":
      // The newest first, with the id that it has once a device leads into it.
      return {
        rc: 0,
        out: [...machine.netns.keys()]
          .reverse()
          .map((n) => `${n}\n`)
          .join(""),
      };
    case "del":
    case "delete": {
      const target = machine.netns.get(name);
      if (target === undefined)
        return {
          rc: 1,
          out: `Cannot remove namespace file "/var/run/netns/${name}": No such file or directory\n`,
        };
      // Its virtual devices go with it.
      for (const d of [...target.devOrder]) if (d !== target.lo) link_del(d);
      machine.netns.delete(name);
      return OK;
    }
    case "exec": {
      const target = machine.netns.get(name);
      if (target === undefined)
        return { rc: 255, out: `Cannot open network namespace "${name}": No such file or directory\n` };
      return runOne(machines, machine, target, rest);
    }
    case "identify":
      return { rc: 0, out: ns === machine.ns ? "\n" : `${ns.name.split("/").at(-1)}\n` };
    default:
      return { rc: 255, out: `Command "${cmd}" is unknown, try "ip netns help".\n` };
  }
}

/** `ip link add NAME type veth peer name PEER`, `... type bridge`, `... type dummy`. */
function linkAdd(machines: Machines, ns: Netns, args: readonly string[]): CommandResult {
  const a = args[0] === "name" ? args.slice(1) : args;
  const name = a[0] ?? "";
  const at = a.indexOf("type");
  const type = at < 0 ? "" : a[at + 1];
  if (ns.devByName(name) !== null) return { rc: 2, out: "RTNETLINK answers: File exists\n" };
  switch (type) {
    case "veth": {
      const peerAt = a.indexOf("peer");
      const rest = peerAt < 0 ? [] : a.slice(peerAt + 1).filter((w) => w !== "name");
      const peer = rest[0] ?? freeName(ns, "veth");
      if (ns.devByName(peer) !== null) return { rc: 2, out: "RTNETLINK answers: File exists\n" };
      // The peer is registered first.
      VethDevice.pair({ ns, name: peer, mac: machines.newMac() }, { ns, name, mac: machines.newMac() });
      return OK;
    }
    case "bridge":
      new BridgeDevice(ns, name, machines.newMac());
      return OK;
    case "dummy":
      new DummyDevice(ns, name, machines.newMac());
      return OK;
    default:
      return { rc: 2, out: `ip link add: type "${type}" is not modelled\n` };
  }
}

function freeName(ns: Netns, stem: string): string {
  for (let i = 0; ; i++) if (ns.devByName(`${stem}${i}`) === null) return `${stem}${i}`;
}

/** `ip link set DEV netns N`, `... master BR`, `... nomaster`; null for what changes the device itself. */
function linkSet(machine: Machine, ns: Netns, args: readonly string[]): CommandResult | null {
  const a = args[0] === "dev" ? args.slice(1) : args;
  const dev = ns.devByName(a[0] ?? "");
  const to = a.indexOf("netns");
  const master = a.indexOf("master");
  if (to < 0 && master < 0 && !a.includes("nomaster")) return null;
  if (dev === null) return { rc: 1, out: `Cannot find device "${a[0]}"\n` };
  if (to >= 0) {
    const name = a[to + 1] ?? "";
    const target = name === "1" ? machine.ns : machine.netns.get(name);
    if (target === undefined)
      return { rc: 255, out: `Error: argument "${name}" is wrong: Invalid "netns" value\n` };
    if (!(dev instanceof VethDevice)) return { rc: 2, out: "RTNETLINK answers: Invalid argument\n" };
    moveVeth(dev, target);
    return OK;
  }
  if (dev.master instanceof BridgeDevice) dev.master.removePort(dev);
  if (master >= 0) {
    const br = ns.devByName(a[master + 1] ?? "");
    if (br === null)
      return { rc: 255, out: `Error: argument "${a[master + 1]}" is wrong: Device does not exist\n` };
    if (!(br instanceof BridgeDevice)) return { rc: 2, out: "RTNETLINK answers: Operation not supported\n" };
    br.addPort(dev);
  }
  return OK;
}

/** dev_change_net_namespace: the device goes down and loses its addresses; its index stays if it is free there. */
function moveVeth(dev: VethDevice, target: Netns): void {
  if (dev.ns === target) return;
  const peer = dev.peer;
  if (dev.master instanceof BridgeDevice) dev.master.removePort(dev);
  link_down(dev);
  dev.addrs.splice(0).forEach((a) => {
    dev.ns.fib.delIfAddr(dev, a);
  });
  dev.ns.unregister(dev);
  dev.ns.rtGenid++;
  const moved = new VethDevice({
    ns: target,
    name: dev.name,
    mac: dev.mac,
    mtu: dev.mtu,
    ...(target.dev(dev.ifindex) === null ? { ifindex: dev.ifindex } : {}),
  });
  moved.peer = peer;
  moved.carrier = false;
  if (peer !== null) peer.peer = moved;
  dev.peer = null;
}

// --- others ---------------------------------------------------------------------------------------------------------

function brctl(machines: Machines, ns: Netns, args: readonly string[]): CommandResult {
  const [cmd = "show", br = "", port = ""] = args;
  if (cmd === "show") return { rc: 0, out: brctl_show(ns) };
  if (cmd === "addbr") {
    if (ns.devByName(br) !== null)
      return { rc: 1, out: `device ${br} already exists; can't create bridge with the same name\n` };
    new BridgeDevice(ns, br, machines.newMac());
    return OK;
  }
  const bridge = ns.devByName(br);
  if (!(bridge instanceof BridgeDevice)) return { rc: 1, out: `bridge ${br} does not exist!\n` };
  if (cmd === "delbr") {
    if (bridge.up) return { rc: 1, out: `bridge ${br} is still up; can't delete it\n` };
    link_del(bridge);
    return OK;
  }
  const dev = ns.devByName(port);
  if (dev === null) return { rc: 1, out: `interface ${port} does not exist!\n` };
  if (cmd === "addif") {
    if (dev.brPort !== null)
      return {
        rc: 1,
        out: `device ${port} is already a member of a bridge; can't enslave it to bridge ${br}.\n`,
      };
    bridge.addPort(dev);
    return OK;
  }
  if (cmd === "delif") {
    bridge.removePort(dev);
    return OK;
  }
  return { rc: 1, out: `never heard of command [${cmd}]\n` };
}

/** `sysctl -w a.b=1`, `cat /proc/sys/net/ipv4/conf/D/proxy_arp`. */
function sysctl(ns: Netns, argv: readonly string[]): CommandResult {
  if (argv[0] === "cat") {
    const m = /^\/proc\/sys\/net\/ipv4\/conf\/([^/]+)\/(\w+)$/.exec(argv[1] ?? "");
    const conf =
      m?.[1] === "all"
        ? ns.confAll
        : m?.[1] === "default"
          ? ns.confDefault
          : ns.devByName(m?.[1] ?? "")?.conf;
    const value = (conf as unknown as Record<string, number> | undefined)?.[m?.[2] ?? ""];
    return value === undefined
      ? { rc: 1, out: `cat: ${argv[1]}: No such file or directory\n` }
      : { rc: 0, out: `${value}\n` };
  }
  const m = /^([\w./-]+)\s*=\s*(.*)$/.exec(
    argv
      .slice(1)
      .filter((a) => a !== "-w")
      .join(" "),
  );
  if (m === null) return notModelled(argv);
  const path = m[1]!.includes("/") ? m[1]! : m[1]!.replaceAll(".", "/");
  if (!sysctl_set(ns, path, m[2]!) && !nfSysctlSet(ns, path, m[2]!))
    return { rc: 1, out: `sysctl: cannot stat /proc/sys/${path}: No such file or directory\n` };
  return { rc: 0, out: `${m[1]} = ${m[2]}\n` };
}

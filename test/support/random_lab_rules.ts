// The iptables rules of random labs: services and node ports, masquerading, REJECT of all kinds, before and behind
// DNAT, state matches, MSS clamping.

import type { Draw } from "./random_lab.js";

const REJECTS = [
  "DROP",
  "REJECT --reject-with icmp-port-unreachable",
  "REJECT --reject-with icmp-admin-prohibited",
  "REJECT --reject-with icmp-host-unreachable",
];

/** Three services and, node by node, rules for some of them. */
export function addRules(d: Draw, nodes: number): void {
  for (let i = 0; i < 3; i++)
    d.services.push({
      vip: `10.96.0.${10 + i}`,
      port: 80 + i,
      nodePort: 30080 + i,
      proto: d.pick(["tcp", "udp"] as const),
      backend: d.pick(d.pods),
      target: 9000 + i,
    });
  for (let i = 0; i < nodes; i++) {
    let text = "";
    for (const [table, rules] of [
      ["mangle", mangleRules(d)],
      ["nat", natRules(d, i)],
      ["filter", filterRules(d)],
    ] as const)
      if (rules.length > 0) text += `*${table}\n${rules.join("\n")}\nCOMMIT\n`;
    if (text !== "") d.netns[`n${i + 1}`]!.iptables = text;
  }
}

function mangleRules(d: Draw): string[] {
  return d.chance(20)
    ? ["-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"]
    : [];
}

function natRules(d: Draw, i: number): string[] {
  const cidr = `10.${i + 1}.0.0/24`;
  const out: string[] = [];
  if (d.chance(60)) out.push(`-A POSTROUTING -s ${cidr} ! -d 10.0.0.0/8 -j MASQUERADE`);
  if (d.chance(50)) out.push("-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE");
  if (d.chance(30)) out.push(`-A POSTROUTING -s ${cidr} -d ${cidr} -j MASQUERADE`);
  for (const s of d.services) {
    const at = `-p ${s.proto} -m ${s.proto}`;
    const dnat = `-j DNAT --to-destination ${s.backend.ip}:${s.target}`;
    const mark = "-j MARK --set-xmark 0x4000/0x4000";
    if (d.chance(85)) {
      const marked = d.chance(40);
      for (const c of ["PREROUTING", "OUTPUT"]) {
        const match = `-A ${c} -d ${s.vip}/32 ${at} --dport ${s.port}`;
        if (marked) out.push(`${match} ${mark}`);
        out.push(`${match} ${dnat}`);
      }
    }
    if (d.chance(60))
      for (const c of ["PREROUTING", "OUTPUT"]) {
        const match = `-A ${c} ${at} --dport ${s.nodePort} -m addrtype --dst-type LOCAL`;
        out.push(`${match} ${mark}`, `${match} ${dnat}`);
      }
  }
  return out;
}

function filterRules(d: Draw): string[] {
  const out: string[] = [];
  if (d.chance(50)) out.push("-A FORWARD -m conntrack --ctstate INVALID -j DROP");
  if (d.chance(30)) out.push("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
  if (d.chance(50)) {
    const chain = d.pick(["FORWARD", "FORWARD", "INPUT", "OUTPUT"]);
    out.push(
      `-A ${chain} -p ${d.pick(["tcp", "udp", "icmp"])} -d ${d.pick(d.pods).ip}/32 -j ${d.pick(REJECTS)}`,
    );
  }
  // Behind DNAT: what the client hears must come from the address that it knows.
  const s = d.pick(d.services);
  const backend = `-d ${s.backend.ip}/32 -p ${s.proto} -m ${s.proto} --dport ${s.target}`;
  if (d.chance(25)) out.push(`-A ${d.pick(["FORWARD", "OUTPUT"])} ${backend} -j ${d.pick(REJECTS)}`);
  if (d.chance(15)) out.push(`-A FORWARD ${backend} -m conntrack --ctstate DNAT -j ${d.pick(REJECTS)}`);
  if (d.chance(25))
    out.push(`-A FORWARD -p tcp -m tcp --dport ${9000 + d.r.below(3)} -j REJECT --reject-with tcp-reset`);
  return out;
}

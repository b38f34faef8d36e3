// What Felix writes beside its usual chains where kube-proxy runs in ipvs mode (KubeIPVSSupportEnabled in felix/rules:
// static.go, dispatch.go, epmark.go). A packet that IPVS forwards meets INPUT and OUTPUT instead of FORWARD. In INPUT its
// destination is the service still and so policy would judge the wrong address; in OUTPUT the destination is the backend
// but the device it came in by is no longer there to be matched. So INPUT writes the endpoint into the mark:
//
//   INPUT   cali-INPUT --> cali-forward-check --> cali-set-endpoint-mark --> cali-sm-IF         mark := number of IF
//   OUTPUT  cali-OUTPUT --> cali-forward-endpoint-mark --> cali-from-endpoint-mark --> cali-fw-IF   egress, by the mark
//                                                      --> cali-to-wl-dispatch --> cali-tw-IF       ingress, by device
//
// Of Felix's mask 0xffff0000 the lowest four bits are the verdicts and scratch, the other twelve the endpoint's number;
// 1 stands for all devices that are nobody's endpoint, 0 for a packet that is not forwarded.

import { chainName } from "./names.js";
import type { Table } from "./rule_table.js";

export const SET_THIS_HOST = "cali40this-host";

/** kubeNodePortRanges. */
const NODE_PORTS = "30000:32767";
const MASK = "0xfff00000";
const MASK_SHIFT = 20;
/** Numbers that twelve bits hold. */
const NUMBERS = 4096;
const NON_CALI = 1;
const MARKED = `-m mark ! --mark 0x0/${MASK}`;
const CHECK = "cali-forward-check";
const SET_MARK = "cali-set-endpoint-mark";
const FORWARD = "cali-forward-endpoint-mark";
const FROM_MARK = "cali-from-endpoint-mark";

const markText = (n: number): string => `0x${(n * 2 ** MASK_SHIFT).toString(16)}/${MASK}`;

/** FNV-1 of 32 bits over ASCII. */
function fnv32(s: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < s.length; i++) h = (Math.imul(h, 0x01000193) ^ s.charCodeAt(i)) >>> 0;
  return h;
}

/**
 * Marks of endpoints by device, as `mark/mask`: a device's number is its hash, or the next one that is free. A device
 * beyond the 4094 numbers has none, as in Felix.
 */
export function endpointMarks(devices: readonly string[]): Map<string, string> {
  const taken = new Set([0, NON_CALI]);
  const out = new Map<string, string>();
  for (const d of new Set(devices)) {
    if (taken.size === NUMBERS) break;
    let n = fnv32(d) % NUMBERS;
    while (taken.has(n)) n = (n + 1) % NUMBERS;
    taken.add(n);
    out.set(d, markText(n));
  }
  return out;
}

/** In cali-INPUT, before packets are taken for the node's own. */
export function ipvsInput(t: Table): void {
  t.add("cali-INPUT", `-j MARK --set-xmark 0x0/${MASK}`);
  t.add("cali-INPUT", `-j ${CHECK}`);
  t.add("cali-INPUT", `${MARKED} -j RETURN`);
}

/** In cali-OUTPUT, before packets are taken for the node's own; what that chain does not accept goes on in OUTPUT. */
export function ipvsOutput(t: Table): void {
  t.add("cali-OUTPUT", `${MARKED} -g ${FORWARD}`);
}

/** In cali-POSTROUTING of mangle: nothing for the policies of what the node sends itself. */
export const IPVS_POSTROUTING = `-A cali-POSTROUTING ${MARKED} -j RETURN\n`;

/**
 * The chains of the filter table that IPVS traffic needs. `workloads`: devices of the node's pods; `hosts`: those of its
 * host endpoints, undefined where it has none (then their dispatch chains do not exist).
 */
export function ipvsChains(
  t: Table,
  workloads: readonly string[],
  hosts: readonly { readonly interfaceName: string }[] | undefined,
): void {
  // The endpoint of all interfaces has no device that a mark could stand for.
  const named = (hosts ?? []).filter((h) => h.interfaceName !== "*");
  const devices = [
    ...[...workloads].sort().map((name) => ({ name, forward: chainName("cali-fw-", name) })),
    ...named
      .map((h) => ({ name: h.interfaceName, forward: chainName("cali-fhfw-", h.interfaceName) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  ];
  const marks = endpointMarks(devices.map((d) => d.name));
  for (const c of [CHECK, SET_MARK, FORWARD, FROM_MARK]) t.chain(c);

  // An answer to a process of the node that asked a service is not forwarded, wherever it is addressed.
  t.add(CHECK, "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN");
  for (const proto of ["tcp", "udp"])
    t.add(
      CHECK,
      `-p ${proto} -m comment --comment "To kubernetes NodePort service" -m multiport --dports ${NODE_PORTS} -m set --match-set ${SET_THIS_HOST} dst -g ${SET_MARK}`,
    );
  t.add(
    CHECK,
    `-m comment --comment "To kubernetes service" -m set ! --match-set ${SET_THIS_HOST} dst -j ${SET_MARK}`,
  );

  for (const d of devices) {
    const chain = chainName("cali-sm-", d.name);
    t.chain(chain);
    t.add(SET_MARK, `-i ${d.name} -g ${chain}`);
    const mark = marks.get(d.name);
    if (mark === undefined) continue;
    t.add(chain, `-j MARK --set-xmark ${mark}`);
    t.add(FROM_MARK, `-m mark --mark ${mark} -g ${d.forward}`);
  }
  t.add(SET_MARK, '-i cali+ -m comment --comment "Unknown endpoint" -j DROP');
  t.add(SET_MARK, `-m comment --comment "Non-Cali endpoint mark" -j MARK --set-xmark ${markText(NON_CALI)}`);
  t.add(FROM_MARK, '-m comment --comment "Unknown interface" -j DROP');

  t.add(FORWARD, `-m mark ! --mark ${markText(NON_CALI)} -j ${FROM_MARK}`);
  t.add(FORWARD, "-o cali+ -j cali-to-wl-dispatch");
  if (hosts !== undefined) t.add(FORWARD, "-j cali-to-hep-forward");
  // A tunnel's outer packet inherits the mark and would be taken for a forwarded one.
  t.add(FORWARD, `-j MARK --set-xmark 0x0/${MASK}`);
  t.add(
    FORWARD,
    '-m comment --comment "Policy explicitly accepted packet." -m mark --mark 0x10000/0x10000 -j ACCEPT',
  );
}

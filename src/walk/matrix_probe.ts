// The flows of a reachability matrix, sent: real sockets in the pods of a lab, servers on what is asked for.

import { isPodpathError } from "../base/errors.js";
import { ipv6_specific } from "../kernel/ipv6/tcp_ipv6.js";
import type { Netns } from "../kernel/netns.js";
import { TCP_CLOSE, TcpSock } from "../kernel/tcp.js";
import { ipv4_specific } from "../kernel/tcp_af.js";
import type { Lab } from "../lab.js";
import { echoClient, udpEnd } from "../scenario/clients.js";
import { prepare } from "./flow.js";
import { CLOSED, MatrixPlan, OPEN, type PlanOptions, type Probe } from "./matrix.js";
import { policySight } from "./matrix_policy.js";
import type { AskedPort } from "./matrix_port.js";

/** Virtual time that an answer may take; nothing in a lab is slower, and a SYN is sent again only after a second. */
const WAIT_NS = 100_000_000;
/** Virtual time that the end of a handshake takes to reach the server. */
const SETTLE_NS = 1_000_000;

/** Flows sent to a service of several backends at most; without any success, and with a backend that may meet itself. */
const MOST_TRIES = 24;
const FEW_TRIES = 4;

/** Connections and datagrams that each server has taken, by the pod's number and the port. */
type Met = Map<string, number>;

const serverKey = (pod: number, port: number, protocol: string): string => `${pod} ${port}/${protocol}`;

/** The plan for a fresh lab, after what its scenario does before it first sends something. */
export function planMatrix(
  lab: Lab,
  asked: readonly AskedPort[],
  how: Omit<PlanOptions, "sight"> = {},
): MatrixPlan {
  prepare(lab);
  return new MatrixPlan(lab.scenario, asked, {
    ...how,
    sight: (pods, addresses) => policySight(lab, pods, addresses),
  });
}

/**
 * Sends the probes number `part`, `part + parts` ... of the lab's plan and writes their outcomes into `answers`
 * (`plan.slots` bytes; see Probe for what they say).
 */
export function probe(lab: Lab, plan: MatrixPlan, part: number, parts: number, answers: Uint8Array): void {
  const spaces: Netns[] = plan.pods.map((p) =>
    p.hostNetwork ? lab.node(p.nodeName).machine.ns : lab.cluster.pods.get(`${p.namespace}/${p.name}`)!.ns,
  );
  const met: Met = new Map();
  for (const s of plan.servers()) serve(lab, plan, spaces, s.pod, s.port.port, s.port.protocol, met);
  let ident = 0;
  for (let i = part; i < plan.probes.length; i += parts) {
    const p = plan.probes[i]!;
    ident = 1 + ((i * MOST_TRIES) % 0xffff);
    if (p.backends === undefined) answers[p.slot] = answered(lab, spaces[p.from]!, p, ident) ? OPEN : CLOSED;
    else throughService(lab, spaces[p.from]!, p, ident, met, answers);
  }
}

/**
 * Flows to a service's address until each backend has answered one, or enough were sent: which backend a flow meets is
 * chance, and which one did not answer cannot be seen from outside.
 */
function throughService(lab: Lab, ns: Netns, p: Probe, ident: number, met: Met, answers: Uint8Array): void {
  const backends = p.backends!;
  const keys = backends.map((b) => serverKey(b.pod, b.port, p.port.protocol));
  const counts = (): number[] => keys.map((k) => met.get(k) ?? 0);
  const most = backends.length < 2 ? 1 : Math.min(MOST_TRIES, 4 * backends.length);
  for (let n = 0; n < (p.itself ? MOST_TRIES : most); n++) {
    const before = counts();
    const settled = (): boolean => counts().some((c, i) => c > before[i]!);
    const ok = answered(lab, ns, p, 1 + ((ident + n) % 0xffff), settled);
    answers[p.slot + (ok ? 0 : 1)] = OPEN;
    if (ok)
      counts().forEach((c, i) => {
        if (c > before[i]!) answers[p.slot + 2 + i] = OPEN;
      });
    const through = answers[p.slot] === OPEN;
    // A pod behind its own service: its failures say nothing of the others.
    if (!p.itself && through && answers[p.slot + 1] === OPEN) return;
    if (!p.itself && !through && n + 1 >= FEW_TRIES) return;
    if (through && backends.every((b, i) => b.pod === p.from || answers[p.slot + 2 + i] === OPEN)) return;
  }
}

/** Opens a server where there is none, and counts what it takes. */
function serve(
  lab: Lab,
  plan: MatrixPlan,
  spaces: readonly Netns[],
  pod: number,
  port: number,
  protocol: "tcp" | "udp",
  met: Met,
): void {
  const { sockets } = spaces[pod]!;
  const model = plan.pods[pod]!;
  const on = model.hostNetwork ? `node/${model.nodeName}` : plan.podNames[pod]!;
  const { tcpListen, tcpListen6, udp, udp6 } = sockets;
  const taken =
    protocol === "tcp" ? tcpListen.has(port) || tcpListen6.has(port) : udp.has(port) || udp6.has(port);
  try {
    if (!taken) lab.traffic.listen({ on, port, protocol });
  } catch (e) {
    // A node port of Cilium's: nobody can listen there, so nobody answers.
    if (!isPodpathError(e)) throw e;
  }
  const key = serverKey(pod, port, protocol);
  const count = (): void => {
    met.set(key, (met.get(key) ?? 0) + 1);
  };
  if (protocol === "tcp") {
    for (const sock of [tcpListen, tcpListen6].flatMap((t) => t.get(port) ?? [])) {
      const accept = sock.onAccept;
      sock.onAccept = () => {
        count();
        accept?.();
      };
    }
    return;
  }
  for (const sock of udp.get(port) ?? []) sock.onDatagram = counting(sock.onDatagram, count);
  for (const sock of udp6.get(port) ?? []) sock.onDatagram = counting(sock.onDatagram, count);
}

function counting<D>(then: ((d: D) => void) | null, count: () => void): (d: D) => void {
  return (d) => {
    count();
    then?.(d);
  };
}

/** Sends one flow. True if it was answered; `settled` says when the other end knows of it too. */
function answered(lab: Lab, ns: Netns, p: Probe, ident: number, settled?: () => boolean): boolean {
  const { protocol, port, ipv6 } = p.port;
  if (protocol === "icmp") {
    const echo = echoClient(ns, p.to, ident, ipv6);
    echo.send(1, 56);
    const over = (): boolean => {
      const sent = echo.probes()[0]!;
      return sent.reply !== null || sent.error !== null || sent.sendErrno !== 0;
    };
    lab.runWhileWaiting(over, WAIT_NS);
    echo.close();
    return echo.probes()[0]!.reply !== null;
  }
  if (protocol === "udp") {
    const end = udpEnd(ns, ipv6);
    const { sock, received } = end;
    sock.recverr = true;
    const ok = end.connect(p.to, port) >= 0 && end.send(new Uint8Array(8)) >= 0;
    const over = (): boolean => received.length > 0 || sock.err !== 0 || sock.errqueue.length > 0;
    if (ok) lab.runWhileWaiting(over, WAIT_NS);
    end.close();
    return received.length > 0;
  }
  const sock = new TcpSock(ns, ipv6 ? ipv6_specific : ipv4_specific);
  sock.recverr = true;
  if ((ipv6 ? sock.connect6(p.to.ip6!, port) : sock.connect(p.to.ip4, port)) < 0) return false;
  lab.runWhileWaiting(() => sock.connected || sock.err !== 0 || sock.state === TCP_CLOSE, WAIT_NS);
  const { connected } = sock;
  if (connected && settled !== undefined) lab.runWhileWaiting(settled, SETTLE_NS);
  sock.abort();
  return connected;
}

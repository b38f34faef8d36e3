// What the policies of a built cluster make of a pair of pods, asked where the datapath asks it: in the policy maps of
// Cilium's endpoints, in the chains that Felix wrote for Calico's. Flows of one path that get the same answers fare alike,
// so that one of them speaks for all.
//
//   egress    the sender's policy, about the destination
//   ingress   the destination's policy, about the sender, and about whatever may stand in for it by then: an address of
//             the sender's or of its own node (masquerading, proxies), a reserved identity

import { IpcacheKey, ipcacheSecIdentity } from "../../maps/ipcache.js";
import type { LpmTrie } from "../../maps/lpm_trie.js";
import { PolicyKey } from "../../maps/policy.js";
import { NONE } from "../../maps/spec.js";
import { Numbering } from "../base/numbering.js";
import { Skb } from "../bpf/skb.js";
import { chainName } from "../cluster/calico/names.js";
import { CalicoPlane } from "../cluster/calico/plane.js";
import { ID_WORLD, ID_WORLD_IPV6 } from "../cluster/cilium/identity.js";
import { type CiliumNode, CiliumPlane } from "../cluster/cilium/plane.js";
import { podKey } from "../cluster/control_plane.js";
import { FlannelPlane } from "../cluster/flannel/plane.js";
import type { PodModel } from "../cluster/model.js";
import { IP_CT_NEW, NF_INET_FORWARD } from "../kernel/netfilter/hooks.js";
import { NfConn } from "../kernel/netfilter/nf_conntrack.js";
import { type XtChain, type XtNet, xtNet } from "../kernel/netfilter/xtables.js";
import type { Netns } from "../kernel/netns.js";
import type { Lab } from "../lab.js";
import { buildFrame, icmp, ip4, tcp, udp } from "../net/build.js";
import { bswap16 } from "../net/view.js";
import type { Destination } from "../scenario/clients.js";
import { handWritten } from "./matrix_classes.js";
import { type MatrixPort, portNumber } from "./matrix_port.js";

const PROTO = { tcp: 6, udp: 17, icmp: 1 } as const;
const IPPROTO_ICMPV6 = 58;
const ECHO_REQUEST = 8;
const ECHO_REQUEST_V6 = 128;

/** Answers of the policies, as numbers: flows with the same number are the same to every policy on their way. */
export abstract class PolicySight {
  protected readonly numbers = new Numbering();
  readonly #nodeOf: readonly number[];
  readonly #nodeAddresses: readonly { readonly four: Destination[]; readonly six: Destination[] }[];
  /** Answers about stand-ins by port, then destination and the sender's node. */
  readonly #standIns = new Map<number, Int32Array>();

  /** `addresses` of the pods; those of the node for pods in its network. */
  constructor(
    lab: Lab,
    protected readonly pods: readonly PodModel[],
    protected readonly addresses: readonly Destination[],
  ) {
    const { nodes } = lab.cluster;
    const number = new Map(nodes.map((n, i) => [n.name, i]));
    this.#nodeOf = pods.map((p) => number.get(p.nodeName)!);
    this.#nodeAddresses = nodes.map((n) => addressesOf(n.machine.ns));
  }

  /** A flow from one pod to another, or to itself. */
  pair(from: number, to: number, port: MatrixPort): number {
    const { numbers } = this;
    const ends = numbers.of(this.toPod(from, to, port), this.fromPod(to, from, port));
    return numbers.of(ends, this.#standIn(to, from, port));
  }

  /** Egress of a pod towards an address that is no pod's. */
  abstract toAddress(from: number, to: Destination, port: MatrixPort): number;
  /** Egress of a pod towards a pod. */
  protected abstract toPod(from: number, to: number, port: MatrixPort): number;
  /** Ingress of a pod from a pod. */
  protected abstract fromPod(to: number, from: number, port: MatrixPort): number;
  /** Ingress of a pod from an address that is no pod's. */
  protected abstract fromAddress(to: number, from: Destination, port: MatrixPort): number;
  /** Ingress of a pod from what has no address. */
  protected fromReserved(_to: number, _port: MatrixPort): number {
    return 0;
  }

  #standIn(to: number, from: number, port: MatrixPort): number {
    const nodes = this.#nodeAddresses.length;
    const which = portNumber(port);
    let known = this.#standIns.get(which);
    if (known === undefined) {
      known = new Int32Array(this.pods.length * nodes);
      this.#standIns.set(which, known);
    }
    const node = this.#nodeOf[from]!;
    const at = to * nodes + node;
    if (known[at] === 0) {
      let n = this.fromReserved(to, port);
      for (const where of new Set([node, this.#nodeOf[to]!])) {
        const { four, six } = this.#nodeAddresses[where]!;
        for (const a of port.ipv6 ? six : four) n = this.numbers.of(n, this.fromAddress(to, a, port));
      }
      known[at] = this.numbers.of(n, 0);
    }
    return known[at]!;
  }
}

/**
 * The policies' answers in a lab for pods with these addresses; undefined where something else might decide that looks at
 * pods as policies do: host endpoints, rules by hand that use Felix's sets and chains.
 */
export function policySight(
  lab: Lab,
  pods: readonly PodModel[],
  addresses: readonly Destination[],
): PolicySight | undefined {
  const plane = lab.cluster;
  if (/cali|match-set/.test(handWritten(lab.scenario))) return undefined;
  if (plane instanceof CiliumPlane) return new CiliumSight(lab, plane, pods, addresses);
  if (plane instanceof FlannelPlane) return new NoPolicies(lab, pods, addresses);
  if (!(plane instanceof CalicoPlane) || plane.hostEndpoints.length > 0) return undefined;
  // A source port is the client's: it is another in each flow.
  const bySourcePort = plane.policies.policies.some((p) =>
    [...(p.ingress ?? []), ...(p.egress ?? [])].some(
      (r) => r.source.ports.length + r.source.notPorts.length > 0,
    ),
  );
  return bySourcePort ? undefined : new CalicoSight(lab, plane, pods, addresses);
}

/** Addresses that a node may put in the place of a pod's. */
function addressesOf(ns: Netns): { four: Destination[]; six: Destination[] } {
  const four: Destination[] = [];
  const six: Destination[] = [];
  for (const dev of ns.devOrder) {
    if (dev.kind === "loopback" || dev.kind === "dummy") continue;
    for (const a of dev.addrs) four.push({ ip4: a.local, ip6: undefined });
    for (const a of dev.addrs6) if (a.scope === 0) six.push({ ip4: 0, ip6: a.bytes });
  }
  return { four, six };
}

// --- Cilium -------------------------------------------------------------------------------------------------------

/** Values of the entries that the two look-ups of a policy program find: its verdict follows from them. */
class CiliumSight extends PolicySight {
  readonly #nodes: readonly CiliumNode[];
  /** Policy map of each pod; the host endpoint's, where there is one, of pods in their node's network. */
  readonly #maps: readonly (LpmTrie | null)[];
  /** Numbers of the values in a pod's map, by slot. */
  readonly #values: readonly Map<number, number>[];
  /** Numbers of what each pod's map says of any peer, by port, then pod and direction; -1: not asked yet. */
  readonly #any = new Map<number, Int32Array>();
  /** Identity that each pod's packets carry where they carry one. */
  readonly #identities: Int32Array;
  /** Identities of the pods as the ipcache of a node has them, by family. */
  readonly #seen = new Map<CiliumNode, (Int32Array | undefined)[]>();
  readonly #key = new PolicyKey();
  readonly #ipcacheKey = new IpcacheKey();

  constructor(lab: Lab, plane: CiliumPlane, pods: readonly PodModel[], addresses: readonly Destination[]) {
    super(lab, pods, addresses);
    const nodes = new Map(plane.nodes.map((n) => [n.name, n]));
    const endpoints = new Map(
      plane.nodes.flatMap((n) => [...n.endpoints.values()].map((e) => [e.sandbox, e])),
    );
    this.#nodes = pods.map((p) => nodes.get(p.nodeName)!);
    const ends = pods.map((p) =>
      p.hostNetwork ? undefined : endpoints.get(plane.pods.get(podKey(p.namespace, p.name))!),
    );
    this.#identities = Int32Array.from(ends, (e) => e?.identity ?? 0);
    this.#maps = ends.map((e, i) => {
      const n = this.#nodes[i]!;
      return n.maps.policy.get(e?.id ?? n.hostEndpointId) ?? null;
    });
    this.#values = pods.map(() => new Map());
  }

  override toAddress(from: number, to: Destination, port: MatrixPort): number {
    return this.#ask(from, 1, this.#identityAt(this.#nodes[from]!, to, port.ipv6), port);
  }

  protected override toPod(from: number, to: number, port: MatrixPort): number {
    return this.#aboutPod(from, 1, to, port);
  }

  protected override fromPod(to: number, from: number, port: MatrixPort): number {
    return this.#aboutPod(to, 0, from, port);
  }

  protected override fromAddress(to: number, from: Destination, port: MatrixPort): number {
    return this.#ask(to, 0, this.#identityAt(this.#nodes[to]!, from, port.ipv6), port);
  }

  protected override fromReserved(to: number, port: MatrixPort): number {
    let n = 0;
    for (let id = 1; id <= ID_WORLD_IPV6; id++) n = this.numbers.of(n, this.#ask(to, 0, id, port));
    return n;
  }

  /** By the identity that the other pod's packets carry, and by the one that its address has here. */
  #aboutPod(pod: number, egress: number, peer: number, port: MatrixPort): number {
    const carried = this.#identities[peer]!;
    const known = this.#identitiesAt(this.#nodes[pod]!, port.ipv6)[peer]!;
    const n = this.#ask(pod, egress, known, port);
    return this.numbers.of(n, carried === known ? n : this.#ask(pod, egress, carried, port));
  }

  #identitiesAt(node: CiliumNode, ipv6: boolean): Int32Array {
    let both = this.#seen.get(node);
    if (both === undefined) {
      both = [undefined, undefined];
      this.#seen.set(node, both);
    }
    const family = ipv6 ? 1 : 0;
    both[family] ??= Int32Array.from(this.addresses, (a) => this.#identityAt(node, a, ipv6));
    return both[family];
  }

  /** What the ipcache of a node says of an address. */
  #identityAt(node: CiliumNode, { ip4, ip6 }: Destination, ipv6: boolean): number {
    if (ipv6 ? ip6 === undefined : ip4 === 0) return 0;
    const map = node.maps.cilium_ipcache_v2;
    const key = this.#ipcacheKey;
    if (ipv6) key.setIpv6(new DataView(ip6!.buffer, ip6!.byteOffset, 16), 0);
    else key.setIpv4(ip4);
    const slot = map.lookup(key.words);
    return slot === NONE ? ID_WORLD : ipcacheSecIdentity(map, slot);
  }

  /** __policy_can_access() as far as the map goes: the entry under the identity and the one under any. */
  #ask(pod: number, egress: number, identity: number, asked: MatrixPort): number {
    const map = this.#maps[pod]!;
    if (map === null) return 0;
    const { port, protocol, ipv6 } = asked;
    const echo = protocol === "icmp";
    const proto = echo && ipv6 ? IPPROTO_ICMPV6 : PROTO[protocol];
    const dport = echo ? (ipv6 ? ECHO_REQUEST_V6 : ECHO_REQUEST) << 8 : bswap16(port);
    const a = map.lookup(this.#key.set(identity, egress, proto, dport).words);
    // The second is the same for every peer.
    const any = this.#anyPeer(asked);
    const at = pod * 2 + egress;
    if (any[at]! < 0)
      any[at] = this.#value(pod, map, map.lookup(this.#key.set(0, egress, proto, dport).words));
    return this.numbers.of(this.#value(pod, map, a), any[at]!);
  }

  #anyPeer(port: MatrixPort): Int32Array {
    const which = portNumber(port);
    let known = this.#any.get(which);
    if (known === undefined) {
      known = new Int32Array(this.pods.length * 2).fill(-1);
      this.#any.set(which, known);
    }
    return known;
  }

  #value(pod: number, map: LpmTrie, slot: number): number {
    if (slot === NONE) return 0;
    const known = this.#values[pod]!;
    let n = known.get(slot);
    if (n === undefined) {
      n = 0;
      const at = slot * map.valueWords;
      for (let w = 0; w < map.spec.valueSize / 4; w++) n = this.numbers.ofWord(n, map.words[at + w]!);
      known.set(slot, n);
    }
    return n;
  }
}

// --- Calico -------------------------------------------------------------------------------------------------------

/** What the chains cali-fw- and cali-tw- of a pod do to the first packet of a connection: verdict and mark. */
class CalicoSight extends PolicySight {
  readonly #nets: readonly XtNet[];
  readonly #egress: readonly (XtChain | undefined)[];
  readonly #ingress: readonly (XtChain | undefined)[];
  readonly #skb = new Skb();
  readonly #connection = new NfConn(0, false);
  #framed = -1;

  constructor(lab: Lab, plane: CalicoPlane, pods: readonly PodModel[], addresses: readonly Destination[]) {
    super(lab, pods, addresses);
    this.#nets = pods.map((p) => xtNet(lab.node(p.nodeName).machine.ns));
    const chain = (prefix: string) => (p: PodModel, i: number) => {
      const sandbox = p.hostNetwork ? undefined : plane.pods.get(podKey(p.namespace, p.name));
      return sandbox === undefined
        ? undefined
        : this.#nets[i]!.table("filter").chain(chainName(prefix, sandbox.host.name));
    };
    this.#egress = pods.map(chain("cali-fw-"));
    this.#ingress = pods.map(chain("cali-tw-"));
  }

  override toAddress(from: number, to: Destination, port: MatrixPort): number {
    return this.#run(this.#nets[from]!, this.#egress[from], this.addresses[from]!.ip4, to.ip4, port);
  }

  protected override toPod(from: number, to: number, port: MatrixPort): number {
    return this.toAddress(from, this.addresses[to]!, port);
  }

  protected override fromPod(to: number, from: number, port: MatrixPort): number {
    return this.fromAddress(to, this.addresses[from]!, port);
  }

  protected override fromAddress(to: number, from: Destination, port: MatrixPort): number {
    return this.#run(this.#nets[to]!, this.#ingress[to], from.ip4, this.addresses[to]!.ip4, port);
  }

  #run(xt: XtNet, chain: XtChain | undefined, src: number, dst: number, port: MatrixPort): number {
    // Felix's rules are IPv4's.
    if (chain === undefined || port.ipv6) return 0;
    const skb = this.#skb;
    this.#frame(port);
    skb.view.setInt32(skb.data + 12, src, true);
    skb.view.setInt32(skb.data + 16, dst, true);
    skb.mark = 0;
    skb.nfct = this.#connection;
    skb.nfctinfo = IP_CT_NEW;
    const logged = xt.log.length;
    const verdict = xt.do_chain(chain, skb, NF_INET_FORWARD, null, null);
    // Nobody sent this packet.
    xt.log.length = logged;
    return this.numbers.ofWord(verdict, skb.mark);
  }

  /** Puts a first packet to the port into the buffer; only addresses differ after that. */
  #frame(port: MatrixPort): void {
    const which = portNumber(port);
    if (this.#framed === which) return;
    this.#framed = which;
    const ends = { src: SOURCE_PORT, dst: port.port };
    const l4 = {
      tcp: () => tcp({ ...ends, flags: TCP_SYN }),
      udp: () => udp(ends),
      icmp: () => icmp({ type: ECHO_REQUEST }),
    }[port.protocol]();
    this.#skb.reset();
    this.#skb.setFrame(buildFrame([ip4({ src: 0, dst: 0 }), l4]));
    this.#skb.network = this.#skb.data;
  }
}

const SOURCE_PORT = 40_000;
const TCP_SYN = 2;

// --- flannel ------------------------------------------------------------------------------------------------------

/** Nothing of a flannel cluster evaluates policies. */
class NoPolicies extends PolicySight {
  override toAddress(): number {
    return 0;
  }

  protected override toPod(): number {
    return 0;
  }

  protected override fromPod(): number {
    return 0;
  }

  protected override fromAddress(): number {
    return 0;
  }
}

// BIRD on every node: which sessions there are (full mesh, BGPPeer objects, route reflectors), whether they are up, and
// which nodes' routes a node learns over them. Also the table of `calicoctl node status`.
//
// iBGP: a route learned from one peer is not told to another, except by a route reflector (RFC 4456).

import { fields, text } from "../linux_plane.js";
import type { ClusterModel, K8sObject, NodeModel } from "../model.js";
import type { CalicoConfig } from "./config.js";
import { parseSelector } from "./selector.js";

export type PeerType = "node-to-node mesh" | "global" | "node specific";
export type BgpState = "Established" | "Connect" | "Active" | "OpenSent" | "Idle";

/** One line of `calicoctl node status`. */
export interface BgpSession {
  readonly peerAddress: string;
  readonly peerType: PeerType;
  /** BIRD's protocol state. */
  readonly state: "up" | "start";
  readonly info: BgpState;
  /** Text after the state, as BIRD gives it (`Socket: Connection refused`). */
  readonly detail: string;
  /** Virtual time of the last change, ns. */
  readonly sinceNs: number;
}

/** A calico-node as the datastore knows it. */
export interface BgpSpeaker {
  /** Name of the Kubernetes node. */
  readonly node: string;
  /** Name under which it registers: the node's, or what its nodename file says. */
  readonly calicoName: string;
  readonly address: string;
  readonly asNumber: number;
  /** Route reflectors have one. */
  readonly clusterId: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** False: BIRD does not run there. */
  up: boolean;
  /**
   * False for a node that another one of the same name has pushed out of the datastore: it sees the others, they do not
   * see it.
   */
  registered: boolean;
}

/** Scenario's own annotations: a nodename file that differs from the node's name, and a BIRD that does not run. */
const ANNOTATION_NODENAME = "podpath.dev/calico-nodename";
const ANNOTATION_BIRD = "podpath.dev/bird";

/** Address by which the others know a node: the annotation that calico-node writes, else InternalIP. */
export function bgpAddress(n: NodeModel): string {
  return (n.annotations["projectcalico.org/IPv4Address"] ?? n.internalIp4 ?? "").split("/")[0]!;
}

interface Link {
  readonly a: string;
  readonly b: string;
  readonly type: PeerType;
}

export class Bird {
  readonly speakers: BgpSpeaker[] = [];
  readonly #peers: K8sObject[];
  /** Peers outside the cluster, by node. */
  readonly #external: { readonly node: string; readonly address: string; readonly type: PeerType }[] = [];
  readonly #since = new Map<string, { up: boolean; ns: number }>();

  constructor(
    model: ClusterModel,
    private readonly config: CalicoConfig,
    /** Whether TCP can pass between two addresses. */
    private readonly reachable: (from: string, to: string) => boolean,
    private readonly now: () => number,
  ) {
    const byName = new Map<string, BgpSpeaker>();
    for (const n of model.nodes) {
      const s: BgpSpeaker = {
        node: n.name,
        calicoName: n.annotations[ANNOTATION_NODENAME] ?? n.name,
        address: bgpAddress(n),
        asNumber: Number(n.annotations["projectcalico.org/ASNumber"] ?? config.asNumber),
        clusterId: n.annotations["projectcalico.org/RouteReflectorClusterID"],
        labels: n.labels,
        up: n.annotations[ANNOTATION_BIRD] !== "down",
        registered: true,
      };
      // The Node object has one name and one address: whoever wrote last is in it.
      const before = byName.get(s.calicoName);
      if (before !== undefined) before.registered = false;
      byName.set(s.calicoName, s);
      this.speakers.push(s);
    }
    this.#peers = model.objects.filter((o) => o.kind === "BGPPeer");
  }

  /** Starts or stops BIRD on a node. */
  setUp(node: string, up: boolean): void {
    for (const s of this.speakers) if (s.node === node) s.up = up;
  }

  /** Nodes that registered under a name that another node has too, with the one that is in the datastore. */
  get conflicts(): { readonly name: string; readonly kept: string; readonly lost: readonly string[] }[] {
    const out: { name: string; kept: string; lost: string[] }[] = [];
    for (const s of this.speakers) {
      if (s.registered) continue;
      const kept = this.speakers.find((x) => x.registered && x.calicoName === s.calicoName)!.node;
      const c = out.find((x) => x.name === s.calicoName);
      if (c === undefined) out.push({ name: s.calicoName, kept, lost: [s.node] });
      else c.lost.push(s.node);
    }
    return out;
  }

  /** Sessions that the configuration asks for, once per pair of nodes. */
  #links(): Link[] {
    const links: Link[] = [];
    const add = (a: string, b: string, type: PeerType): void => {
      if (a === b || links.some((l) => (l.a === a && l.b === b) || (l.a === b && l.b === a))) return;
      links.push({ a, b, type });
    };
    this.#external.length = 0;
    for (const o of this.#peers) {
      const s = fields(o.raw.spec);
      const from = this.#select(text(s.node), text(s.nodeSelector), o);
      const type: PeerType =
        text(s.node) === undefined && text(s.nodeSelector) === undefined ? "global" : "node specific";
      const selector = text(s.peerSelector);
      const ip = text(s.peerIP)?.split(":")[0];
      for (const a of from) {
        if (selector !== undefined) {
          for (const b of this.#select(undefined, selector, o)) add(a.node, b.node, type);
        } else if (ip !== undefined) {
          const b = this.speakers.find((x) => x.registered && x.address === ip);
          if (b !== undefined) add(a.node, b.node, type);
          else this.#external.push({ node: a.node, address: ip, type });
        }
      }
    }
    if (this.config.nodeToNodeMesh) {
      for (const a of this.speakers) {
        for (const b of this.speakers) {
          // Route reflectors of a cluster id are left out of the mesh's templates.
          if (b.registered && a.clusterId === undefined && b.clusterId === undefined)
            add(a.node, b.node, "node-to-node mesh");
        }
      }
    }
    return links;
  }

  #select(name: string | undefined, selector: string | undefined, o: K8sObject): BgpSpeaker[] {
    if (name !== undefined) return this.speakers.filter((s) => s.calicoName === name);
    const p = parseSelector(selector ?? "all()", o.pos(["spec"]));
    return this.speakers.filter((s) => p.matches(s.labels));
  }

  #speaker(node: string): BgpSpeaker {
    return this.speakers.find((s) => s.node === node)!;
  }

  /**
   * A session stands when both sides configure each other, run, and reach each other. A side that lost its registration
   * calls, but nobody there expects a call from its address.
   */
  #established(l: Link): boolean {
    const a = this.#speaker(l.a);
    const b = this.#speaker(l.b);
    return (
      a.up &&
      b.up &&
      a.registered &&
      b.registered &&
      this.reachable(a.address, b.address) &&
      this.reachable(b.address, a.address)
    );
  }

  /** Nodes whose blocks a node has learned. */
  learned(node: string): Set<string> {
    const out = new Set<string>();
    if (!this.config.bgp) return out;
    const up = this.#links().filter((l) => this.#established(l));
    const peersOf = (n: string): string[] => up.flatMap((l) => (l.a === n ? [l.b] : l.b === n ? [l.a] : []));
    // Directly, and what reflectors pass on: between their clients, from reflector to reflector of another cluster id.
    const queue = peersOf(node).map((p) => ({ at: p, from: node }));
    const seen = new Set<string>([node]);
    for (const p of peersOf(node)) seen.add(p);
    while (queue.length > 0) {
      const { at } = queue.shift()!;
      out.add(at);
      if (this.#speaker(at).clusterId === undefined) continue;
      for (const next of peersOf(at)) {
        if (seen.has(next)) continue;
        seen.add(next);
        queue.push({ at: next, from: at });
      }
    }
    return out;
  }

  /** Sessions of a node as its BIRD shows them. */
  sessions(node: string): BgpSession[] {
    const me = this.#speaker(node);
    if (!this.config.bgp || !me.up) return [];
    const out: BgpSession[] = [];
    const add = (address: string, type: PeerType, ok: boolean, peerUp: boolean): void => {
      const key = `${node} ${address}`;
      let s = this.#since.get(key);
      if (s === undefined || s.up !== ok) {
        s = { up: ok, ns: this.now() };
        this.#since.set(key, s);
      }
      out.push({
        peerAddress: address,
        peerType: type,
        state: ok ? "up" : "start",
        info: ok ? "Established" : peerUp ? "Connect" : "Active",
        detail: ok || peerUp ? "" : "Socket: Connection refused",
        sinceNs: s.ns,
      });
    };
    for (const l of this.#links()) {
      if (l.a !== node && l.b !== node) continue;
      const peer = this.#speaker(l.a === node ? l.b : l.a);
      // A node that is not in the datastore is in nobody's configuration.
      if (!peer.registered) continue;
      add(peer.address, l.type, this.#established(l), peer.up);
    }
    for (const e of this.#external) if (e.node === node) add(e.address, e.type, false, true);
    return out;
  }

  /** What the readiness probe of calico-node says; undefined when it is ready. */
  notReady(node: string): string | undefined {
    const s = this.#speaker(node);
    if (this.config.bgp && !s.up) return "calico/node is not ready: BIRD is not ready: BIRD is not live";
    const down = this.sessions(node).filter((x) => x.state !== "up");
    if (down.length === 0) return undefined;
    return `calico/node is not ready: BIRD is not ready: BGP not established with ${down.map((x) => x.peerAddress).join(",")}`;
  }
}

/**
 * `calicoctl node status`. SINCE is a time of day, or a date once older than a day; `epochMs` is the wall clock of
 * virtual time 0.
 */
export function nodeStatusText(sessions: readonly BgpSession[], nowNs: number, epochMs: number): string {
  let out = "Calico process is running.\n\nIPv4 BGP status\n";
  if (sessions.length === 0) out += "No IPv4 peers found.\n";
  else {
    out += table(
      ["PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO"],
      sessions.map((s) => [
        s.peerAddress,
        s.peerType,
        s.state,
        since(s.sinceNs, nowNs, epochMs),
        `${s.info}${s.detail === "" ? "" : ` ${s.detail}`}`,
      ]),
    );
  }
  return `${out}\nIPv6 BGP status\nNo IPv6 peers found.\n\n`;
}

function since(ns: number, nowNs: number, epochMs: number): string {
  const iso = new Date(epochMs + ns / 1e6).toISOString();
  return nowNs - ns > 86_400e9 ? iso.slice(0, 10) : iso.slice(11, 19);
}

/** A table as calicoctl draws it: headings centred, cells to the left. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = head.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i]!.length)));
  const line = `+${width.map((w) => "-".repeat(w + 2)).join("+")}+\n`;
  const centre = (h: string, w: number): string => {
    const left = Math.floor((w - h.length) / 2);
    return " ".repeat(left) + h + " ".repeat(w - h.length - left);
  };
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return (
    line +
    row(head.map((h, i) => centre(h, width[i]!))) +
    line +
    rows.map((r) => row(r.map((c, i) => c.padEnd(width[i]!)))).join("") +
    line
  );
}

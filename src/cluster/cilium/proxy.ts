// The L7 proxy of a node (Envoy with Cilium's filters), as far as packets show it: it listens on the proxy ports of the
// node's redirects, takes what TPROXY hands it, and opens a connection of its own to where the client wanted to go, with
// the client's address and port and the client's identity in the mark. What it is told at L7 is not evaluated: every
// request passes, byte for byte. IPv4 TCP.

import type { CiliumMaps } from "../../../maps/cilium_maps.js";
import { IpcacheKey, ipcacheSecIdentity } from "../../../maps/ipcache.js";
import { NONE } from "../../../maps/spec.js";
import type { Netns } from "../../kernel/netns.js";
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_LAST_ACK,
  TCP_TIME_WAIT,
  TcpSock,
} from "../../kernel/tcp.js";
import { parseIpv4 } from "../../net/address.js";

/** MARK_MAGIC_PROXY_INGRESS and _EGRESS. */
const MARK_INGRESS = 0x0a00;
const MARK_EGRESS = 0x0b00;

/** A port that redirects lead to. */
export interface ProxyPort {
  readonly name: string;
  readonly port: number;
  readonly ingress: boolean;
}

export class NodeProxy {
  readonly #listeners: TcpSock[] = [];
  /** Connections taken from clients so far. */
  accepted = 0;

  constructor(
    private readonly ns: Netns,
    ports: readonly ProxyPort[],
    private readonly maps: CiliumMaps,
  ) {
    for (const p of ports) {
      const sock = new TcpSock(ns);
      sock.transparent = true;
      // What it sends back to clients says which side it is on, and nobody's identity.
      sock.mark = p.ingress ? MARK_INGRESS : MARK_EGRESS;
      if (sock.bind(parseIpv4("127.0.0.1"), p.port) !== 0) continue;
      sock.listen(128);
      sock.onAccept = () => {
        for (let c = sock.accept(); c !== null; c = sock.accept()) {
          this.accepted++;
          this.#serve(c);
        }
      };
      this.#listeners.push(sock);
    }
  }

  /** Stops listening: what is redirected then finds no socket. */
  close(): void {
    for (const l of this.#listeners) l.close();
    this.#listeners.length = 0;
  }

  /** The connection to where the client meant to go. */
  #connect(client: TcpSock): TcpSock | null {
    const up = new TcpSock(this.ns);
    up.transparent = true;
    const identity = this.#identityOf(client.daddr);
    up.mark = client.mark | (identity << 16) | ((identity >>> 16) & 0xff);
    if (up.bind(client.daddr, client.dport) !== 0) return null;
    return up.connect(client.saddr, client.sport) === 0 ? up : null;
  }

  /** What the node's ipcache says of an address (Be32); 0 if nothing. */
  #identityOf(address: number): number {
    const map = this.maps.cilium_ipcache_v2;
    const slot = map.lookup(new IpcacheKey().setIpv4(address, 32).words);
    return slot === NONE ? 0 : ipcacheSecIdentity(map, slot);
  }

  /** One client: nothing is opened upstream before its request begins. */
  #serve(client: TcpSock): void {
    const forward = new Pipe();
    const back = new Pipe();
    let up: TcpSock | null = null;
    let busy = false;
    const step = (): void => {
      // Sending and closing wake the sockets again.
      if (busy) return;
      busy = true;
      forward.read(client);
      if (up === null && forward.waiting) {
        up = this.#connect(client);
        if (up === null) client.abort();
        else up.onEvent = step;
      }
      if (up !== null) {
        back.read(up);
        forward.write(up);
        back.write(client);
        if (ended(client) && !forward.waiting) up.shutdown();
        if (ended(up) && !back.waiting) client.shutdown();
      } else if (ended(client)) client.shutdown();
      busy = false;
    };
    client.onEvent = step;
    step();
  }
}

/** The other end has sent its last byte, or the connection is gone. */
function ended(s: TcpSock): boolean {
  switch (s.state) {
    case TCP_CLOSE_WAIT:
    case TCP_CLOSING:
    case TCP_LAST_ACK:
    case TCP_TIME_WAIT:
    case TCP_CLOSE:
      return true;
    default:
      return false;
  }
}

/** Bytes read from one connection and not yet taken by the other. */
class Pipe {
  #bytes: Uint8Array = new Uint8Array(0);

  get waiting(): boolean {
    return this.#bytes.length > 0;
  }

  read(from: TcpSock): void {
    const more = from.recv(1 << 20);
    if (more.length === 0) return;
    const all = new Uint8Array(this.#bytes.length + more.length);
    all.set(this.#bytes);
    all.set(more, this.#bytes.length);
    this.#bytes = all;
  }

  write(to: TcpSock): void {
    if (!this.waiting || !to.connected) return;
    const n = to.send(this.#bytes);
    // A connection that broke takes nothing any more.
    this.#bytes = n < 0 && to.state === TCP_CLOSE ? new Uint8Array(0) : this.#bytes.subarray(Math.max(n, 0));
  }
}

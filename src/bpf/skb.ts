// The packet: one reusable object over one byte buffer with headroom, after struct sk_buff and struct __sk_buff.
//
//   |<- headroom ->|<------- frame ------->|<- tailroom ->|
//   0             data                    tail        capacity
//
// `data` is the Ethernet header on devices that have one and the IP header on those that have none (tunl0).
// Numbers that are u32 in C are kept as signed int32: V8 stores those without boxing. `>>> 0` at the border.

/** Bytes in front of a freshly filled frame; room for a VXLAN/IPv6 outer header and more. */
export const SKB_HEADROOM = 192;
/** Usual buffer size: headroom, a 1514-byte frame, and tailroom for options that programs add. */
export const SKB_CAPACITY = 2048;

export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;
export const PACKET_OUTGOING = 4;

/** Metadata of a tunnel, after struct bpf_tunnel_key: set for transmission, or what came with a received packet. */
export class TunnelKey {
  /** VNI. */
  id = 0;
  /** Other end, Be32 (IPv4) ... */
  remoteIp4 = 0;
  /** ... or 16 bytes (IPv6), when `isIp6`. */
  readonly remoteIp6 = new Uint8Array(16);
  /** Own end if it was given or received, Be32; 0 = chosen by route. */
  localIp4 = 0;
  isIp6 = false;
  tos = 0;
  ttl = 0;
  /** Flow label (IPv6). */
  label = 0;
  /** BPF_F_* flags of skb_set_tunnel_key. */
  flags = 0;
  /** Geneve options. */
  readonly opt = new Uint8Array(255);
  optLen = 0;
  /** False: the packet has no tunnel metadata. */
  present = false;

  clear(): void {
    this.present = false;
    this.isIp6 = false;
    this.id = 0;
    this.remoteIp4 = 0;
    this.localIp4 = 0;
    this.tos = 0;
    this.ttl = 0;
    this.label = 0;
    this.flags = 0;
    this.optLen = 0;
  }

  copyFrom(k: TunnelKey): void {
    this.present = k.present;
    this.isIp6 = k.isIp6;
    this.id = k.id;
    this.remoteIp4 = k.remoteIp4;
    this.localIp4 = k.localIp4;
    if (k.isIp6) this.remoteIp6.set(k.remoteIp6);
    this.tos = k.tos;
    this.ttl = k.ttl;
    this.label = k.label;
    this.flags = k.flags;
    if (k.optLen > 0) this.opt.set(k.opt);
    this.optLen = k.optLen;
  }
}

/** What the kernel hangs on a packet and programs never look into (conntrack entry, socket, route, device). */
export type Opaque = object | null;

export class Skb {
  bytes: Uint8Array;
  view: DataView;
  /** Offset of the first byte of the frame. */
  data = SKB_HEADROOM;
  /** Offset one past the last byte of the frame. */
  tail = SKB_HEADROOM;
  /** Offset of the network header, valid once the kernel has parsed the frame. */
  network = 0;
  /** Offset of the link-layer header (skb->mac_header), -1 = none; kept by the kernel model. */
  mac = -1;
  /** IPCB(skb)->flags of the kernel model. */
  ipcb = 0;
  /** IPCB(skb)->frag_max_size: the largest fragment this packet was put together from; 0 = it arrived whole. */
  fragMaxSize = 0;
  /** Sizes of the fragments it was put together from (skb_shinfo->frag_list), or null. */
  frags: Opaque = null;
  /** skb->dst_pending_confirm: whoever resolves its next hop may take it for proof that the neighbour answers. */
  dstConfirm = false;
  /** nf_bridge_info: the bridge ports it came in by and leaves by, while br_netfilter has it; null otherwise. */
  physInDev: Opaque = null;
  physOutDev: Opaque = null;
  /** nf_bridge_info.neigh_header of a bridged packet that the neighbour code has: its source MAC; -1 otherwise. */
  bridgedDnat = -1;
  /** True while the skb lies in a pool of free ones. */
  free = false;
  /** EtherType, host order. */
  protocol = 0;

  /** skb->dev->ifindex. */
  ifindex = 0;
  /** skb->skb_iif: the device it came in on; 0 for packets made here. */
  ingressIfindex = 0;
  mark = 0;
  priority = 0;
  /** Flow hash; 0 = not computed. */
  hash = 0;
  pktType = PACKET_HOST;
  tcIndex = 0;
  tcClassid = 0;
  queueMapping = 0;
  /** VLAN tag in skb metadata; -1 = none. */
  vlanTci = -1;
  /** GSO segment size; 0 = not GSO. */
  gsoSize = 0;
  readonly cb = new Int32Array(5);
  /** [0]: skb->tstamp (EDT), nanoseconds. A typed array, so that storing a double does not box it. */
  readonly tstamp = new Float64Array(1);
  readonly tunnel = new TunnelKey();
  /** Metadata word in front of the packet that an XDP program left for tc. */
  xdpMeta = 0;

  /** Which modelled CPU works on it. */
  cpu = 0;
  /** Identity that no header carries: the same through NAT, encapsulation and nodes. 0 = not followed. */
  id = 0;

  /** Number of the network namespace it is in; kept by the kernel model for walk records. */
  netns = 0;
  /** skb->dev. */
  dev: Opaque = null;
  /** skb->_nfct: conntrack entry, with its ctinfo in `nfctinfo`. */
  nfct: Opaque = null;
  nfctinfo = 0;
  /** skb->nf_trace: id under which netfilter traces the packet; 0 = it does not. */
  nfTrace = 0;
  /** skb->ipvs_property: IPVS has dealt with it. */
  ipvsProperty = false;
  /** skb->sk: the socket that owns it. */
  sk: Opaque = null;
  /** skb->_skb_refdst: the route. */
  dst: Opaque = null;
  /** Next in a list (backlog, neighbour queue, pool). */
  next: Skb | null = null;

  constructor(capacity: number = SKB_CAPACITY) {
    const buf = new ArrayBuffer(capacity);
    this.bytes = new Uint8Array(buf);
    this.view = new DataView(buf);
  }

  /** Length of the frame in bytes. */
  get len(): number {
    return this.tail - this.data;
  }

  get capacity(): number {
    return this.bytes.length;
  }

  /** Forgets everything about the former packet; the frame is empty. */
  reset(): void {
    this.data = SKB_HEADROOM;
    this.tail = SKB_HEADROOM;
    this.network = 0;
    this.mac = -1;
    this.ipcb = 0;
    this.fragMaxSize = 0;
    this.frags = null;
    this.dstConfirm = false;
    this.physInDev = null;
    this.physOutDev = null;
    this.bridgedDnat = -1;
    this.protocol = 0;
    this.ifindex = 0;
    this.ingressIfindex = 0;
    this.mark = 0;
    this.priority = 0;
    this.hash = 0;
    this.pktType = PACKET_HOST;
    this.tcIndex = 0;
    this.tcClassid = 0;
    this.queueMapping = 0;
    this.vlanTci = -1;
    this.gsoSize = 0;
    // A call of fill costs more than these stores.
    const { cb } = this;
    for (let i = 0; i < 5; i++) cb[i] = 0;
    this.tstamp[0] = 0;
    if (this.tunnel.present) this.tunnel.clear();
    this.xdpMeta = 0;
    this.cpu = 0;
    this.id = 0;
    this.netns = 0;
    this.dev = null;
    this.nfct = null;
    this.nfctinfo = 0;
    this.nfTrace = 0;
    this.ipvsProperty = false;
    this.sk = null;
    this.dst = null;
    this.next = null;
  }

  /** Puts a frame into the buffer, which grows if it must. Metadata is left alone. */
  setFrame(frame: Uint8Array, offset = 0, length: number = frame.length - offset): void {
    this.ensure(SKB_HEADROOM + length);
    this.data = SKB_HEADROOM;
    this.tail = SKB_HEADROOM + length;
    const { bytes } = this;
    for (let i = 0; i < length; i++) bytes[SKB_HEADROOM + i] = frame[offset + i]!;
  }

  /** Copy of the frame. */
  frame(): Uint8Array {
    return this.bytes.slice(this.data, this.tail);
  }

  /** skb_push: `n` more bytes at the front. False if the headroom is too small. */
  push(n: number): boolean {
    if (this.data < n) return false;
    this.data -= n;
    return true;
  }

  /** skb_pull: `n` bytes fewer at the front. False if the frame is shorter. */
  pull(n: number): boolean {
    if (this.tail - this.data < n) return false;
    this.data += n;
    return true;
  }

  /** skb_put: `n` more bytes at the end, zeroed. */
  put(n: number): void {
    this.ensure(this.tail + n);
    this.bytes.fill(0, this.tail, this.tail + n);
    this.tail += n;
  }

  /** skb_trim: cut the frame to `len` bytes; longer is left alone. */
  trim(len: number): void {
    if (len < this.tail - this.data) this.tail = this.data + len;
  }

  /** Makes sure that the buffer has `end` bytes; a growth moves the bytes into a new buffer (rare, never on usual frames). */
  ensure(end: number): void {
    if (end <= this.bytes.length) return;
    let cap = this.bytes.length * 2;
    while (cap < end) cap *= 2;
    const bytes = new Uint8Array(cap);
    bytes.set(this.bytes);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}

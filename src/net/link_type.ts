// Link types of captures (the registry behind libpcap's pcap-linktype(7)) and what lies behind each: where the
// network header of a captured packet starts and which EtherType it has.

import * as ethernet from "./ethernet.js";
import * as sll from "./sll.js";

export const LINKTYPE_NULL = 0;
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LOOP = 108;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_LINUX_SLL2 = 276;

/** Values of DLT_RAW that some systems wrote into files instead of 101. */
const DLT_RAW = 12;
const DLT_RAW_OPENBSD = 14;

/** The link type that a number in a file stands for. */
export function canonicalLinkType(n: number): number {
  return n === DLT_RAW || n === DLT_RAW_OPENBSD ? LINKTYPE_RAW : n;
}

/** Where `locateNetwork` found the network header. */
export class LinkLocation {
  /** EtherType, host order; 0 = unknown. VLAN tags are passed. */
  proto = 0;
  /** Offset of the network header. */
  offset = 0;
  /** PACKET_ type of cooked captures, -1 for the others. */
  pktType = -1;
  /** Interface index of cooked v2, 0 otherwise. */
  ifindex = 0;
}

/** Finds the network header of a packet of that link type in [off, end). False if it is too short or unknown. */
export function locateNetwork(
  linkType: number,
  view: DataView,
  off: number,
  end: number,
  at: LinkLocation,
): boolean {
  at.pktType = -1;
  at.ifindex = 0;
  switch (linkType) {
    case LINKTYPE_ETHERNET:
      if (off + ethernet.ETH_HLEN > end) return false;
      at.proto = ethernet.proto(view, off);
      at.offset = off + ethernet.ETH_HLEN;
      break;
    case LINKTYPE_RAW:
    case LINKTYPE_IPV4:
    case LINKTYPE_IPV6: {
      if (off >= end) return false;
      const v = view.getUint8(off) >> 4;
      at.proto = v === 6 ? ethernet.ETH_P_IPV6 : v === 4 ? ethernet.ETH_P_IP : 0;
      at.offset = off;
      return at.proto !== 0;
    }
    case LINKTYPE_LINUX_SLL:
      if (off + sll.SLL_HLEN > end) return false;
      at.proto = sll.proto(view, off);
      at.pktType = sll.pktType(view, off);
      at.offset = off + sll.SLL_HLEN;
      break;
    case LINKTYPE_LINUX_SLL2:
      if (off + sll.SLL2_HLEN > end) return false;
      at.proto = sll.proto2(view, off);
      at.pktType = sll.pktType2(view, off);
      at.ifindex = sll.ifindex2(view, off);
      at.offset = off + sll.SLL2_HLEN;
      break;
    default:
      return false;
  }
  while (ethernet.isVlan(at.proto)) {
    if (at.offset + ethernet.VLAN_HLEN > end) return false;
    at.proto = view.getUint16(at.offset + 2);
    at.offset += ethernet.VLAN_HLEN;
  }
  return true;
}

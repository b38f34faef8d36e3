// A capture file of either format, told apart by its first bytes, as one list of packets in file order.

import { PodpathError } from "../base/errors.js";
import { type CapturedPacket, isPcap, readPcap } from "./pcap.js";
import { isPcapng, readPcapng } from "./pcapng.js";

/** A packet with what its file says about the interface it was captured on. */
export interface CaptureRecord extends CapturedPacket {
  readonly linkType: number;
  /** Interface name (pcapng only). */
  readonly ifName?: string;
  readonly comments?: readonly string[];
  /** 1 inbound, 2 outbound, 0 or absent unknown. */
  readonly direction?: number;
}

export interface Capture {
  readonly format: "pcap" | "pcapng";
  readonly packets: readonly CaptureRecord[];
  /** A sentence if the file ends inside a packet; that packet is the last one, and marked. */
  readonly truncated?: string;
}

/**
 * Reads a pcap or pcapng file.
 * @throws PodpathError PCAP_INVALID with the byte offset of what is wrong
 */
export function readCapture(bytes: Uint8Array): Capture {
  if (isPcap(bytes)) {
    const f = readPcap(bytes);
    return {
      format: "pcap",
      packets: f.packets.map((p) => ({ ...p, linkType: f.header.linkType })),
      ...(f.truncated ? { truncated: f.truncated.message } : {}),
    };
  }
  if (!isPcapng(bytes)) {
    throw new PodpathError("PCAP_INVALID", "neither a pcap nor a pcapng file: unknown magic at byte 0");
  }
  const f = readPcapng(bytes);
  const packets: CaptureRecord[] = [];
  for (const s of f.sections) {
    for (const p of s.packets) {
      const iface = s.interfaces[p.interfaceIndex]!;
      packets.push({
        sec: p.sec,
        nsec: p.nsec,
        bytes: p.bytes,
        origLen: p.origLen,
        linkType: iface.linkType,
        ...(p.truncated ? { truncated: true } : {}),
        ...(iface.name !== undefined ? { ifName: iface.name } : {}),
        ...(p.comments !== undefined ? { comments: p.comments } : {}),
        ...(p.flags !== undefined ? { direction: p.flags & 3 } : {}),
      });
    }
  }
  return {
    format: "pcapng",
    packets,
    ...(f.truncated ? { truncated: f.truncated.message } : {}),
  };
}

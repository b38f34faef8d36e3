// A comparison as a pcapng file: one interface for each hook that a packet met (datapath, namespace, device, hook), each
// packet with a comment that says what happened there. Snapshots hold the first 128 bytes; original lengths are kept.

import { Step } from "../bpf/steps.js";
import { LINKTYPE_ETHERNET, LINKTYPE_RAW } from "../net/link_type.js";
import { PcapngWriter } from "../net/pcapng.js";
import type { ComparedStep, Comparison } from "./compare.js";
import { changesLine, stepLine } from "./compare_text.js";

/** Hook of a step as the interface name says it; undefined for steps that no capture shows. */
export function hookOf(s: ComparedStep): string | undefined {
  switch (s.kind) {
    case Step.DEV_XMIT:
      return "xmit";
    case Step.DEV_RX:
      return "receive";
    case Step.PROG:
      return s.detail;
    case Step.NF_HOOK:
      return s.name;
    case Step.ENCAP:
    case Step.DECAP:
    case Step.DROP:
      return s.what;
    case Step.LOCAL_IN:
      return "local in";
    default:
      return undefined;
  }
}

/** The file's bytes. */
export function comparisonPcapng(c: Comparison): Uint8Array {
  const w = new PcapngWriter({ application: "podpath compare" });
  const interfaces = new Map<string, number>();
  for (const dir of c.directions) {
    dir.walks.forEach((walk, i) => {
      for (const s of walk?.steps ?? []) {
        const hook = hookOf(s);
        if (hook === undefined || s.frame.length === 0) continue;
        const linkType = s.ethernet ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
        const name = `${c.datapaths[i]!.name}/${s.where}/${s.device}/${hook}`;
        const key = `${name} ${linkType}`;
        let index = interfaces.get(key);
        if (index === undefined) {
          index = w.addInterface({ name, linkType });
          interfaces.set(key, index);
        }
        const changes = changesLine(s);
        const sec = Math.floor(s.ns / 1e9);
        w.packet(index, sec, s.ns - sec * 1e9, s.frame, {
          origLen: s.bytes,
          comments: [`${dir.direction}: ${stepLine(s)}`, ...(changes === "" ? [] : [changes])],
        });
      }
    });
  }
  return w.take();
}

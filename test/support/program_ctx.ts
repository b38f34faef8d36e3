// A Ctx that stands inside a program with a frame in hand, for tests of single functions of programs/lib.

import type { LpmTrie } from "../../maps/lpm_trie.js";
import { type CompileConfig, type ObjectConfig, objectConfig } from "../../programs/config.js";
import { type Ctx, IS_BPF_LXC, LoadedObject, type ObjectKind } from "../../programs/lib/ctx.js";
import { PlainNode } from "../../src/bench/programs_node.js";

export interface ProgramSetup {
  readonly frame: Uint8Array;
  readonly def?: Partial<CompileConfig>;
  readonly config?: Partial<ObjectConfig>;
  readonly kind?: ObjectKind;
  readonly eventSource?: number;
  readonly policy?: LpmTrie | null;
  readonly ifindex?: number;
  readonly node?: PlainNode;
}

/** Enters the program; the node's reader is there, so events come. */
export function enterProgram(s: ProgramSetup): { ctx: Ctx; node: PlainNode } {
  const node = s.node ?? new PlainNode({ config: s.def ?? {}, reader: true, ipv6: true, ctSize: 64 });
  const obj = new LoadedObject(
    s.kind ?? IS_BPF_LXC,
    objectConfig({ endpoint_id: 1001, host_ep_id: 4, security_label: 20001, ...s.config }),
    s.eventSource ?? 1001,
    s.policy ?? null,
  );
  const { ctx } = node.datapath;
  ctx.enter(node.receive(s.frame, s.ifindex ?? 101), obj);
  return { ctx, node };
}

/** Raw samples out of the node's ring, without its padding. */
export function samples(node: PlainNode): Uint8Array[] {
  const out: Uint8Array[] = [];
  node.maps.cilium_events.read((sample) => out.push(sample.slice()));
  return out;
}

/** Rows of cilium_metrics as `reason direction line file: packets bytes`, sorted. */
export function metricRows(node: PlainNode): string[] {
  return node.maps.cilium_metrics
    .dump()
    .map(({ key, value }) => {
      const k = new DataView(key.buffer, key.byteOffset);
      const v = new DataView(value.buffer, value.byteOffset);
      const counts = `${v.getBigUint64(0, true)} ${v.getBigUint64(8, true)}`;
      return `${key[0]} ${key[1]} ${k.getUint16(2, true)} ${key[4]}: ${counts}`;
    })
    .sort();
}

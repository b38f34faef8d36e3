// What the bytes of the wire cost: checksums, header rewriting, dissection and hashing, fragments, and (for scale)
// the text of one packet. Everything but the text allocates nothing.

import * as b from "../net/build.js";
import { checksum, csum_replace4, ip_decrease_ttl, l4Checksum } from "../net/checksum.js";
import { describeFrame } from "../net/describe.js";
import { dissectFrame, FlowKeys } from "../net/dissect.js";
import {
  FRAG_COMPLETE,
  FragPlan,
  FragTable,
  planFragments,
  writeFragment4,
  writeWhole,
} from "../net/frag.js";
import * as ipv4 from "../net/ipv4.js";
import { HASH_INIT4_SEED, hash_from_tuple_v4 } from "../net/jhash.js";
import { PcapngWriter } from "../net/pcapng.js";
import { flowHashFromKeys, udp_flow_src_port } from "../net/skb_hash.js";
import type { BenchCase, BenchSuite } from "./suite.js";

const BATCH = 1024;
const ETH = b.eth({ src: "02:00:00:00:00:01", dst: "02:00:00:00:00:02" });
const TCP = b.tcp({ src: 40000, dst: 80, flags: 0x10, timestamp: [1, 2] });
const L3 = 14;

function viewOf(f: Uint8Array): DataView {
  return new DataView(f.buffer, f.byteOffset, f.byteLength);
}

// Results go here, so that the compiler cannot leave the work out.
const sink = new Int32Array(1);

function repeat(group: string, name: string, op: () => number, more: Partial<BenchCase> = {}): BenchCase {
  return {
    group,
    name,
    batch: BATCH,
    run: () => {
      let acc = 0;
      for (let i = 0; i < BATCH; i++) acc ^= op();
      sink[0]! ^= acc;
    },
    ...more,
  };
}

function checksums(): BenchCase[] {
  const group = "checksums";
  const small = viewOf(b.buildFrame([ETH, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), TCP]));
  const large = viewOf(
    b.buildFrame([ETH, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), TCP, b.countingBytes(1448)]),
  );
  const l4 = L3 + ipv4.IPV4_HLEN;
  return [
    repeat(group, "IPv4 header", () => checksum(small, L3, 20)),
    repeat(group, "TCP segment without data", () => l4Checksum(small, L3, l4, 32, 6)),
    repeat(group, "TCP segment of 1,448 bytes", () => l4Checksum(large, L3, l4, 1480, 6)),
    repeat(group, "TTL minus one", () => ip_decrease_ttl(small, L3)),
    repeat(group, "one address replaced", () => {
      const was = ipv4.saddr(small, L3);
      csum_replace4(small, L3 + ipv4.OFF_CHECK, was, was + 1);
      ipv4.setSaddr(small, L3, was + 1);
      return was;
    }),
  ];
}

function flows(): BenchCase[] {
  const group = "dissection and hashes";
  const k = new FlowKeys();
  const four = b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" });
  const six = b.ip6({ src: "fd00::1", dst: "fd00::2" });
  const hashed = (layers: (b.Layer | Uint8Array)[]): (() => number) => {
    const f = b.buildFrame([ETH, ...layers]);
    const v = viewOf(f);
    const end = f.length;
    return () => {
      dissectFrame(v, 0, end, k, 0);
      return flowHashFromKeys(k, 1);
    };
  };
  return [
    repeat(group, "TCP over IPv4, keys and hash", hashed([four, TCP])),
    repeat(group, "TCP over IPv6, keys and hash", hashed([six, TCP])),
    repeat(group, "TCP in IPIP, keys and hash", hashed([four, four, TCP])),
    repeat(group, "Maglev hash of a tuple", () => hash_from_tuple_v4(sink[0]!, 1, 2, 6, HASH_INIT4_SEED), {
      unit: "hash",
    }),
    repeat(group, "source port of a UDP tunnel", () => udp_flow_src_port(sink[0]!, 32768, 60999), {
      unit: "port",
    }),
  ];
}

function fragments(): BenchCase[] {
  const group = "fragments";
  const packet = b.buildFrame([
    b.ip4({ src: "10.0.0.1", dst: "10.0.0.2", id: 1, proto: 17 }),
    b.countingBytes(2800),
  ]);
  const v = viewOf(packet);
  const plan = new FragPlan();
  const bufs = [0, 1].map(() => new Uint8Array(1500));
  const views = bufs.map(viewOf);
  const table = new FragTable();
  const out = new Uint8Array(4096);
  const outView = viewOf(out);
  return [
    repeat(group, "2,820 bytes cut in two and put together", () => {
      planFragments(20, packet.length - 20, 1500, plan);
      let n = 0;
      for (let i = 0; i < plan.count; i++) {
        writeFragment4(views[i]!, 0, v, 0, plan, i, false);
        if (table.input4(views[i]!, 0, 0, 0, 0) === FRAG_COMPLETE) {
          n = writeWhole(outView, 0, table.whole!);
        }
      }
      return n;
    }),
  ];
}

function texts(): BenchCase[] {
  const group = "texts and files";
  const frame = b.buildFrame([ETH, b.ip4({ src: "10.0.0.1", dst: "10.0.0.2" }), TCP, b.countingBytes(64)]);
  let writer = new PcapngWriter();
  writer.addInterface({ name: "eth0" });
  let n = 0;
  return [
    repeat(group, "one tcpdump line", () => describeFrame(frame).length, { steady: false }),
    repeat(
      group,
      "one pcapng packet with a comment",
      () => {
        if (++n % BATCH === 0) {
          writer = new PcapngWriter();
          writer.addInterface({ name: "eth0" });
        }
        writer.packet(0, 1, n, frame, { flags: 1, comments: ["from-container"] });
        return n;
      },
      { steady: false },
    ),
  ];
}

/** Suite of src/net. */
export const netSuite: BenchSuite = {
  name: "net",
  cases: () => [...checksums(), ...flows(), ...fragments(), ...texts()],
};

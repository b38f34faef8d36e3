import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { type CaptureRecord, readCapture } from "../../../src/net/capture.js";
import { checksum, ip_decrease_ttl, l4Checksum } from "../../../src/net/checksum.js";
import { describeFrame } from "../../../src/net/describe.js";
import { dissectFrame, FlowKeys } from "../../../src/net/dissect.js";
import { ETH_HLEN, ETH_P_IP } from "../../../src/net/ethernet.js";
import { FRAG_COMPLETE, FragTable, wholeLength, writeWhole } from "../../../src/net/frag.js";
import * as ipv4 from "../../../src/net/ipv4.js";
import { LINKTYPE_ETHERNET, LinkLocation, locateNetwork } from "../../../src/net/link_type.js";
import { readPcap, writePcap } from "../../../src/net/pcap.js";
import * as udp from "../../../src/net/udp.js";

// Captures of a real kernel, which lie beside the repository and not in it.
const DIR = new URL("../../../../shared/vectors/kernel/", import.meta.url).pathname;
const present = existsSync(DIR);

/** Labs that send packets with wrong checksums on purpose, or protocol 4 with a payload made by hand. */
const WRONG_ON_PURPOSE = [
  "calico-felix-rules",
  "calico-ipip-felix-rules",
  "ts-conntrack-invalid",
  "ts-port-unreachable",
];

function needCaptures(ctx: TestContext): void {
  if (!present) ctx.skip("no recorded captures: ../shared/vectors/kernel is absent");
}

interface Recorded {
  readonly lab: string;
  readonly file: string;
  readonly bytes: Uint8Array;
}

function captures(): Recorded[] {
  return readdirSync(DIR, { withFileTypes: true })
    .filter((d) => d.isDirectory())
    .flatMap((d) =>
      readdirSync(join(DIR, d.name))
        .filter((f) => f.endsWith(".pcap"))
        .map((f) => ({
          lab: d.name,
          file: `${d.name}/${f}`,
          bytes: new Uint8Array(readFileSync(join(DIR, d.name, f))),
        })),
    );
}

const viewOf = (b: Uint8Array): DataView => new DataView(b.buffer, b.byteOffset, b.byteLength);

/** Calls `on` with every IPv4 packet, those inside IPIP and VXLAN included. */
function eachIpv4(c: Recorded, on: (v: DataView, at: number, p: CaptureRecord) => void): void {
  const where = new LinkLocation();
  for (const p of readCapture(c.bytes).packets) {
    const v = viewOf(p.bytes);
    if (!locateNetwork(p.linkType, v, 0, p.bytes.length, where) || where.proto !== ETH_P_IP) continue;
    let at = where.offset;
    for (;;) {
      on(v, at, p);
      if (ipv4.isFragment(v, at)) break;
      const inner = at + ipv4.hlen(v, at);
      const proto = ipv4.protocol(v, at);
      if (proto === ipv4.IPPROTO_IPIP) {
        if (inner + 20 > v.byteLength) break;
        at = inner;
      } else if (proto === ipv4.IPPROTO_UDP && udp.dest(v, inner) === 4789) {
        const eth = inner + udp.UDP_HLEN + 8;
        if (eth + ETH_HLEN > v.byteLength || v.getUint16(eth + 12) !== ETH_P_IP) break;
        at = eth + ETH_HLEN;
      } else break;
    }
  }
}

describe("captures recorded with a real kernel", () => {
  it("are read whole and written back byte for byte", (ctx) => {
    needCaptures(ctx);
    const list = captures();
    expect(list.length).toBeGreaterThan(0);
    const different = list.filter((c) => {
      const f = readPcap(c.bytes);
      const again = writePcap(f.packets, {
        little: f.header.little,
        nano: f.header.nano,
        linkType: f.header.linkType,
        snaplen: f.header.snaplen,
      });
      return Buffer.compare(again, c.bytes) !== 0;
    });
    expect(different.map((c) => c.file)).toEqual([]);
  });

  it("hold right checksums in every header of every level, but where a lab breaks them on purpose", (ctx) => {
    needCaptures(ctx);
    const wrong = new Set<string>();
    let checked = 0;
    for (const c of captures()) {
      eachIpv4(c, (v, at) => {
        checked++;
        if (!ipv4.checkOk(v, at)) wrong.add(c.lab);
        const l4 = at + ipv4.hlen(v, at);
        const len = ipv4.totLen(v, at) - ipv4.hlen(v, at);
        if (ipv4.isFragment(v, at) || l4 + len > v.byteLength) return;
        const proto = ipv4.protocol(v, at);
        const hasSum = proto === ipv4.IPPROTO_TCP || (proto === ipv4.IPPROTO_UDP && udp.check(v, l4) !== 0);
        if (hasSum && l4Checksum(v, at, l4, len, proto) !== 0) wrong.add(c.lab);
        if (proto === ipv4.IPPROTO_ICMP && checksum(v, l4, len) !== 0) wrong.add(c.lab);
      });
    }
    expect(checked).toBeGreaterThan(0);
    expect([...wrong].filter((lab) => !WRONG_ON_PURPOSE.includes(lab))).toEqual([]);
  });

  it("keep right checksums when each TTL is lowered", (ctx) => {
    needCaptures(ctx);
    for (const c of captures()) {
      if (WRONG_ON_PURPOSE.includes(c.lab)) continue;
      eachIpv4(c, (v, at) => {
        const ttl = ipv4.ttl(v, at);
        expect(ip_decrease_ttl(v, at)).toBe((ttl - 1) & 0xff);
        expect(ipv4.checkOk(v, at)).toBe(true);
      });
    }
  });

  it("hold fragments that reassemble to packets with right checksums", (ctx) => {
    needCaptures(ctx);
    let complete = 0;
    const wrong: string[] = [];
    for (const c of captures()) {
      const table = new FragTable();
      const dst = new Uint8Array(70_000);
      const out = viewOf(dst);
      eachIpv4(c, (v, at, p) => {
        if (!ipv4.isFragment(v, at)) return;
        if (at + ipv4.totLen(v, at) > v.byteLength) return;
        if (table.input4(v, at, 0, 0, 0) !== FRAG_COMPLETE) return;
        complete++;
        const n = writeWhole(out, 0, table.whole!);
        expect(n).toBe(wholeLength(table.whole!));
        const proto = ipv4.protocol(out, 0);
        const l4 = ipv4.hlen(out, 0);
        const sum =
          proto === ipv4.IPPROTO_ICMP
            ? checksum(out, l4, n - l4)
            : proto === ipv4.IPPROTO_UDP && udp.check(out, l4) !== 0
              ? l4Checksum(out, 0, l4, n - l4, proto)
              : 0;
        if (sum !== 0 || !ipv4.checkOk(out, 0))
          wrong.push(`${c.file}: ${describeFrame(p.bytes, { linkType: p.linkType })}`);
      });
    }
    expect(complete).toBeGreaterThan(0);
    expect(wrong).toEqual([]);
  });

  it("are dissected without a failure", (ctx) => {
    needCaptures(ctx);
    const k = new FlowKeys();
    const failed: string[] = [];
    for (const c of captures()) {
      for (const p of readCapture(c.bytes).packets) {
        if (p.linkType !== LINKTYPE_ETHERNET || p.bytes.length < ETH_HLEN) continue;
        if (!dissectFrame(viewOf(p.bytes), 0, p.bytes.length, k, 0))
          failed.push(`${c.file}: ${describeFrame(p.bytes, { linkType: p.linkType })}`);
      }
    }
    expect(failed).toEqual([]);
  });
});

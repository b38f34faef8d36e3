import { describe, expect, it } from "vitest";
import { isPodpathError } from "../../../src/base/errors.js";
import { readCapture } from "../../../src/net/capture.js";
import * as p from "../../../src/net/pcap.js";
import { fromHex, toHex } from "../../../src/net/view.js";

const hex = (s: string): Uint8Array => fromHex(s.replace(/[\s|]/g, ""))!;

/** The error's text, code included. */
function failure(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    return isPodpathError(e) ? `${e.code}: ${e.message}` : `other: ${String(e)}`;
  }
  return "no error";
}

const LITTLE_USEC = "d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000";
const BIG_USEC = "a1b2c3d4 0002 0004 00000000 00000000 00040000 00000001";
const LITTLE_NSEC = "4d3cb2a1 0200 0400 00000000 00000000 00000400 01000000";
const BIG_NSEC = "a1b23c4d 0002 0004 00000000 00000000 00040000 00000001";

describe("readPcap", () => {
  it("reads both byte orders and both resolutions", () => {
    const files = [
      `${LITTLE_USEC} 01000000 02000000 03000000 05000000 aabbcc`,
      `${BIG_USEC} 00000001 00000002 00000003 00000005 aabbcc`,
      `${LITTLE_NSEC} 01000000 d0070000 03000000 05000000 aabbcc`,
      `${BIG_NSEC} 00000001 000007d0 00000003 00000005 aabbcc`,
    ];
    for (const f of files) {
      expect(p.readPcap(hex(f)).packets).toEqual([{ sec: 1, nsec: 2000, bytes: hex("aabbcc"), origLen: 5 }]);
    }
    expect(files.map((f) => [p.readPcap(hex(f)).header.little, p.readPcap(hex(f)).header.nano])).toEqual([
      [true, false],
      [false, false],
      [true, true],
      [false, true],
    ]);
  });

  it("reads the header's fields, and an empty file of packets", () => {
    expect(p.readPcap(hex(LITTLE_USEC))).toEqual({
      header: {
        little: true,
        nano: false,
        modified: false,
        versionMajor: 2,
        versionMinor: 4,
        snaplen: 262144,
        linkType: 1,
      },
      packets: [],
    });
  });

  it("takes 12 and 14 for raw IP, and separates the FCS length from the link type", () => {
    const link = (n: string): unknown => {
      const { linkType, fcsLen } = p.readPcap(hex(`${LITTLE_USEC.slice(0, -8)}${n}`)).header;
      return [linkType, fcsLen];
    };
    expect([link("0c000000"), link("0e000000"), link("65000000"), link("01000044")]).toEqual([
      [101, undefined],
      [101, undefined],
      [101, undefined],
      [1, 4],
    ]);
  });

  it("reads the modified form with its eight extra bytes a packet", () => {
    const f = hex(
      "34cdb2a1 0200 0400 00000000 00000000 00000400 01000000 | 01000000 02000000 02000000 02000000 0300000008000000 aabb",
    );
    expect(p.readPcap(f).packets).toEqual([{ sec: 1, nsec: 2000, bytes: hex("aabb"), origLen: 2 }]);
  });

  it("keeps a last packet that is cut off, marks it, and says where", () => {
    const f = `${LITTLE_USEC} 01000000 02000000 01000000 01000000 aa | 02000000 00000000 04000000 04000000 bbcc`;
    expect(p.readPcap(hex(f))).toMatchObject({
      packets: [
        { sec: 1, nsec: 2000, bytes: hex("aa"), origLen: 1 },
        { sec: 2, nsec: 0, bytes: hex("bbcc"), origLen: 4, truncated: true },
      ],
      truncated: { offset: 41, message: "pcap: the last packet, at byte 41, has 2 of 4 bytes" },
    });
  });

  it("says when only part of a packet's header is there", () => {
    const f = p.readPcap(hex(`${LITTLE_USEC} 01000000 0200`));
    expect(f.packets).toEqual([]);
    expect(f.truncated).toEqual({
      offset: 24,
      message: "pcap: the last packet header, at byte 24, has 6 of 16 bytes",
    });
  });

  it("refuses what is no pcap file, with the byte that is wrong", () => {
    const rows: [string, string][] = [
      ["", "PCAP_INVALID: pcap: the file ends inside its header at byte 0"],
      ["d4c3", "PCAP_INVALID: pcap: the file ends inside its header at byte 2"],
      ["d4c3b2a1 0200 0400", "PCAP_INVALID: pcap: the file ends inside its header at byte 8"],
      ["01020304 05060708", "PCAP_INVALID: pcap: not a pcap file (magic 0x01020304) at byte 0"],
      [`d4c3b2a1 0300 0400 ${"00".repeat(16)}`, "PCAP_INVALID: pcap: version 3.4 is not supported at byte 4"],
      [
        `${LITTLE_USEC} 01000000 02000000 ffffff7f 05000000`,
        "PCAP_INVALID: pcap: captured length 2147483647 is too large at byte 32",
      ],
    ];
    expect(rows.map(([f]) => failure(() => p.readPcap(hex(f))))).toEqual(rows.map(([, w]) => w));
  });

  it("believes long packets if the file's snapshot length allows them", () => {
    const f = new Uint8Array(24 + 16 + 300_000);
    f.set(
      hex("d4c3b2a1 0200 0400 00000000 00000000 00000800 01000000 | 01000000 00000000 e0930400 e0930400"),
    );
    expect(p.readPcap(f).packets.map((x) => x.bytes.length)).toEqual([300_000]);
  });
});

describe("PcapReader", () => {
  it("gives packets as soon as they are whole, whatever the chunks", () => {
    const file = hex(
      `${LITTLE_USEC} 01000000 02000000 03000000 03000000 aabbcc | 02000000 00000000 01000000 01000000 dd`,
    );
    const r = new p.PcapReader();
    const log: string[] = [];
    for (let i = 0; i < file.length; i++) {
      r.push(file.subarray(i, i + 1));
      for (let x = r.next(); x !== undefined; x = r.next()) log.push(`${i + 1}: ${x.sec} ${toHex(x.bytes)}`);
    }
    expect([log, r.finish(), r.truncated]).toEqual([["43: 1 aabbcc", "60: 2 dd"], undefined, undefined]);
  });
});

describe("PcapWriter", () => {
  const PACKETS = [{ sec: 1, nsec: 2000, bytes: hex("aabbcc"), origLen: 5 }];

  it("writes both byte orders and both resolutions byte for byte", () => {
    const rows: [p.PcapOptions, string][] = [
      [{ little: true, nano: false }, `${LITTLE_USEC} 01000000 02000000 03000000 05000000 aabbcc`],
      [{ little: false, nano: false }, `${BIG_USEC} 00000001 00000002 00000003 00000005 aabbcc`],
      [{ little: true, nano: true }, `${LITTLE_NSEC} 01000000 d0070000 03000000 05000000 aabbcc`],
      [{ little: false, nano: true }, `${BIG_NSEC} 00000001 000007d0 00000003 00000005 aabbcc`],
    ];
    expect(rows.map(([o]) => toHex(p.writePcap(PACKETS, o)))).toEqual(rows.map(([, w]) => toHex(hex(w))));
  });

  it("cuts packets to the snapshot length and keeps their length on the wire", () => {
    const f = p.readPcap(p.writePcap(PACKETS, { snaplen: 2, linkType: 101 }));
    expect([f.header.snaplen, f.header.linkType, f.packets[0]]).toEqual([
      2,
      101,
      { sec: 1, nsec: 2000, bytes: hex("aabb"), origLen: 5 },
    ]);
  });

  it("hands out bytes in pieces that make the same file", () => {
    const w = new p.PcapWriter();
    const parts = [w.take()];
    w.packet(1, 2000, hex("aabbcc"), 5);
    parts.push(w.take(), w.take());
    expect(parts.map(toHex).join("")).toBe(toHex(p.writePcap(PACKETS)));
  });

  it("writes packets larger than its buffer", () => {
    const big = new Uint8Array(100_000).fill(7);
    expect(
      p.readPcap(p.writePcap([{ sec: 0, nsec: 0, bytes: big, origLen: big.length }])).packets[0]!.bytes,
    ).toEqual(big);
  });
});

describe("readCapture", () => {
  it("tells the formats apart and refuses others", () => {
    expect(readCapture(hex(LITTLE_NSEC))).toEqual({ format: "pcap", packets: [] });
    expect(failure(() => readCapture(hex("7f454c46")))).toBe(
      "PCAP_INVALID: neither a pcap nor a pcapng file: unknown magic at byte 0",
    );
    expect(failure(() => readCapture(new Uint8Array(0)))).toBe(
      "PCAP_INVALID: neither a pcap nor a pcapng file: unknown magic at byte 0",
    );
  });

  it("gives every packet its link type and passes on what is cut off", () => {
    const c = readCapture(hex(`${LITTLE_USEC} 01000000 02000000 03000000 05000000 aa`));
    expect(c).toEqual({
      format: "pcap",
      packets: [{ sec: 1, nsec: 2000, bytes: hex("aa"), origLen: 5, truncated: true, linkType: 1 }],
      truncated: "pcap: the last packet, at byte 24, has 1 of 3 bytes",
    });
  });
});

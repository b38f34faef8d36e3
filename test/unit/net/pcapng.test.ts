import { describe, expect, it } from "vitest";
import { isPodpathError } from "../../../src/base/errors.js";
import { readCapture } from "../../../src/net/capture.js";
import * as p from "../../../src/net/pcapng.js";
import { fromHex, toHex } from "../../../src/net/view.js";

const hex = (s: string): Uint8Array => fromHex(s.replace(/[\s|]/g, ""))!;

function failure(run: () => unknown): string {
  try {
    run();
  } catch (e) {
    return isPodpathError(e) ? `${e.code}: ${e.message}` : `other: ${String(e)}`;
  }
  return "no error";
}

const SHB = "0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000";
const SHB_BIG = "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c";
const IDB = "01000000 14000000 0100 0000 00000000 14000000";
const IDB_BIG = "00000001 00000014 0001 0000 00000000 00000014";
const EPB = "06000000 24000000 00000000 00000000 40420f00 03000000 05000000 aabbcc00 24000000";
const EPB_BIG = "00000006 00000024 00000000 00000000 000f4240 00000003 00000005 aabbcc00 00000024";
const PACKET = { interfaceIndex: 0, sec: 1, nsec: 0, bytes: hex("aabbcc"), origLen: 5 };

describe("readPcapng", () => {
  it("reads both byte orders", () => {
    for (const f of [SHB + IDB + EPB, SHB_BIG + IDB_BIG + EPB_BIG]) {
      const { sections, truncated } = p.readPcapng(hex(f));
      expect(truncated).toBeUndefined();
      expect(sections).toEqual([
        {
          little: f.startsWith(SHB),
          versionMajor: 1,
          versionMinor: 0,
          interfaces: [{ linkType: 1, snaplen: 0, tsresol: 6 }],
          packets: [PACKET],
          names: [],
          statistics: [],
        },
      ]);
    }
  });

  it("reads several sections, each in its own byte order with its own interfaces", () => {
    const { sections } = p.readPcapng(hex(SHB + IDB + EPB + SHB_BIG + IDB_BIG + IDB_BIG + EPB_BIG));
    expect(sections.map((s) => [s.little, s.interfaces.length, s.packets])).toEqual([
      [true, 1, [PACKET]],
      [false, 2, [PACKET]],
    ]);
  });

  it("steps over unknown and custom blocks and unknown options", () => {
    const unknown = "ad0b0000 10000000 deadbeef 10000000";
    const opts =
      "06000000 30000000 00000000 00000000 40420f00 03000000 05000000 aabbcc00 39300100 ff000000 00000000 30000000";
    expect(p.readPcapng(hex(SHB + unknown + IDB + unknown + opts)).sections[0]!.packets).toEqual([PACKET]);
  });

  it("reads simple packets and the obsolete packet block", () => {
    const spb = "03000000 14000000 05000000 aabbccdd 14000000";
    const pb = "02000000 24000000 0000 0700 00000000 40420f00 03000000 05000000 aabbcc00 24000000";
    expect(p.readPcapng(hex(SHB + IDB + spb + pb)).sections[0]!.packets).toEqual([
      { interfaceIndex: 0, sec: 0, nsec: 0, timed: false, bytes: hex("aabbccdd"), origLen: 5 },
      PACKET,
    ]);
    const snap3 = "01000000 14000000 0100 0000 03000000 14000000";
    expect(p.readPcapng(hex(SHB + snap3 + spb)).sections[0]!.packets[0]!.bytes).toEqual(hex("aabbcc"));
  });

  it("reads times in decimal and binary units, with an offset", () => {
    const at = (tsresol: number, units: number, offset?: number): [number, number] => {
      const w = new p.PcapngWriter();
      w.addInterface({ tsresol, ...(offset !== undefined ? { tsoffset: offset } : {}) });
      const body = `06000000 20000000 00000000 00000000 ${toHex(new Uint8Array(Uint32Array.of(units).buffer))} 00000000 00000000 20000000`;
      const { sec, nsec } = p.readPcapng(Uint8Array.from([...w.take(), ...hex(body)])).sections[0]!
        .packets[0]!;
      return [sec, nsec];
    };
    expect(at(6, 1_500_000)).toEqual([1, 500_000_000]);
    expect(at(9, 1_500_000_001)).toEqual([1, 500_000_001]);
    expect(at(0, 7)).toEqual([7, 0]);
    expect(at(12, 4_000_001_999)).toEqual([0, 4_000_001]);
    expect(at(0x80 | 10, 1536)).toEqual([1, 500_000_000]);
    expect(at(6, 1_500_000, 100)).toEqual([101, 500_000_000]);
    expect(at(6, 1_500_000, -100)).toEqual([-99, 500_000_000]);
  });

  it("keeps a last packet that is cut off, marks it, and says where", () => {
    const file = hex(SHB + IDB + EPB + EPB);
    const f = p.readPcapng(file.subarray(0, 48 + 36 + 30));
    expect(f.sections[0]!.packets).toEqual([PACKET, { ...PACKET, bytes: hex("aabb"), truncated: true }]);
    expect(f.truncated).toEqual({
      offset: 84,
      message: "pcapng: the last block, at byte 84, has 30 of 36 bytes",
    });
    const short = p.readPcapng(file.subarray(0, 48 + 36 + 5));
    expect([short.sections[0]!.packets.length, short.truncated!.message]).toEqual([
      1,
      "pcapng: the last block header, at byte 84, has 5 of 8 bytes",
    ]);
    const header = p.readPcapng(file.subarray(0, 48 + 36 + 20));
    expect([header.sections[0]!.packets.length, header.truncated!.message]).toEqual([
      1,
      "pcapng: the last block, at byte 84, has 20 of 36 bytes",
    ]);
  });

  it("refuses bad files, with the byte that is wrong", () => {
    const rows: [string, string][] = [
      ["", "pcapng: the file is empty at byte 0"],
      ["0a0d0d0a 1c00", "pcapng: the file ends inside its section header at byte 6"],
      [IDB, "pcapng: not a pcapng file (first block type 0x01000000) at byte 0"],
      ["0a0d0d0a 1c000000 01020304", "pcapng: bad byte-order magic at byte 8"],
      ["0a0d0d0a 1d000000 4d3c2b1a", "pcapng: bad block length 29 at byte 4"],
      ["0a0d0d0a 18000000 4d3c2b1a", "pcapng: bad block length 24 at byte 4"],
      [SHB.replace("0100 0000", "0200 0000"), "pcapng: version 2.0 is not supported at byte 12"],
      [
        SHB.replace(/1c000000$/, "20000000"),
        "pcapng: block length 32 at the end, 28 at the start at byte 24",
      ],
      [`${SHB}01000000 08000000`, "pcapng: bad block length 8 at byte 32"],
      [`${SHB}01000000 000000f0`, "pcapng: block length 4026531840 is too large at byte 32"],
      [`${SHB}01000000 0c000000 0c000000`, "pcapng: block length 12 is below 20 at byte 32"],
      [
        SHB + IDB.replace(/14000000$/, "18000000"),
        "pcapng: block length 24 at the end, 20 at the start at byte 44",
      ],
      [SHB + EPB, "pcapng: interface 0 is not described in its section at byte 36"],
      [
        `${SHB}03000000 14000000 05000000 aabbccdd 14000000`,
        "pcapng: interface 0 is not described in its section at byte 28",
      ],
      [
        SHB + IDB + EPB.replace("03000000", "09000000"),
        "pcapng: captured length 9 runs over its block at byte 68",
      ],
      [
        `${SHB}01000000 18000000 0100 0000 00000000 0200 0900 18000000`,
        "pcapng: option 2 runs over its block at byte 44",
      ],
      [`${SHB}04000000 10000000 0100 0900 10000000`, "pcapng: name record runs over its block at byte 36"],
      [
        `${SHB}04000000 14000000 0100 0400 0a000001 14000000`,
        "pcapng: name record without a name at byte 36",
      ],
    ];
    expect(rows.map(([f]) => failure(() => p.readPcapng(hex(f))))).toEqual(
      rows.map(([, w]) => `PCAP_INVALID: ${w}`),
    );
  });
});

describe("PcapngReader", () => {
  it("gives packets as soon as their block is whole, whatever the chunks, without keeping them", () => {
    const file = hex(SHB + IDB + EPB + EPB);
    const r = new p.PcapngReader({ keepPackets: false });
    const at: number[] = [];
    for (let i = 0; i < file.length; i++) {
      r.push(file.subarray(i, i + 1));
      while (r.next() !== undefined) at.push(i + 1);
    }
    expect([at, r.finish(), r.truncated, r.sections[0]!.packets]).toEqual([
      [84, 120],
      undefined,
      undefined,
      [],
    ]);
  });
});

describe("PcapngWriter", () => {
  it("writes minimal blocks byte for byte, in both byte orders", () => {
    const write = (little: boolean): string => {
      const w = new p.PcapngWriter({ little });
      w.addInterface({ tsresol: 6 });
      w.packet(0, 1, 0, hex("aabbcc"), { origLen: 5 });
      return toHex(w.take());
    };
    expect(write(true)).toBe(toHex(hex(SHB + IDB + EPB)));
    expect(write(false)).toBe(toHex(hex(SHB_BIG + IDB_BIG + EPB_BIG)));
  });

  it("gives back every option of every block", () => {
    for (const little of [true, false]) {
      const w = new p.PcapngWriter({
        little,
        hardware: "hw",
        os: "Linux",
        application: "podpath",
        comments: ["a", "b"],
      });
      const iface = {
        linkType: 113,
        snaplen: 100,
        name: "eth0",
        description: "the wire",
        macAddr: hex("c66d95cd34a2"),
        tsresol: 9,
        tsoffset: -5,
        filter: "icmp",
        os: "Linux 6.18",
        comments: ["node-1"],
      };
      expect(w.addInterface(iface)).toBe(0);
      expect(w.addInterface({ name: "lxc5f949d4fd7fa" })).toBe(1);
      const opts = {
        comments: ["from-container", "verdict forwarded"],
        flags: p.DIRECTION_OUTBOUND | (1 << 2),
        dropCount: 3,
        packetId: 0x1122334455667788n,
        queue: 3,
        verdict: { kind: p.VERDICT_EBPF_TC, value: 7n },
      };
      w.packet(1, 1_700_000_000, 123_456_789, hex("0102030405"), { origLen: 1500, ...opts });
      w.packet(0, 7, 1, new Uint8Array(150));
      w.names([
        { address: "10.0.0.85", names: ["client", "pod-1"] },
        { address: "fd00::85", names: ["client"] },
      ]);
      const st = {
        interfaceIndex: 1,
        time: { sec: 1_700_000_001, nsec: 5 },
        startTime: { sec: 1_700_000_000, nsec: 1 },
        endTime: { sec: 1_700_000_001, nsec: 2 },
        received: 10n,
        dropped: 1n,
        comments: ["done"],
      };
      w.statistics(st);
      const { sections } = p.readPcapng(w.take());
      expect(sections).toEqual([
        {
          little,
          versionMajor: 1,
          versionMinor: 0,
          hardware: "hw",
          os: "Linux",
          application: "podpath",
          comments: ["a", "b"],
          interfaces: [iface, { linkType: 1, snaplen: 0, name: "lxc5f949d4fd7fa", tsresol: 9 }],
          packets: [
            {
              interfaceIndex: 1,
              sec: 1_700_000_000,
              nsec: 123_456_789,
              bytes: hex("0102030405"),
              origLen: 1500,
              ...opts,
            },
            { interfaceIndex: 0, sec: 7, nsec: 1, bytes: new Uint8Array(100), origLen: 150 },
          ],
          names: [
            { address: "10.0.0.85", names: ["client", "pod-1"] },
            { address: "fd00::85", names: ["client"] },
          ],
          statistics: [st],
        },
      ]);
    }
  });

  it("starts a new section with no interfaces", () => {
    const w = new p.PcapngWriter();
    w.addInterface();
    w.section();
    expect(failure(() => w.packet(0, 0, 0, hex("aa")))).toBe("USAGE: pcapng: interface 0 is not described");
    w.addInterface({ name: "b" });
    w.simplePacket(hex("aabbcc"));
    const { sections } = p.readPcapng(w.take());
    expect(sections.map((s) => [s.interfaces.length, s.packets.length])).toEqual([
      [1, 0],
      [1, 1],
    ]);
  });

  it("refuses names of what is no address, and options that do not fit", () => {
    const w = new p.PcapngWriter();
    expect(failure(() => w.names([{ address: "client", names: ["x"] }]))).toBe(
      'ADDRESS_INVALID: "client" is not an IP address',
    );
    expect(failure(() => w.addInterface({ name: "x".repeat(70_000) }))).toBe(
      "USAGE: pcapng: option 2 is longer than 65535 bytes",
    );
  });

  it("refuses a time before the interface's offset", () => {
    const w = new p.PcapngWriter();
    w.addInterface({ tsoffset: 100 });
    expect(failure(() => w.packet(0, 99, 0, hex("aa")))).toBe(
      "USAGE: pcapng: the time 99 s lies before the interface's offset",
    );
  });

  it("keeps text beyond ASCII", () => {
    const w = new p.PcapngWriter({ comments: ["größer → 跨节点"] });
    expect(p.readPcapng(w.take()).sections[0]!.comments).toEqual(["größer → 跨节点"]);
  });
});

describe("readCapture of pcapng", () => {
  it("lists packets in file order with interface, direction and comments", () => {
    const w = new p.PcapngWriter();
    const a = w.addInterface({ name: "eth0", linkType: 101 });
    const b = w.addInterface({ name: "lxc1" });
    w.packet(b, 1, 2, hex("aa"), { flags: p.DIRECTION_INBOUND, comments: ["x"] });
    w.packet(a, 1, 3, hex("bb"));
    w.section();
    w.addInterface();
    w.packet(0, 1, 4, hex("cc"));
    expect(readCapture(w.take())).toEqual({
      format: "pcapng",
      packets: [
        {
          sec: 1,
          nsec: 2,
          bytes: hex("aa"),
          origLen: 1,
          linkType: 1,
          ifName: "lxc1",
          comments: ["x"],
          direction: 1,
        },
        { sec: 1, nsec: 3, bytes: hex("bb"), origLen: 1, linkType: 101, ifName: "eth0" },
        { sec: 1, nsec: 4, bytes: hex("cc"), origLen: 1, linkType: 1 },
      ],
    });
  });
});

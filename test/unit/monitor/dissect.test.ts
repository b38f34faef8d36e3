import { describe, expect, it } from "vitest";
import { PacketPrinter } from "../../../monitor/packet.js";
import { profileOf } from "../../../monitor/release.js";
import { ETH4, ETH6, FRAMES, packet } from "../../support/monitor_samples.js";

const ETHERNET = { l3Device: false, ipv6: false, vxlan: false, geneve: false };

/** Layer lines of a frame, without the ones that a test does not look at. */
function lines(release: string, frame: Uint8Array, kind: object = {}): string[] {
  const text = new PacketPrinter(profileOf(release)).lines(frame, 0, { ...ETHERNET, ...kind });
  return text.split("\n").slice(0, -1);
}

/** What stands behind the layer lines: truncation and errors. */
function tail(release: string, frame: Uint8Array, kind: object = {}): string[] {
  return lines(release, frame, kind).filter((l) => l.startsWith("  "));
}

function names(release: string, frame: Uint8Array, kind: object = {}): string {
  return lines(release, frame, kind)
    .map((l) => l.split("\t")[0])
    .join(" | ");
}

/** `Field=value` of a line. */
function field(line: string | undefined, name: string): string | undefined {
  return line?.match(new RegExp(`[{ ]${name}=(\\[[^\\]]*\\]|[^ }]*)`))?.[1];
}

function ipv4(protocol: string, payload: string, more = ""): Uint8Array {
  const total = (20 + payload.replace(/\s/g, "").length / 2).toString(16).padStart(4, "0");
  return packet(`${ETH4} 4500${total}000000004 0${protocol}0000 0a0000550a00017c ${payload}${more}`);
}

function tcp(options: string, payload = ""): Uint8Array {
  const hex = options.replace(/\s/g, "");
  const words = (5 + hex.length / 8).toString(16);
  return ipv4("06", `870700500000000100000002${words}002 0001 0000 0000`.replace(/\s/g, "") + hex + payload);
}

function options(release: string, hex: string): string | undefined {
  return field(lines(release, tcp(hex))[2], "Options");
}

describe("the chain of layers", () => {
  it("ends silently in 1.19 and with the next layer's name in 1.11", () => {
    const cases: [Uint8Array, string][] = [
      [FRAMES.icmpEcho, "Payload"],
      [FRAMES.arp, "ARP"],
      [FRAMES.udpDns, "DNS"],
      [FRAMES.tcp6, "TLS"],
      [FRAMES.vxlan, "Payload"],
      [FRAMES.geneve, "Geneve"],
      [FRAMES.sctp, "SCTP"],
      [FRAMES.vrrp, "VRRP"],
      [FRAMES.icmp6Solicit, "ICMPv6NeighborSolicitation"],
      [ipv4("2f", "00000800"), "GRE"],
      [ipv4("11", "007b12b5 000a0000 4142"), "VXLAN"],
      [ipv4("11", "d43112b5 000a0000 4142"), "VXLAN"],
      [ipv4("11", "12b5d431 000a0000 4142"), "VXLAN"],
      [packet("42eff87a9ef7ca0efa6c0f30 8100 00640800"), "Dot1Q"],
      [packet("42eff87a9ef7ca0efa6c0f30 0003 424203"), "LLC"],
      [packet(`${ETH4} 45000024000020004006 0000 0a0000550a00017c ${"11".repeat(16)}`), "Fragment"],
    ];
    for (const [frame, next] of cases) {
      expect(tail("1.11", frame)).toEqual([`  Failed to decode layer: No decoder for layer type ${next}`]);
      expect(tail("1.19", frame)).toEqual([]);
    }
  });

  it("ends silently in both where the next layer has no name, or there is no payload", () => {
    for (const release of ["1.19", "1.11"]) {
      expect(tail(release, packet("42eff87a9ef7ca0efa6c0f30 1234 0102030405"))).toEqual([]);
      expect(tail(release, ipv4("fe", "0102"))).toEqual([]);
      expect(tail(release, tcp(""))).toEqual([]);
    }
  });

  it("tells the two MLD queries apart by their size", () => {
    const query = (n: number): Uint8Array =>
      packet(
        `${ETH6} 60000000${(4 + n).toString(16).padStart(4, "0")}3a01 ${"fe80".padEnd(32, "0")}${"ff02".padEnd(32, "0")} 82000000 ${"00".repeat(n)}`,
      );
    expect(tail("1.11", query(20))).toEqual([
      "  Failed to decode layer: No decoder for layer type MLDv1MulticastListenerQuery",
    ]);
    expect(tail("1.11", query(21))).toEqual([
      "  Failed to decode layer: No decoder for layer type MLDv2MulticastListenerQuery",
    ]);
  });

  it("prints the inner of two headers of one kind twice", () => {
    const [, outer, inner] = lines("1.19", FRAMES.ipip);
    expect(outer).toBe(inner);
    expect(field(inner, "SrcIP")).toBe("10.0.0.85");
  });

  it("leaves in the record what a failing second header had set: all of it in 1.11, two fields in 1.19", () => {
    // The inner header says 5 words but 16 bytes of total length.
    const frame = packet(
      `${ETH4} 45000028000000004004 0000 0a0000010a000002 4500001000000000 40060000 0a0000550a00017c`,
    );
    const old = lines("1.11", frame);
    expect([field(old[1], "SrcIP"), field(old[1], "Length"), field(old[1], "Contents")]).toEqual([
      "10.0.0.85",
      "16",
      "[..20..]",
    ]);
    const now = lines("1.19", frame);
    expect([field(now[1], "SrcIP"), field(now[1], "Length"), field(now[1], "Payload")]).toEqual([
      "10.0.0.1",
      "16",
      "[..20..]",
    ]);
    expect(old[2]).toBe("  Failed to decode layer: Invalid (too small) IP length (16 < 20)");
    expect(now[2]).toBe(old[2]);
  });
});

describe("IPv4", () => {
  it("takes a total length of 0 as what is there, ring padding included", () => {
    const frame = packet(`${ETH4} 450000000000000040010000 0a0000550a00017c 0800f7ff00000000 5a5a`);
    const [, ip, icmp] = lines("1.19", frame);
    expect([field(ip, "Length"), field(ip, "Payload"), field(icmp, "Payload")]).toEqual([
      "30",
      "[..10..]",
      "[90, 90]",
    ]);
  });

  it("lists options and padding, and counts more than four", () => {
    const header = (optionHex: string): Uint8Array =>
      packet(
        `${ETH4} ${(0x45 + optionHex.replace(/\s/g, "").length / 8).toString(16)}00${(28 + optionHex.replace(/\s/g, "").length / 2).toString(16).padStart(4, "0")}000000004001 0000 0a0000550a00017c ${optionHex} 0800f7ff00000000`,
      );
    const ip = (hex: string): string | undefined => lines("1.19", header(hex))[1];
    expect(ip("01 940400 00 00 0102")).toContain("Options=[IPv4Option(1:[]), IPv4Option(148:[0 0])");
    expect(field(ip("01 00 0a0b"), "Padding")).toBe("[10, 11]");
    expect(field(ip("01010101 01000000"), "Options")).toBe("[..6..]");
    expect(tail("1.19", header("01010182"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: Invalid ip4 option length. Length 1 less than 2",
    ]);
    expect(tail("1.19", header("82ff0000"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: IP option length exceeds remaining IP header size, option type 130 length 255",
    ]);
    expect(tail("1.19", header("82020000"))).toEqual([
      "  Failed to decode layer: Invalid IP option type 130 length 2. Must be greater than 2",
    ]);
  });

  it("checks in the decoder's order and words", () => {
    const bad = (hex: string): string[] =>
      tail("1.19", packet(`${ETH4} ${hex} 0000000040010000 0a0000550a00017c`));
    expect(bad("44000014")).toEqual([
      "  Failed to decode layer: Invalid (too small) IP header length (4 < 5)",
    ]);
    expect(bad("46000014")).toEqual([
      "  Failed to decode layer: Invalid IP header length > IP length (6 > 20)",
    ]);
    expect(bad("4600001c")).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: Not all IP header bytes available",
    ]);
    expect(bad("44000010")).toEqual(["  Failed to decode layer: Invalid (too small) IP length (16 < 20)"]);
  });
});

describe("IPv6", () => {
  const addresses = `${"fd".padEnd(30, "0")}01 ${"fd".padEnd(30, "0")}02`;
  const hbh = (length: string, options: string, rest = ""): Uint8Array =>
    packet(`${ETH6} 60000000${length}0040 ${addresses} 3b00${options}${rest}`);

  it("wants a jumbogram option where the length is 0", () => {
    expect(tail("1.19", packet(`${ETH6} 6000000000003b40 ${addresses}`))).toEqual([
      "  Failed to decode layer: IPv6 length 0, but next header is NoNextHeader, not HopByHop",
    ]);
    expect(tail("1.19", hbh("0000", "010400000000"))).toEqual([
      "  Failed to decode layer: IPv6 length 0, but HopByHop header does not have jumbogram option",
    ]);
    expect(tail("1.19", hbh("0000", "c20400010000"))).toEqual(["  Packet has been truncated"]);
    expect(tail("1.19", hbh("0008", "c20400010000"))).toEqual([
      "  Failed to decode layer: IPv6 has jumbo length and IPv6 length is not 0",
    ]);
    expect(tail("1.19", hbh("0000", "c2040000ffff"))).toEqual([
      "  Failed to decode layer: Jumbo length cannot be less than 65536",
    ]);
    expect(tail("1.19", hbh("0000", "c20200000100"))).toEqual([
      "  Failed to decode layer: Jumbo length TLV data must have length 4",
    ]);
  });

  it("reports broken extension headers", () => {
    expect(tail("1.19", packet(`${ETH6} 6000000000010040 ${addresses} 3b`))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: Invalid ip6-extension header. Length 1 less than 2",
    ]);
    expect(tail("1.19", packet(`${ETH6} 6000000000080040 ${addresses} 3b01010400000000`))).toEqual([
      "  Failed to decode layer: Invalid ip6-extension header. Length 8 less than specified length 16",
    ]);
    expect(tail("1.19", hbh("0008", "010900000000"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: IPv6 header TLV option too small",
    ]);
    expect(tail("1.19", hbh("0008", "010200000005"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: IPv6 header option too small",
    ]);
  });

  it("prints a Pad1 option with type and length 0", () => {
    const [, ip] = lines("1.19", hbh("0008", "000103000000"));
    expect(ip).toContain(
      "HopByHop={ Contents=[..8..] Payload=[] NextHeader=NoNextHeader HeaderLength=0 ActualLength=8 Options=[{OptionType=0 OptionLength=0 ActualLength=1 OptionData=[] OptionAlignment=[0 0]}, {OptionType=1 OptionLength=3 ActualLength=5 OptionData=[0, 0, 0] OptionAlignment=[0 0]}]}",
    );
  });
});

describe("TCP options", () => {
  it("print kind, value and bytes", () => {
    expect(options("1.19", "020405b4")).toBe("[TCPOption(MSS:1460 0x05b4)]");
    expect(lines("1.19", tcp("080a0000000100000002 0101"))[2]).toContain(
      "Options=[TCPOption(Timestamps:1/2 0x0000000100000002), TCPOption(NOP:), TCPOption(NOP:)] Padding=[]",
    );
    expect(lines("1.19", tcp("03 03 07 00"))[2]).toContain(
      "Options=[TCPOption(WindowScale: 0x07), TCPOption(EndList:)] Padding=[]",
    );
    expect(lines("1.19", tcp("0402 00 09"))[2]).toContain(
      "Options=[TCPOption(SACKPermitted:), TCPOption(EndList:)] Padding=[9]",
    );
    expect(lines("1.19", tcp("02030500 fd04abcd"))[2]).toContain(
      "Options=[TCPOption(MSS: 0x05), TCPOption(EndList:)] Padding=[..4..]".replace(
        "[..4..]",
        "[253, 4, 171, 205]",
      ),
    );
    expect(options("1.19", "0101010101010101")).toBe("[..8..]");
    expect(options("1.19", "fd04abcd")).toBe("[TCPOption(Unknown(253): 0xabcd)]");
  });

  it("of Multipath TCP are decoded in 1.19 only", () => {
    const mptcp = (hex: string): string => {
      const line = lines("1.19", tcp(hex))[2]!;
      expect(line).toContain("Multipath=true}");
      return line.match(/Options=\[(.*)\] Padding/)![1]!;
    };
    expect(mptcp("1e040181")).toBe("MPTCPOption(MP_CAPABLE Version 1)");
    expect(mptcp("1e0c1105 0000000100000002")).toBe("MPTCPOption(MP_JOIN Backup true;Address ID 5)");
    expect(mptcp(`1e181005${"00".repeat(20)}`)).toBe("MPTCPOption(MP_JOIN Backup false;Address ID 0)");
    expect(mptcp("1e082001 00000009")).toBe("MPTCPOption(DSS)");
    expect(mptcp("1e083107 0a000001")).toBe("MPTCPOption(ADD_ADDR Address ID 7;Address 10.0.0.1;Port 0)");
    expect(mptcp("1e0a3108 0a000001 0050 0101")).toBe(
      "MPTCPOption(ADD_ADDR Address ID 8;Address 10.0.0.1;Port 80), TCPOption(NOP:), TCPOption(NOP:)",
    );
    expect(mptcp(`1e143402${"fd".padEnd(30, "0")}01`)).toBe(
      "MPTCPOption(ADD_ADDR Address ID 2;Address fd00::1;Port 0)",
    );
    expect(mptcp("1e054001 02010101")).toBe(
      "MPTCPOption(REMOVE_ADDR Address ID [1 2]), TCPOption(NOP:), TCPOption(NOP:), TCPOption(NOP:)",
    );
    expect(mptcp("1e035101")).toBe("MPTCPOption(MP_PRIO Backup true;Address ID 0), TCPOption(NOP:)");
    expect(mptcp("1e045009")).toBe("MPTCPOption(MP_PRIO Backup false;Address ID 9)");
    expect(mptcp("1e0c6000 0000000000000001")).toBe("MPTCPOption(MP_FAIL)");
    expect(mptcp("1e0c7000 0000000000000001")).toBe("MPTCPOption(MP_FASTCLOSE)");
    expect(mptcp("1e048106")).toBe("MPTCPOption(MP_TCPRST Transient true; Reason 6)");
    expect(mptcp("1e04f000")).toBe("TCPOption(MultipathTCP:)");
    expect(options("1.11", "1e040181")).toBe("[TCPOption(Unknown(30): 0x0181)]");
    expect(tail("1.19", tcp("1e050181 00010101"))).toEqual([
      "  Failed to decode layer: MP_CAPABLE bad option length 5",
    ]);
    expect(tail("1.19", tcp("0101011e"))).toEqual([
      "  Failed to decode layer: panic: runtime error: index out of range [1] with length 1",
    ]);
    // Behind the options there is payload enough, so that only stepping over the option fails.
    expect(tail("1.19", tcp("1e0c0181", "00".repeat(16)))).toEqual([
      "  Failed to decode layer: panic: runtime error: slice bounds out of range [12:4]",
    ]);
  });

  it("report lengths that cannot be", () => {
    expect(tail("1.19", tcp("01010102"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: Invalid TCP option length. Length 1 less than 2",
    ]);
    expect(tail("1.19", tcp("02010000"))).toEqual([
      "  Failed to decode layer: Invalid TCP option length 1 < 2",
    ]);
    expect(tail("1.19", tcp("02090000"))).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: Invalid TCP option length 9 exceeds remaining 4 bytes",
    ]);
  });
});

describe("overlays", () => {
  it("decode VXLAN in VXLAN, and print the inner of two headers twice there too", () => {
    const udp = (payload: string, port: string): string => {
      const hex = payload.replace(/\s/g, "");
      const len = (8 + hex.length / 2).toString(16).padStart(4, "0");
      const total = (28 + hex.length / 2).toString(16).padStart(4, "0");
      return `${ETH4} 4500${total}0000000040110000 0a0000010a000002 afc8${port}${len}0000 ${hex}`;
    };
    const frame = packet(
      udp(`0800000000000100 ${udp("0800000000000200 ffffffffffff ca0efa6c0f30 0806 0001", "12b5")}`, "2118"),
    );
    expect(names("1.19", frame, { vxlan: true })).toBe(
      "Ethernet | IPv4 | UDP | VXLAN | Ethernet | IPv4 | UDP | VXLAN | Ethernet",
    );
    const inner = lines("1.19", frame, { vxlan: true }).slice(3);
    expect([field(inner[0], "VNI"), field(inner[4], "VNI")]).toEqual(["2", "2"]);
  });

  it("of a packet without UDP are decoded from nothing", () => {
    expect(tail("1.19", FRAMES.icmpEcho, { vxlan: true })).toEqual([
      "  Failed to decode layer: vxlan packet too small",
    ]);
    expect(tail("1.19", FRAMES.icmpEcho, { geneve: true })).toEqual([
      "  Packet has been truncated",
      "  Failed to decode layer: geneve packet too short",
    ]);
  });
});

import { describe, expect, it } from "vitest";
import { decodeAgentNotification, encodeAgentNotification } from "../../../monitor/agent.js";
import {
  decodeGob,
  describeStruct,
  GOB_BYTES,
  GOB_INT,
  GOB_UINT,
  GobReader,
  GobWriter,
} from "../../../monitor/gob.js";
import { encodePayload, PAYLOAD_DESCRIPTION, PayloadReader } from "../../../monitor/payload.js";
import { toHex } from "../../../src/net/view.js";
import { packet } from "../../support/monitor_samples.js";

function uint(v: number | bigint): string {
  const w = new GobWriter();
  w.uint(v);
  return toHex(w.take());
}

function int(v: number): string {
  const w = new GobWriter();
  w.int(v);
  return toHex(w.take());
}

/** Messages, each with its length in front. */
function messages(...bodies: string[]): Uint8Array {
  const out = new GobWriter();
  for (const body of bodies) out.byteSlice(packet(body));
  return out.take();
}

describe("GobWriter", () => {
  it("writes unsigned integers as one byte or as a negated count and big-endian bytes", () => {
    expect([0, 127, 128, 300, 65535, 65536, 0xffffffff, 2 ** 40].map(uint)).toEqual([
      "00",
      "7f",
      "ff80",
      "fe012c",
      "feffff",
      "fd010000",
      "fcffffffff",
      "fa010000000000",
    ]);
    expect(uint(0xffff_ffff_ffff_ffffn)).toBe("f8ffffffffffffffff");
  });

  it("writes signed integers with the sign in bit 0", () => {
    expect([0, 3, 9, 300, -1, 64, -64, -65].map(int)).toEqual([
      "00",
      "06",
      "12",
      "fe0258",
      "01",
      "ff80",
      "7f",
      "ff81",
    ]);
  });
});

describe("describeStruct", () => {
  it("gives the description of a Payload that Go's own encoder sends", () => {
    expect(toHex(PAYLOAD_DESCRIPTION)).toBe(
      "377f030101075061796c6f616401ff80000104010444617461010a00010343505501040001044c6f737401060001045479706501040000" +
        "00",
    );
    expect(
      toHex(
        describeStruct(64, "Payload", [
          ["Data", GOB_BYTES],
          ["CPU", GOB_INT],
          ["Lost", GOB_UINT],
          ["Type", GOB_INT],
        ]),
      ),
    ).toBe(toHex(PAYLOAD_DESCRIPTION));
  });
});

describe("payloads", () => {
  it("leave zero fields out", () => {
    expect(toHex(encodePayload(new Uint8Array(0), 300, 1234567, 2))).toBe("0eff8002fe025801fd12d687010400");
    expect(toHex(encodePayload(new Uint8Array(0), 0, 0, 0))).toBe("03ff8000");
    expect(toHex(encodePayload(Uint8Array.of(8), 0, 0, 9))).toBe("08ff800101080312" + "00");
    expect(toHex(encodePayload(Uint8Array.of(8), 0, 0, 9, true))).toBe("0aff800101080100" + "0212" + "00");
  });

  it("are read back piece by piece, absent fields keeping their last value", () => {
    const stream = Buffer.concat([
      PAYLOAD_DESCRIPTION,
      encodePayload(Uint8Array.of(8, 1), 3, 0, 9),
      encodePayload(new Uint8Array(0), 0, 7, 2),
      encodePayload(new Uint8Array(300).fill(5), 0, 0, 9),
    ]);
    const reader = new PayloadReader();
    const got = [];
    for (const byte of stream) got.push(...reader.push(Uint8Array.of(byte)));
    expect(got).toEqual([
      { data: Uint8Array.of(8, 1), cpu: 3, lost: 0, type: 9 },
      { data: Uint8Array.of(8, 1), cpu: 3, lost: 7, type: 2 },
      { data: new Uint8Array(300).fill(5), cpu: 3, lost: 7, type: 9 },
    ]);
    expect(new PayloadReader().push(stream)).toEqual(got);
  });

  it("of another stream are refused", () => {
    const reader = new PayloadReader();
    expect(() => reader.push(packet("05ff8201020300"))).toThrow(
      "gob: bad data: non-zero delta for singleton",
    );
    expect(() => new PayloadReader().push(packet("f7ffffffffffffffffff"))).toThrow(
      "gob: encoded unsigned integer out of range",
    );
  });
});

describe("GobReader", () => {
  it("reads structs, slices, maps and opaque values by the stream's own descriptions", () => {
    const stream = messages(
      // type 64 struct T {A []string (65), M map[string]int (66), O opaque (67), F float, B bool}
      "7f 03 01 01 01 54 01 ff80 00 01 05 01 01 41 01 ff82 00 01 01 4d 01 ff84 00 01 01 4f 01 ff86 00 01 01 46 01 08 00 01 01 42 01 02 00 00 00",
      "ff81 02 01 01 01 53 01 ff82 00 01 0c 00 00",
      "ff83 04 01 01 01 4d 01 ff84 00 01 0c 01 04 00 00",
      "ff85 06 01 01 01 4f 01 ff86 00 00 00",
      "ff80 01 02 01 61 02 6263 01 01 01 6b 03 01 03 010203 01 fe f83f 01 01 00",
    );
    const value = decodeGob(stream, 0) as Record<string, unknown>;
    expect({ ...value }).toEqual({
      A: ["a", "bc"],
      M: new Map([["k", -2]]),
      O: Uint8Array.of(1, 2, 3),
      F: 1.5,
      B: true,
    });
  });

  it("waits for the rest of a message and then starts over", () => {
    const stream = Buffer.concat([PAYLOAD_DESCRIPTION, encodePayload(Uint8Array.of(8), 1, 0, 9)]);
    const reader = new GobReader();
    for (let n = 0; n < stream.length; n++) expect(reader.next(stream.subarray(0, n), 0)).toBeUndefined();
    expect(reader.next(stream, 0)?.end).toBe(stream.length);
  });

  it("refuses lengths and nesting that the bytes do not hold", () => {
    // A slice of slices of itself.
    const nested = messages("ff81 02 01 01 01 53 01 ff82 00 01 ff82 00 00", `ff82 00 ${"01".repeat(130)}`);
    expect(() => decodeGob(nested, 0)).toThrow("gob: value nests too deeply");
    expect(() => decodeGob(packet("05 0a 00 7f 41 41"), 0)).toThrow("unexpected EOF");
    expect(() => decodeGob(new Uint8Array(0), 0)).toThrow("EOF");
  });
});

describe("agent notifications", () => {
  it("have the bytes that the agent sends", () => {
    expect(toHex(encodeAgentNotification({ type: 1, text: "hi" }))).toBe(
      "822a7f0301010b4167656e744e6f7469667901ff80000102010454797065010600010454657874010c00000009ff80010101026869" +
        "00",
    );
  });

  it("are read back, absent fields as zero", () => {
    for (const n of [
      { type: 0, text: "" },
      { type: 0, text: "x" },
      { type: 12, text: "" },
      { type: 4_000_000_000, text: "ü€😀".repeat(50) },
    ]) {
      expect(decodeAgentNotification(encodeAgentNotification(n))).toEqual(n);
    }
  });
});

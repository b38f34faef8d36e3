import { describe, expect, it } from "vitest";
import { alignKeys } from "../../../src/walk/align.js";
import { decodeFrame, FieldTracker } from "../../../src/walk/fields.js";
import { flowText, parseFlow } from "../../../src/walk/flow.js";

describe("parseFlow", () => {
  it.each([
    ["pod/a -> pod/b:80/tcp", "pod/a -> pod/b:80/tcp"],
    ["pod/a->pod/ns/b:53/udp", "pod/a -> pod/ns/b:53/udp"],
    ["pod/a -> 10.0.0.1:443", "pod/a -> 10.0.0.1:443/tcp"],
    ["host/h -> service/ns/s:80/TCP", "host/h -> service/ns/s:80/tcp"],
    ["pod/a -> pod/b", "pod/a -> pod/b/icmp"],
    ["pod/a -> pod/b/icmp", "pod/a -> pod/b/icmp"],
  ])("reads %s", (text, expected) => {
    expect(flowText(parseFlow(text))).toBe(expected);
  });

  it.each([
    ["pod/a", "there is no ->"],
    ["pod/a -> pod/b:0", "port 0 is not one of 1 to 65535"],
    ["pod/a -> pod/b:http", "the port is not a number"],
    ["pod/a -> pod/b/udp", "UDP needs a port"],
    ["pod/a -> pod/b:1/icmp", "ICMP has no port"],
    ["pod/a -> pod/b pod/c", '"pod/b pod/c" holds a blank'],
  ])("refuses %s in one line", (text, why) => {
    expect(() => parseFlow(text)).toThrow(
      `--flow ${JSON.stringify(text)}: ${why}; write it like 'pod/a -> pod/b:80/tcp' or 'pod/a -> pod/b/icmp'`,
    );
  });
});

describe("alignKeys", () => {
  it("puts equal keys side by side and keeps the order of every sequence", () => {
    expect(
      alignKeys([
        ["a", "x", "b"],
        ["a", "b", "c"],
        ["y", "b"],
      ]),
    ).toEqual([
      [0, 0, -1],
      [1, -1, -1],
      [-1, -1, 0],
      [2, 1, 1],
      [-1, 2, -1],
    ]);
  });

  it("gives no rows for empty walks", () => {
    expect(alignKeys([[], []])).toEqual([]);
  });
});

/** An echo request, 10.0.0.1 to 10.0.0.2. */
function echo(ttl: number, ethernet: boolean): Uint8Array {
  const ip = [0x45, 0, 0, 28, 0, 1, 0x40, 0, ttl, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0, 0, 0, 7, 0, 1];
  const eth = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
  return Uint8Array.from(ethernet ? [...eth, ...ip] : ip);
}

describe("fields of a snapshot", () => {
  it("are found with and without an Ethernet header", () => {
    const value = (f: Uint8Array, name: string) =>
      decodeFrame(f).levels[0]!.fields.find((x) => x.name === name);
    expect(value(echo(64, true), "ip.ttl")).toEqual({ name: "ip.ttl", off: 22, len: 1, value: "64" });
    expect(value(echo(64, false), "ip.ttl")).toEqual({ name: "ip.ttl", off: 8, len: 1, value: "64" });
    expect(value(echo(64, true), "eth.src")?.value).toBe("02:00:00:00:00:01");
  });

  it("show IPIP as a level around the packet, and its end", () => {
    const inner = echo(63, false);
    const outer = Uint8Array.from([
      0x45,
      0,
      0,
      48,
      0,
      9,
      0,
      0,
      64,
      4,
      0,
      0,
      192,
      168,
      0,
      1,
      192,
      168,
      0,
      2,
      ...inner,
    ]);
    const t = new FieldTracker();
    expect(t.next(echo(64, true))).toEqual([]);
    expect(t.next(outer).map((c) => `${c.field} ${c.from} ${c.to}`)).toEqual([
      "ip.ttl 64 63",
      "encapsulation - IPIP",
    ]);
    expect(t.next(inner).map((c) => `${c.field} ${c.from} ${c.to}`)).toEqual(["encapsulation present -"]);
  });

  it("never throw, whatever the length", () => {
    const whole = echo(64, true);
    for (let n = 0; n <= whole.length; n++)
      expect(decodeFrame(whole.subarray(0, n)).levels.length).toBeLessThan(2);
  });
});

import { describe, expect, it } from "vitest";
import {
  blockCovers,
  isServiceName,
  lastPort,
  type PortBlock,
  parsePortNumber,
  portBlocks,
} from "../../../../../src/cluster/cilium/policy/ports.js";
import * as fc from "../../../../support/fast_check.js";

/** `8000/10` */
function texts(blocks: readonly PortBlock[]): string[] {
  return blocks.map((b) => `${b.port}/${b.prefixLen}`);
}

describe("portBlocks", () => {
  it("cuts ranges as the agent's documentation shows them", () => {
    expect([
      texts(portBlocks(0, 0)),
      texts(portBlocks(0, 65535)),
      texts(portBlocks(80, 0)),
      texts(portBlocks(80, 80)),
      texts(portBlocks(80, 79)),
      texts(portBlocks(1, 7)),
      texts(portBlocks(0, 1023)),
      texts(portBlocks(8000, 8063)),
      texts(portBlocks(32768, 65535)),
      texts(portBlocks(65534, 65535)),
    ]).toEqual([
      ["0/0"],
      ["0/0"],
      ["80/16"],
      ["80/16"],
      ["80/16"],
      ["1/16", "2/15", "4/14"],
      ["0/6"],
      ["8000/10"],
      ["32768/1"],
      ["65534/15"],
    ]);
    expect(texts(portBlocks(1, 65535)).length).toBe(16);
  });

  it("gives aligned blocks in ascending order that make up exactly the range, and cannot do with fewer", () => {
    const port = fc.oneof(
      fc.nat({ max: 65535 }),
      fc
        .tuple(fc.nat({ max: 16 }), fc.integer({ min: -1, max: 1 }))
        .map(([e, d]) => Math.min(65535, Math.max(0, 2 ** e + d))),
    );
    fc.assert(
      fc.property(port, port, (a, b) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        fc.pre(start < end);
        const blocks = portBlocks(start, end);
        let at = start;
        for (const [i, block] of blocks.entries()) {
          const size = lastPort(block) - block.port + 1;
          if (block.port !== at || size !== 2 ** (16 - block.prefixLen) || block.port % size !== 0)
            return false;
          at += size;
          // Two halves of one block next to each other would be one block.
          const next = blocks[i + 1];
          if (next?.prefixLen === block.prefixLen && block.port % (2 * size) === 0) return false;
        }
        return at === end + 1;
      }),
      { numRuns: 3000 },
    );
  });
});

describe("blockCovers", () => {
  it("is the inclusion of the ports", () => {
    const block = fc.tuple(fc.nat({ max: 65535 }), fc.nat({ max: 16 })).map(([p, prefixLen]) => ({
      port: prefixLen === 0 ? 0 : p & ~(0xffff >> prefixLen),
      prefixLen,
    }));
    fc.assert(
      fc.property(block, block, (outer, inner) => {
        const want = outer.port <= inner.port && lastPort(outer) >= lastPort(inner);
        return blockCovers(outer, inner) === want;
      }),
    );
  });
});

describe("isServiceName", () => {
  it("takes letters, digits and single inner dashes, up to 15, with at least one letter", () => {
    const names = ["http", "a", "0x10", "web-1", "a23456789012345"];
    const others = ["", "80", "-a", "a-", "a--b", "a_b", "a2345678901234567", "a.b", "é"];
    expect([names.map(isServiceName), others.map(isServiceName)]).toEqual([
      names.map(() => true),
      others.map(() => false),
    ]);
  });
});

describe("parsePortNumber", () => {
  it("reads numbers as Go does with base 0, octal and underscores included", () => {
    expect(["80", "0", "010", "0o17", "0x1F", "0b101", "6_5_535"].map(parsePortNumber)).toEqual(
      [80, 0, 8, 15, 31, 5, 65535].map((port) => ({ port })),
    );
  });

  it("says what Go says of texts that are no port", () => {
    expect(["-1", "65536", "08", "1.5", ""].map(parsePortNumber)).toEqual([
      { error: 'strconv.ParseUint: parsing "-1": invalid syntax' },
      { error: 'strconv.ParseUint: parsing "65536": value out of range' },
      { error: 'strconv.ParseUint: parsing "08": invalid syntax' },
      { error: 'strconv.ParseUint: parsing "1.5": invalid syntax' },
      { error: 'strconv.ParseUint: parsing "": invalid syntax' },
    ]);
  });
});

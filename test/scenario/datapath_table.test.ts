// The whole datapath table: every datapath by every kind of path by ICMP, UDP and TCP. A cell that the real thing
// refuses says how: echo requests to a ClusterIP find nobody, a node's UDP server may answer from another address.
import { describe, expect, it } from "vitest";
import { DATAPATHS as NAMES } from "../../src/cluster/model.js";
import { measuredCell, tableLab } from "../support/datapath_measure.js";
import { DATAPATHS, expectedCell, PATHS, PROTOCOLS } from "../support/datapath_table.js";

const CELLS = PATHS.flatMap((path) => PROTOCOLS.map((proto) => ({ path, proto })));

describe.each(DATAPATHS)("$name", (row) => {
  it("delivers requests and replies of every path with the TTL, the hooks and the MTU of its legs", () => {
    const lab = tableLab(row);
    expect(CELLS.map(({ path, proto }) => measuredCell(lab, row, path, proto))).toEqual(
      CELLS.map(({ path, proto }) => expectedCell(row, path, proto)),
    );
  });
});

describe("the table", () => {
  it("has a row for every datapath that a command takes", () => {
    expect([...new Set(DATAPATHS.map((r) => r.options.datapath))].sort()).toEqual([...NAMES].sort());
  });

  it("has 15 paths by three protocols in every row", () => {
    expect([PATHS.length, PROTOCOLS.length, CELLS.length]).toEqual([15, 3, 45]);
  });
});

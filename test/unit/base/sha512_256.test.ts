import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { sha512_256 } from "../../../src/base/sha512_256.js";

describe("sha512_256", () => {
  it("gives the standard's example for abc", () => {
    expect(sha512_256("abc")).toBe("53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
  });

  it("agrees with Node's for every length around the ends of one and two blocks", () => {
    const text = "µ".padEnd(300, "k8s:app=x;");
    for (let n = 0; n <= 260; n++) {
      const t = text.slice(0, n);
      expect(sha512_256(t)).toBe(createHash("sha512-256").update(t).digest("hex"));
    }
  });
});

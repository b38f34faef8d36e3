import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { base32Of, base64UrlOf, hexOf, sha1, sha256 } from "../../../src/base/sha.js";

describe("sha.ts", () => {
  const texts = [
    "",
    "abc",
    "default.busybox",
    "ü".repeat(27),
    "x".repeat(55),
    "x".repeat(56),
    "x".repeat(200),
    ...[246, 247, 248, 300].map((n) => "x".repeat(n)),
    `${"x".repeat(60)}ü`,
    "abc",
  ];

  it("gives the digests that OpenSSL gives, for messages around the block size too", () => {
    for (const t of texts) {
      expect(hexOf(sha1(t))).toBe(createHash("sha1").update(t).digest("hex"));
      expect(hexOf(sha256(t))).toBe(createHash("sha256").update(t).digest("hex"));
      expect(base64UrlOf(sha256(t))).toBe(createHash("sha256").update(t).digest("base64url"));
    }
  });

  it("writes base32 as RFC 4648 does, without padding", () => {
    const b = (s: string) => base32Of(new TextEncoder().encode(s));
    expect(["f", "fo", "foo", "foob", "fooba", "foobar"].map(b)).toEqual([
      "MY",
      "MZXQ",
      "MZXW6",
      "MZXW6YQ",
      "MZXW6YTB",
      "MZXW6YTBOI",
    ]);
  });
});

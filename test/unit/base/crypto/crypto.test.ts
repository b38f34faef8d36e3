// Known answers of RFC 8439, RFC 7693, RFC 7748 and the GCM specification, and what must not pass.
import { describe, expect, it } from "vitest";
import { AesGcm } from "../../../../src/base/crypto/aes_gcm.js";
import { blake2s, hkdfBlake2s, hmacBlake2s } from "../../../../src/base/crypto/blake2s.js";
import { ChaCha20Poly1305, chacha20Block } from "../../../../src/base/crypto/chacha20poly1305.js";
import { x25519, x25519Public } from "../../../../src/base/crypto/x25519.js";

const unhex = (s: string): Uint8Array => Uint8Array.from(s.match(/../g) ?? [], (x) => Number.parseInt(x, 16));
const hex = (b: Uint8Array): string => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
const ascii = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));
const count = (n: number, from = 0): Uint8Array => Uint8Array.from({ length: n }, (_, i) => from + i);

describe("ChaCha20-Poly1305 (RFC 8439)", () => {
  it("makes the key stream block of section 2.3.2", () => {
    const out = new Int32Array(16);
    const key = new Int32Array(count(32).buffer);
    chacha20Block(out, key, 1, 0x09000000, 0x4a000000, 0);
    expect(hex(new Uint8Array(out.buffer))).toBe(
      "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    );
  });

  const plaintext = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const ad = unhex("50515253c0c1c2c3c4c5c6c7");
  const sealed =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b29" +
    "05d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116" +
    "1ae10b594f09e26a7e902ecbd0600691";

  it("seals the text of section 2.8.2 and opens it again, in place at any offset", () => {
    const aead = new ChaCha20Poly1305(count(32, 0x80));
    const b = new Uint8Array(3 + plaintext.length + 16 + 2);
    b.set(plaintext, 3);
    aead.seal(b, 3, plaintext.length, 7, 0x43424140, 0x47464544, ad);
    expect(hex(b)).toBe(`000000${sealed}0000`);
    expect(aead.open(b, 3, plaintext.length, 7, 0x43424140, 0x47464544, ad)).toBe(true);
    expect(b.slice(3, 3 + plaintext.length)).toEqual(plaintext);
  });

  it("refuses a changed byte, tag, nonce or additional data, and leaves the bytes alone", () => {
    const aead = new ChaCha20Poly1305(count(32, 0x80));
    const n = plaintext.length;
    for (const at of [0, n - 1, n, n + 15]) {
      const b = unhex(sealed);
      b[at]! ^= 1;
      const before = b.slice();
      expect(aead.open(b, 0, n, 7, 0x43424140, 0x47464544, ad)).toBe(false);
      expect(b).toEqual(before);
    }
    expect(aead.open(unhex(sealed), 0, n, 8, 0x43424140, 0x47464544, ad)).toBe(false);
    expect(aead.open(unhex(sealed), 0, n, 7, 0x43424140, 0x47464544)).toBe(false);
  });

  // Appendix A.3, vectors 7 to 11, through the AEAD's own arithmetic: accumulators that end just below and above the prime.
  it("agrees with itself on blocks of all ones, which reach the top of every limb", () => {
    const aead = new ChaCha20Poly1305(new Uint8Array(32).fill(255));
    const b = new Uint8Array(256 + 16).fill(255, 0, 256);
    aead.seal(b, 0, 256, -1, -1, -1, new Uint8Array(64).fill(255));
    expect(aead.open(b, 0, 256, -1, -1, -1, new Uint8Array(64).fill(255))).toBe(true);
    expect(b.slice(0, 256)).toEqual(new Uint8Array(256).fill(255));
  });
});

describe("BLAKE2s (RFC 7693)", () => {
  it("hashes abc as appendix B has it, and nothing, and more than a block in parts", () => {
    expect(hex(blake2s([ascii("abc")]))).toBe(
      "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
    );
    expect(hex(blake2s([]))).toBe("69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9");
    expect(blake2s([count(100), count(30)])).toEqual(
      blake2s([Uint8Array.from([...count(100), ...count(30)])]),
    );
  });

  it("is a MAC with a key", () => {
    expect(hex(blake2s([new Uint8Array(0)], 32, count(32)))).toBe(
      "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49",
    );
  });

  it("expands a chaining key as Noise does", () => {
    const key = count(32);
    const [a, b] = hkdfBlake2s(key, ascii("input"), 2);
    const secret = hmacBlake2s(key, [ascii("input")]);
    expect(a).toEqual(hmacBlake2s(secret, [Uint8Array.of(1)]));
    expect(b).toEqual(hmacBlake2s(secret, [a!, Uint8Array.of(2)]));
  });
});

describe("X25519 (RFC 7748)", () => {
  it("multiplies the first vector of section 5.2", () => {
    const k = unhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    const u = unhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    expect(hex(x25519(k, u))).toBe("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  });

  it("agrees on the shared secret of section 6.1", () => {
    const bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    const alicePublic = unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    expect(hex(x25519Public(bob))).toBe("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    expect(hex(x25519(bob, alicePublic))).toBe(
      "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
  });
});

describe("AES-GCM (McGrew and Viega, test cases of appendix B)", () => {
  const P =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
  const A = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const nonce = [0xcafebabe | 0, 0xfacedbad | 0, 0xdecaf888 | 0] as const;
  const cases = [
    {
      name: "4 (128 bits)",
      key: "feffe9928665731c6d6a8f9467308308",
      sealed:
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e" +
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091" +
        "5bc94fbc3221a5db94fae95ae7121a47",
    },
    {
      name: "16 (256 bits)",
      key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      sealed:
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662" +
        "76fc6ece0f4e1768cddf8853bb2d551b",
    },
  ];

  for (const c of cases) {
    it(`seals the text of case ${c.name} and opens it again, in place at any offset`, () => {
      const aead = new AesGcm(unhex(c.key));
      const plain = unhex(P);
      const b = new Uint8Array(3 + plain.length + 16 + 2);
      b.set(plain, 3);
      aead.seal(b, 3, plain.length, ...nonce, A, 0, A.length);
      expect(hex(b)).toBe(`000000${c.sealed}0000`);
      expect(aead.open(b, 3, plain.length, ...nonce, A, 0, A.length)).toBe(true);
      expect(b.slice(3, 3 + plain.length)).toEqual(plain);
    });
  }

  it("makes the tag of nothing at all (case 1) and the block of zeros (case 2)", () => {
    const aead = new AesGcm(new Uint8Array(16));
    const empty = new Uint8Array(16);
    aead.seal(empty, 0, 0, 0, 0, 0, A, 0, 0);
    expect(hex(empty)).toBe("58e2fccefa7e3061367f1d57a4e7455a");
    const b = new Uint8Array(32);
    aead.seal(b, 0, 16, 0, 0, 0, A, 0, 0);
    expect(hex(b)).toBe("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf");
  });

  it("refuses a changed byte, tag, nonce or additional data, and leaves the bytes alone", () => {
    const aead = new AesGcm(unhex(cases[0]!.key));
    const n = P.length / 2;
    for (const at of [0, n - 1, n, n + 15]) {
      const b = unhex(cases[0]!.sealed);
      b[at]! ^= 1;
      const before = b.slice();
      expect(aead.open(b, 0, n, ...nonce, A, 0, A.length)).toBe(false);
      expect(b).toEqual(before);
    }
    const b = unhex(cases[0]!.sealed);
    expect(aead.open(b, 0, n, nonce[0], nonce[1], 0, A, 0, A.length)).toBe(false);
    expect(aead.open(b, 0, n, ...nonce, A, 0, A.length - 1)).toBe(false);
  });
});

import { describe, expect, it } from "vitest";
import * as errno from "../../../src/base/errno.js";
import { isPodpathError, PodpathError } from "../../../src/base/errors.js";

describe("PodpathError", () => {
  it("prints file, line and column in front of its message when it has them", () => {
    const at = { file: "two-nodes.yaml", line: 3, column: 7 };
    const e = new PodpathError("SCENARIO_INVALID", "pod without node", at);
    expect([String(e), e.message, e.code, e.name, e.position]).toEqual([
      "two-nodes.yaml:3:7: pod without node",
      "pod without node",
      "SCENARIO_INVALID",
      "PodpathError",
      at,
    ]);
    expect(String(new PodpathError("USAGE", "no such node"))).toBe("no such node");
  });

  it("is known by name and code, also when it comes from another copy of the module", () => {
    const foreign = Object.assign(new Error("x"), { name: "PodpathError", code: "IO" });
    expect(
      [
        new PodpathError("IO", "x"),
        foreign,
        new Error("x"),
        { name: "PodpathError", code: "IO" },
        undefined,
      ].map(isPodpathError),
    ).toEqual([true, true, false, false, false]);
    expect(isPodpathError(Object.assign(new Error("x"), { name: "PodpathError" }))).toBe(false);
  });
});

describe("errno", () => {
  it("has Linux's numbers", () => {
    const linux: Record<string, number> = {
      EPERM: 1,
      EINTR: 4,
      EIO: 5,
      ENXIO: 6,
      EFAULT: 14,
      EPIPE: 32,
      ERANGE: 34,
      ENAMETOOLONG: 36,
      ENODATA: 61,
      EILSEQ: 84,
      ENOTSOCK: 88,
      EDESTADDRREQ: 89,
      ENOPROTOOPT: 92,
      EAFNOSUPPORT: 97,
      ENETDOWN: 100,
      ENOBUFS: 105,
      EISCONN: 106,
      ENOTCONN: 107,
      EALREADY: 114,
      EINPROGRESS: 115,
      ENOTSUPP: 524,
      ENOENT: 2,
      E2BIG: 7,
      EAGAIN: 11,
      ENOMEM: 12,
      EACCES: 13,
      EBUSY: 16,
      EEXIST: 17,
      ENODEV: 19,
      EINVAL: 22,
      ENOSPC: 28,
      EDOM: 33,
      EPROTO: 71,
      EMSGSIZE: 90,
      EPROTONOSUPPORT: 93,
      EOPNOTSUPP: 95,
      EADDRINUSE: 98,
      EADDRNOTAVAIL: 99,
      ENETUNREACH: 101,
      ECONNRESET: 104,
      ETIMEDOUT: 110,
      ECONNREFUSED: 111,
      EHOSTUNREACH: 113,
    };
    for (const [name, value] of Object.entries(errno)) expect([name, value]).toEqual([name, linux[name]]);
  });
});

// podpath/vitest: matchers on walks and on conntrack and policy verdicts. Importing the module installs them.
//
//   import "podpath/vitest";
//   const [request] = lab.record(() => lab.tcp({ from: "pod/a", to: "pod/b", port: 80 }));
//   expect(request).toBeDelivered();
//   expect(request).toBypass("FORWARD");

import { expect } from "vitest";
import {
  type Check,
  type ConntrackVerdict,
  hasConntrackVerdict,
  hasPolicyVerdict,
  hasTtl,
  isDelivered,
  isDropped,
  traverses,
} from "./walk/checks.js";
import { Walk } from "./walk/walk.js";

interface WalkMatchers<R> {
  /** A socket, or the stack of the destination, got the packet. */
  toBeDelivered(): R;
  /** It was dropped; with a reason, for that one: a kernel name or Cilium's text. */
  toBeDropped(reason?: string): R;
  /** BPF conntrack gave this verdict; with a node, there. */
  toHaveConntrackVerdict(verdict: ConntrackVerdict, node?: string): R;
  /** The last policy verdict, of a direction if one is given. */
  toHavePolicyVerdict(verdict: "allow" | "deny", direction?: "ingress" | "egress"): R;
  /** It met this netfilter hook, program or device. */
  toTraverse(what: string, where?: string): R;
  /** It did not. */
  toBypass(what: string, where?: string): R;
  /** TTL or hop limit where the walk ends. */
  toHaveTtl(ttl: number): R;
  /** The whole walk as text; compared in full. */
  toMatchWalk(text: string): R;
}

declare module "vitest" {
  // biome-ignore lint/suspicious/noExplicitAny: the parameter's default must be vitest's own
  interface Matchers<T = any> extends WalkMatchers<T> {}
}

function walkOf(received: unknown): Walk {
  const one = Array.isArray(received) ? (received[0] as unknown) : received;
  if (one instanceof Walk) return one;
  throw new TypeError("a matcher of podpath/vitest takes a Walk, such as lab.record(...) gives");
}

const result = (c: Check): { pass: boolean; message: () => string } => ({
  pass: c.pass,
  message: () => c.message,
});

expect.extend({
  toBeDelivered: (w: unknown) => result(isDelivered(walkOf(w))),
  toBeDropped: (w: unknown, reason?: string) => result(isDropped(walkOf(w), reason)),
  toHaveConntrackVerdict: (w: unknown, verdict: ConntrackVerdict, node?: string) =>
    result(hasConntrackVerdict(walkOf(w), verdict, node)),
  toHavePolicyVerdict: (w: unknown, verdict: "allow" | "deny", direction?: "ingress" | "egress") =>
    result(hasPolicyVerdict(walkOf(w), verdict, direction)),
  toTraverse: (w: unknown, what: string, where?: string) => result(traverses(walkOf(w), what, where)),
  toBypass: (w: unknown, what: string, where?: string) => {
    const c = traverses(walkOf(w), what, where);
    return result({ pass: !c.pass, message: c.message.replace("to traverse", "to bypass") });
  },
  toHaveTtl: (w: unknown, ttl: number) => result(hasTtl(walkOf(w), ttl)),
  toMatchWalk(w: unknown, text: string) {
    const actual = walkOf(w).toString().trim();
    const pass = actual === text.trim();
    return {
      pass,
      message: () => `the walk differs:\n${this.utils.diff(text.trim(), actual) ?? actual}`,
      actual,
      expected: text,
    };
  },
});

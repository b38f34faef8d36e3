import type { Netns } from "../netns.js";
export function ipvsadm(_ns: Netns, _argv: readonly string[], _stdin = ""): { rc: number; out: string } { return { rc: 0, out: "" }; }

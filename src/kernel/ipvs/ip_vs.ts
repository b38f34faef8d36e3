import type { NfState } from "../netfilter/hooks.js";
export class IpVs { sysctl = { conntrack: 0 }; }
export function ipvsState(nf: NfState): IpVs { nf.ipvs ??= new IpVs(); return nf.ipvs; }

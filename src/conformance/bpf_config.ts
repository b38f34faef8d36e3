// Configurations of recorded BPF runs: compile-time-config.json and load-time-config.json, which lie beside the vectors
// (or one folder up), turned into what programs/ is built from.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type CompileConfig, compileConfig, type ObjectConfig, objectConfig } from "../../programs/config.js";
import { PodpathError } from "../base/errors.js";
import { fromHex } from "../net/view.js";

type Defines = Readonly<Record<string, string | null>>;
type Variables = Readonly<Record<string, string | number | boolean>>;

/** The two files of a folder of vectors. */
export class BpfConfigs {
  readonly #compile: Readonly<Record<string, Defines>>;
  readonly #load: Readonly<
    Record<string, Readonly<Record<string, Variables>> | { readonly same_as: string }>
  >;

  constructor(vectorFile: string) {
    this.#compile = readJson(vectorFile, "compile-time-config.json") as Record<string, Defines>;
    this.#load = readJson(vectorFile, "load-time-config.json") as Record<string, Record<string, Variables>>;
  }

  /** Defines of a configuration, those common to all included; a define that is null is not set. */
  compile(name: string): CompileConfig {
    const own = this.#compile[name];
    if (own === undefined) throw new PodpathError("VECTOR_INVALID", `no compile-time configuration ${name}`);
    return toCompileConfig({ ...this.#compile.common, ...own });
  }

  /** A define as written, for what is no part of the programs (map sizes). */
  define(name: string, define: string): string | null {
    return { ...this.#compile.common, ...this.#compile[name] }[define] ?? null;
  }

  /** Load-time variables by device (`lxcA`, `eth0` ...). */
  load(name: string): ReadonlyMap<string, ObjectConfig> {
    let entry = this.#load[name];
    while (entry !== undefined && typeof (entry as { same_as?: unknown }).same_as === "string") {
      entry = this.#load[(entry as { same_as: string }).same_as];
    }
    if (entry === undefined) throw new PodpathError("VECTOR_INVALID", `no load-time configuration ${name}`);
    const out = new Map<string, ObjectConfig>();
    for (const [device, vars] of Object.entries(entry)) out.set(device, toObjectConfig(vars as Variables));
    return out;
  }
}

function readJson(vectorFile: string, name: string): unknown {
  const dir = dirname(vectorFile);
  for (const d of [dir, dirname(dir)]) {
    const path = join(d, name);
    if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8"));
  }
  throw new PodpathError("VECTOR_INVALID", `${name} is neither beside ${vectorFile} nor one folder up`);
}

/** `1e:00:00:00:00:10` */
function mac(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (b) => Number.parseInt(b, 16));
}

/** `{.addr={0xfd,0x0, ...}}` as four words. */
function addr6(text: string): Int32Array {
  const bytes = Uint8Array.from(text.match(/0x[0-9a-f]+/gi) ?? [], (b) => Number.parseInt(b, 16));
  return words(bytes);
}

function words(bytes: Uint8Array): Int32Array {
  const out = new Uint8Array(16);
  out.set(bytes.subarray(0, 16));
  return new Int32Array(out.buffer);
}

/** Defines to fields: names are the same, the type of the field says how the text is to be read. */
function toCompileConfig(defines: Defines): CompileConfig {
  const template = compileConfig();
  const fields: Record<string, unknown> = {};
  // ENABLE_* that a template has on by default and the build has not are off.
  for (const key of Object.keys(template)) {
    if (typeof (template as unknown as Record<string, unknown>)[key] === "boolean" && /^ENABLE_/.test(key)) {
      fields[key] = false;
    }
  }
  fields.ENABLE_SOCKET_LB_TCP = true;
  fields.ENABLE_SOCKET_LB_UDP = true;
  for (const [key, value] of Object.entries(defines)) {
    if (value === null) continue;
    const field = (template as unknown as Record<string, unknown>)[key];
    if (key === "NATIVE_DEV_MAC_BY_IFINDEX(IFINDEX)") {
      const m = mac(value);
      fields.NATIVE_DEV_MAC_BY_IFINDEX = () => m;
    } else if (field instanceof Uint8Array) fields[key] = mac(value);
    else if (field instanceof Int32Array) fields[key] = addr6(defines[value] ?? value);
    else if (typeof field === "boolean") fields[key] = true;
    else if (typeof field === "number") fields[key] = Number(defines[value] ?? value) | 0;
  }
  fields.IPV6_SNAT_EXCLUSION_DST_CIDR_SET = typeof defines.IPV6_SNAT_EXCLUSION_DST_CIDR === "string";
  return compileConfig(fields as Partial<CompileConfig>);
}

/** Load-time variables to fields: addresses and MACs are hex strings in wire order. */
function toObjectConfig(vars: Variables): ObjectConfig {
  const template = objectConfig() as unknown as Record<string, unknown>;
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(vars)) {
    const field = template[key];
    if (field === undefined) continue;
    if (typeof value !== "string") {
      fields[key] = value;
      continue;
    }
    const bytes = fromHex(value.replace(/^0x/, "")) ?? new Uint8Array(0);
    if (field instanceof Uint8Array) fields[key] = bytes.slice(0, 6);
    else if (field instanceof Int32Array) fields[key] = words(bytes);
    else fields[key] = new DataView(bytes.buffer).getInt32(0, true);
  }
  return objectConfig(fields as Partial<ObjectConfig>);
}

// Port numbers as gopacket prints them: `80(http)`, or the plain number. The text of a port is built once.

import type { PortNameSource } from "./port_names.js";

export type { PortNameSource } from "./port_names.js";

function apply(names: Map<number, string>, source: PortNameSource): void {
  for (const range of source.unset.split(/\s+/)) {
    if (range === "") continue;
    const [from, to] = range.split("-");
    for (let p = Number(from); p <= Number(to ?? from); p++) names.delete(p);
  }
  let port = -1;
  for (const token of source.set.split(/\s+/)) {
    if (token === "") continue;
    const eq = token.indexOf("=");
    port = eq < 0 ? port + 1 : Number(token.slice(0, eq));
    names.set(port, token.slice(eq + 1).replaceAll("~", " "));
  }
}

/** The names of one protocol in one release; the tables are read when the first port is asked for. */
export class PortNames {
  readonly #sources: readonly PortNameSource[];
  #names: Map<number, string> | undefined;
  #texts: (string | undefined)[] = [];

  /** `sources`: a full table and the differences to apply to it, in order. */
  constructor(sources: readonly PortNameSource[]) {
    this.#sources = sources;
  }

  /** The registered name of a port, if it has one. */
  nameOf(port: number): string | undefined {
    if (this.#names === undefined) {
      this.#names = new Map();
      for (const s of this.#sources) apply(this.#names, s);
      this.#texts = new Array<string | undefined>(65536).fill(undefined);
    }
    return this.#names.get(port);
  }

  /** `80(http)`. */
  text(port: number): string {
    return this.#texts[port] ?? this.#build(port);
  }

  #build(port: number): string {
    const name = this.nameOf(port);
    const text = name === undefined ? String(port) : `${port}(${name})`;
    this.#texts[port] = text;
    return text;
  }
}

// The text of an iptables table as iptables-restore reads it: chains first, then the rules in the order they were added.

export class Table {
  readonly #chains: string[] = [];
  readonly #rules: string[] = [];

  constructor(readonly name: string) {}

  /** Declares a chain, once. */
  chain(name: string): void {
    if (!this.#chains.includes(name)) this.#chains.push(name);
  }

  add(chain: string, rule: string): void {
    this.#rules.push(`-A ${chain} ${rule}`);
  }

  text(): string {
    return `*${this.name}\n${this.#chains.map((c) => `:${c} - [0:0]\n`).join("")}${this.#rules.map((r) => `${r}\n`).join("")}COMMIT\n`;
  }
}

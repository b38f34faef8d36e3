// What podpath asks of V8 before it sends packets by the million. A packet's way is some hundred small functions, and V8
// stops inlining into a function after 920 bytes of bytecode; more room makes a packet a sixth to a fifth cheaper and
// changes nothing else. Libraries must not set flags of their host, so only commands do.

import { setFlagsFromString } from "node:v8";

/** To be called before the hot code is compiled. Does nothing where V8 does not know the flag. */
export function tuneEngine(): void {
  setFlagsFromString("--max-inlined-bytecode-size-cumulative=3000");
}

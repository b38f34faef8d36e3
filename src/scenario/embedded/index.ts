// The scenarios that ship inside the package, by name. The first is what commands run when none is named.

import { CILIUM_NATIVE_ROUTING } from "./cilium_native_routing.js";

/** Name and YAML text of each embedded scenario. */
export const EMBEDDED: ReadonlyMap<string, string> = new Map([
  ["cilium-native-routing", CILIUM_NATIVE_ROUTING],
]);

/** The scenario of `npm start`. */
export const DEFAULT_SCENARIO = "cilium-native-routing";

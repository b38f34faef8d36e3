// fast-check with the seed of this project: `npm test` makes the same samples every time, so that a failure on one
// machine is a failure on every machine. PODPATH_SEED gives other samples (a whole number).

import fc from "fast-check";

export * from "fast-check";
export default fc;

fc.configureGlobal({ seed: Number(process.env.PODPATH_SEED ?? 1) });

const SHARE = Number(process.env.PODPATH_RUNS ?? 1);

/** Samples of a property, at least one: all of them, or the share that PODPATH_RUNS says (0.1 for mutation tests). */
export const runs = (n: number): number => Math.max(1, Math.round(n * SHARE));

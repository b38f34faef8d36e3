// `npm run mutation`: StrykerJS changes maps, conntrack and policy in thousands of ways, one at a time, and counts how many
// of the changes their tests notice. Takes an hour or so on two cores; a second run only tries what is new (incremental).

const AREAS = {
  maps: ["maps/**/*.ts"],
  conntrack: ["programs/lib/conntrack*.ts"],
  policy: ["programs/lib/policy*.ts"],
};
/** One area, by name, or all. */
const area = process.env.PODPATH_MUTATE;
if (area !== undefined && !Object.hasOwn(AREAS, area))
  throw new Error(`PODPATH_MUTATE=${area}: the areas are ${Object.keys(AREAS).join(", ")}`);
const out = `coverage/mutation/${area ?? "all"}`;

export default {
  mutate: area === undefined ? Object.values(AREAS).flat() : AREAS[area],
  testRunner: "vitest",
  vitest: { configFile: "test/vitest.mutation.config.ts", related: false },
  coverageAnalysis: "perTest",
  // Constants that a module makes when it is loaded need a new process each: most of the time for a sixth of the changes.
  // Layout and constant tests compare them with the C headers' values.
  ignoreStatic: true,
  // Nothing is built: Stryker would rewrite the paths in it.
  tsconfigFile: ".stryker-tmp/none.json",
  ignorePatterns: ["dist", "coverage"],
  tempDirName: ".stryker-tmp",
  concurrency: 2,
  timeoutMS: 4000,
  timeoutFactor: 3,
  incremental: true,
  incrementalFile: `${out}.incremental.json`,
  reporters: ["progress-append-only", "clear-text", "json"],
  clearTextReporter: { reportTests: false, allowColor: false },
  jsonReporter: { fileName: `${out}.json` },
  thresholds: { high: 90, low: 80, break: 80 },
};

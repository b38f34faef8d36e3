import { defineConfig } from "vitest/config";

/** The tests that `npm run mutation` asks: those of maps, conntrack and policy, without the slow ones. */
export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: [
      "test/unit/maps/**/*.test.ts",
      "test/prop/maps_*.test.ts",
      "test/unit/programs/lib/{conntrack,policy,notify}.test.ts",
      "test/unit/programs/tcp_lifetime.test.ts",
    ],
    // A full table of half a million entries says nothing that a small one does not.
    testNamePattern: /^(?!.*524,288)/,
    env: { PODPATH_RUNS: "0.1" },
    testTimeout: 300_000,
    pool: "threads",
  },
});

// How the tests run: one worker process a file, so that a test may own child processes, signals and the environment.

import { defineConfig } from 'vitest/config'
import { summaryReporter } from './scripts/test-summary.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/kit/install-peers.ts'],
    pool: 'forks',
    // Most tests wait for processes, clocks and peers more than they compute: two at once halve the time, also on two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    reporters: ['default', summaryReporter()],
  },
})

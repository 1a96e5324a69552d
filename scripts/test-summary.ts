// Ends a test run with one plain line, "N passed, N failed", for scripts and for people who read only the end.

import type { Reporter } from 'vitest/node'

/** Counts tests; a file that could not be loaded or an error outside any test counts as one failed test. */
export function summaryReporter(): Reporter {
  return {
    onTestRunEnd: (modules, unhandledErrors) => {
      const tests = modules.flatMap((module) => [...module.children.allTests()])
      const count = (state: string) => tests.filter((test) => test.result().state === state).length
      const brokenFiles = modules.filter((module) => module.errors().length > 0).length
      const skipped = count('skipped')
      if (skipped > 0) process.stdout.write(`${skipped} skipped\n`)
      process.stdout.write(
        `${count('passed')} passed, ${count('failed') + brokenFiles + unhandledErrors.length} failed\n`,
      )
    },
  }
}

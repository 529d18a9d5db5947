import { appendFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** Appends `{"passed", "failed"}` of a run as one line to the file that `WEBLORA_COUNTS` names; does nothing without it. */
export function countsReporter(): Reporter {
  return {
    onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
      const path = process.env['WEBLORA_COUNTS'];
      if (path === undefined) return;
      const states = modules.flatMap((module) => [...module.children.allTests()].map((each) => each.result().state));
      const passed = states.filter((state) => state === 'passed').length;
      // A file that does not even load has no tests; it counts as one that failed.
      const broken = modules.filter((module) => module.state() === 'failed' && module.children.size === 0).length;
      const failed = states.filter((state) => state === 'failed').length + broken + errors.length;
      appendFileSync(path, `${JSON.stringify({ passed, failed })}\n`);
    },
  };
}

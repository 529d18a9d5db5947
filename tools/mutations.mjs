// Damages files by seeded mutations, in several processes one after another: `node tools/mutations.mjs --count 50000 --seed 1 [--first N] [--prepared N]`.
// `--prepared`: so many of the good models are built on the device, and damaged ones that compute alike are run there; the others are built
// on Dawn's null backend.
// A process that does not come on is ended, and the mutation that it stopped at counts as one that failed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const string = (byDefault) => ({ type: 'string', default: byDefault });
const { values } = parseArgs({
  options: { count: string('50000'), seed: string('1'), first: string('0'), chunk: string('10000'), prepared: string('4') },
});
const [count, seed, start, chunk] = [values.count, values.seed, values.first, values.chunk].map(Number);
const STUCK_MS = 60_000;

const temporary = mkdtempSync(join(tmpdir(), 'weblora-mutations-'));
const ends = {};
const failures = [];
let [slowest, largest] = [{ ms: 0 }, { share: 0 }];
try {
  for (let first = start; first < start + count;) {
    const size = Math.min(chunk, start + count - first);
    const { tally, output, stoppedAt } = await run(first, size);
    if (tally) {
      for (const [end, times] of Object.entries(tally.ends)) ends[end] = (ends[end] ?? 0) + times;
      if (tally.slowest.ms > slowest.ms) slowest = tally.slowest;
      if (tally.largest.share > largest.share) largest = tally.largest;
      failures.push(...tally.failures);
      console.log(`${first} to ${first + size - 1}: ${JSON.stringify(tally.ends)}, ${tally.failures.length} failed`);
      for (const failure of tally.failures) console.log(failure);
    } else {
      failures.push(`mutation ${stoppedAt} of seed ${seed}: nothing came after it`);
      console.log(`${failures.at(-1)}\n${output.slice(-2000)}`);
    }
    first = tally ? first + size : stoppedAt + 1;
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
console.log(JSON.stringify({ mutations: count, seed, ends, slowest, largest, failures: failures.length }, undefined, 1));
process.exitCode = failures.length === 0 ? 0 : 1;

async function run(first, size) {
  const [report, progress] = [join(temporary, 'report.json'), join(temporary, 'progress')];
  for (const file of [report, progress]) rmSync(file, { force: true });
  const env = {
    ...process.env,
    WEBLORA_COUNTS: undefined,
    WEBLORA_MUTATIONS_COUNT: String(size),
    WEBLORA_MUTATIONS_SEED: String(seed),
    WEBLORA_MUTATIONS_FIRST: String(first),
    WEBLORA_MUTATIONS_PREPARED: values.prepared,
    WEBLORA_MUTATIONS_PROGRESS: progress,
    WEBLORA_MUTATIONS_REPORT: report,
  };
  const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'gpu', 'test/gpu/mutations.test.ts'];
  const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  let seen = '';
  let since = Date.now();
  const timer = setInterval(() => {
    const now = existsSync(progress) ? readFileSync(progress, 'utf8') : '';
    if (now !== seen) [seen, since] = [now, Date.now()];
    if (seen !== '' && Date.now() - since > STUCK_MS) process.kill(-child.pid, 'SIGKILL');
  }, 1000);
  await once(child, 'close');
  clearInterval(timer);
  const tally = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined;
  return { tally, output, stoppedAt: Number(seen === '' ? first : seen) };
}

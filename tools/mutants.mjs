// Plants known bugs, one at a time, and wants to see the tests fail for each: `node tools/mutants.mjs [--tests-are-green] [--unit] [NAME …]`.
// --tests-are-green: the tests have just been green without any bug, as in `npm test`, and need not run once more. --unit: those alone that
// unit tests must notice; the others take a quarter of an hour of a device in software.
// The list and the tests that must notice are in test/mutants/mutants.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MOST_SECONDS = 600;
const root = fileURLToPath(new URL('..', import.meta.url));
const { tests, mutants } = JSON.parse(readFileSync(join(root, 'test/mutants/mutants.json'), 'utf8'));
const words = process.argv.slice(2);
const flags = ['--tests-are-green', '--unit'];
const wanted = words.filter((word) => !flags.includes(word));
const unknown = wanted.filter((name) => !mutants.some((mutant) => mutant.name === name));
if (unknown.length > 0) fail(`no mutant is called ${unknown.join(', ')}; there are ${mutants.map((mutant) => mutant.name).join(', ')}`);
const isUnit = ({ tests: own = tests }) => own.every((test) => test.startsWith('test/unit/'));
const chosen = mutants.filter(
  (mutant) => (wanted.length === 0 || wanted.includes(mutant.name)) && (!words.includes('--unit') || isUnit(mutant)),
);

for (const { name, file, find, replace } of mutants) {
  if (!existsSync(join(root, file))) fail(`${name}: there is no file ${file}`);
  const count = readFileSync(join(root, file), 'utf8').split(find).length - 1;
  if (count !== 1) fail(`${name}: ${JSON.stringify(find)} occurs ${count} times in ${file}, it has to occur once`);
  if (find === replace) fail(`${name}: find and replace are the same`);
}

const temporary = mkdtempSync(join(tmpdir(), 'weblora-mutants-'));
let caught = 0;
try {
  const files = [...new Set(chosen.flatMap((mutant) => mutant.tests ?? tests))];
  if (files.length > 0 && !words.includes('--tests-are-green')) {
    const sound = await run(files, undefined);
    if (sound.verdict === 'skipped' && !process.env.CI) {
      console.log('mutants skipped: the tests found no device');
      process.exit(0);
    }
    if (sound.verdict !== 'green') fail(`without any bug planted the tests are not green: ${sound.reason}\n${sound.output}`);
    console.log(`unplanted: ${sound.executed} tests green in ${sound.seconds} s`);
  }
  for (const mutant of chosen) {
    const planted = await run(mutant.tests ?? tests, mutant);
    if (planted.verdict === 'red') caught += 1;
    console.log(`${planted.verdict === 'red' ? 'caught' : 'NOT CAUGHT'}  ${mutant.name} (${planted.seconds} s): ${planted.reason}`);
    if (planted.verdict !== 'red') console.log(`  ${mutant.file}: ${mutant.why}\n${planted.output}`);
  }
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
console.log(`${caught} of ${chosen.length} mutants caught`);
note(caught, chosen.length - caught);
process.exitCode = caught === chosen.length ? 0 : 1;

/**
 * Runs the tests, with a bug or without. `red` is a run in which tests ran and at least one of them failed on its own account:
 * a bug that does not compile, or a crash, proves nothing.
 */
async function run(files, mutant) {
  const report = join(temporary, 'report.json');
  rmSync(report, { force: true });
  const env = { ...process.env, WEBLORA_MUTANT: mutant === undefined ? undefined : JSON.stringify(mutant), WEBLORA_COUNTS: undefined };
  const started = performance.now();
  const stop = mutant === undefined ? [] : ['--bail=1'];
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', ...files, '--reporter=json', `--outputFile=${report}`, ...stop];
  // A process group of its own: a test that loops for ever is stopped together with the run that waits for it.
  const child = spawn(process.execPath, args, { cwd: root, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stopAll = () => process.kill(-child.pid, 'SIGKILL');
  const interrupted = () => {
    stopAll();
    process.exit(1);
  };
  const timer = setTimeout(stopAll, MOST_SECONDS * 1000);
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  return { seconds, output, ...judge(readReport(report), code) };
}

function judge(report, code) {
  if (report === undefined)
    return { verdict: 'broken', executed: 0, reason: `the run ended without a report, or took over ${MOST_SECONDS} s` };
  const results = report.testResults.flatMap((file) => file.assertionResults);
  const executed = results.filter((each) => each.status === 'passed' || each.status === 'failed').length;
  const failures = results.filter((each) => each.status === 'failed');
  const failedFile = report.testResults.find((file) => file.message !== '');
  if (executed === 0 && code === 0 && results.length > 0) return { verdict: 'skipped', executed, reason: 'every test was skipped' };
  if (executed === 0) return { verdict: 'broken', executed, reason: failedFile?.message ?? 'no test ran' };
  if (failures.length === 0) {
    if (code === 0) return { verdict: 'green', executed, reason: `${executed} tests passed all the same` };
    return { verdict: 'broken', executed, reason: 'the run failed outside of its tests' };
  }
  const message = failures[0].failureMessages[0] ?? '';
  const line = message.split('\n')[0];
  // The bug has to be wrong, not malformed: such a run would be red whatever the tests look at.
  if (/SyntaxError|ReferenceError|does not compile|Failed to (?:parse|resolve)/.test(message)) {
    return { verdict: 'broken', executed, reason: `it does not compile: ${line}` };
  }
  return { verdict: 'red', executed, reason: `${failures[0].fullName}: ${line}` };
}

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function note(passed, failed) {
  const path = process.env.WEBLORA_COUNTS;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ passed, failed })}\n`);
}

function fail(message) {
  console.error(message);
  note(0, 1);
  process.exit(1);
}

import type { CoreEngine } from '../engine/types.ts';
import { recordLine, runBatch } from '../openai/batch.ts';
import type { BatchProgress, BatchRecord } from '../openai/batch.ts';
import { OPEN_ANSWERS } from '../openai/room.ts';
import type { BatchArguments } from './cli-arguments.ts';
import { openInput, openOutput } from './cli-files.ts';
import type { RecordOutput } from './cli-files.ts';
import { say } from './cli-host.ts';
import type { Host } from './cli-host.ts';
import { splitLines } from './cli-lines.ts';
import { startEngine } from './cli-start.ts';
import { sayStats } from './cli-stats.ts';

/** Requests that an engine lets wait by default. */
const MOST_OPEN = 4096;

/**
 * `weblora run-batch`: a file of requests to a file of records. Returns 0: every line got its record. Throws what opening the files
 * and starting the engine throw, and the signal's reason where the user interrupts; records so far are kept, and it is said where.
 */
export async function runBatchFile(args: BatchArguments, host: Host): Promise<number> {
  const input = await openInput(args.input, host);
  const output = await openOutput(args.output, args.input, host);
  let engine: CoreEngine | undefined;
  try {
    engine = await startEngine(args, host);
    const counts = await writeRecords(engine, input, output, args, host);
    await output.finish();
    say(host, counts);
    sayStats(await engine.stats(), args, host);
    return 0;
  } catch (error) {
    const kept = await output.abandon();
    if (kept !== undefined) say(host, `weblora: not finished; the records so far are in ${kept}`);
    throw error;
  } finally {
    await engine?.close();
  }
}

async function writeRecords(
  engine: CoreEngine,
  input: AsyncIterable<Uint8Array>,
  output: RecordOutput,
  args: BatchArguments,
  host: Host,
): Promise<string> {
  const start = performance.now();
  const progress = progressLine(host);
  const counts = { answered: 0, refused: 0, wrong: 0, tokens: 0 };
  const options = { baseNames: args.baseNames, signal: host.signal, onProgress: progress.show, open: openAnswers(args) };
  try {
    for await (const record of runBatch(engine, splitLines(input), options)) {
      await output.write(recordLine(record));
      count(record, counts);
    }
  } finally {
    progress.end();
  }
  const seconds = (performance.now() - start) / 1000;
  const speed = seconds > 0 ? (counts.tokens / seconds).toFixed(1) : '0.0';
  return (
    `${counts.answered} answered, ${counts.refused} refused, ${counts.wrong} no requests; ` +
    `${counts.tokens} tokens in ${seconds.toFixed(1)} s, ${speed} tokens per second`
  );
}

/** Where more may run at once than by default, more must be open, to no more than a queue holds. */
function openAnswers({ limits }: BatchArguments): number {
  return Math.min(MOST_OPEN, Math.max(OPEN_ANSWERS, 2 * (limits.sequences ?? 0)));
}

function count(record: BatchRecord, counts: { answered: number; refused: number; wrong: number; tokens: number }): void {
  if (record.response === null) counts.wrong++;
  else if ('error' in record.response.body) counts.refused++;
  else {
    counts.answered++;
    counts.tokens += record.response.body.usage.completion_tokens;
  }
}

/** Progress on standard error: a line that is rewritten on a terminal, else a line every ten seconds. */
function progressLine(host: Host): { readonly show: (progress: BatchProgress) => void; readonly end: () => void } {
  const rewrites = host.stderr.isTTY === true && host.terminal === 'cursor';
  const every = rewrites ? 100 : 10_000;
  let last = performance.now();
  let written: 'nothing' | 'line' = 'nothing';
  return {
    show: ({ read, ended }) => {
      const now = performance.now();
      if (now - last < every) return;
      last = now;
      const text = `${ended} of ${read} requests ended`;
      host.stderr.write(rewrites ? `\r${text}\u001b[K` : `${text}\n`);
      written = 'line';
    },
    end: () => {
      if (rewrites && written === 'line') host.stderr.write('\r\u001b[K');
    },
  };
}

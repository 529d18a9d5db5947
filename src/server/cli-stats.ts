import type { Spread, Stats, TierStats } from '../engine/types.ts';
import type { ModelArguments } from './cli-arguments.ts';
import { say } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/** Says on standard error what a command ends with: that the store failed, and counters where they were asked for. */
export function sayStats(stats: Stats, args: ModelArguments, host: Host): void {
  const notice = storeNotice(stats);
  if (notice !== undefined) say(host, notice);
  if (args.stats) say(host, statsText(stats));
}

/** An engine's counters for people, a few lines, and as the last line the same and the rest as JSON. */
export function statsText(stats: Stats): string {
  const { batch, maxBatch, pages, prefix, tiers } = stats;
  const lines = [
    `${stats.steps} steps, ${whole(stats.busyMs)} ms busy: ${spread(stats.stepMs)} each, ${stats.depth} in flight`,
    `rows: ${stats.promptRows} of prompts, ${stats.decodeRows} of answers; ` +
      `a step has ${one(batch.promptRows)} and ${one(batch.decodeRows)}, ${one(batch.sequences)} requests, ${one(batch.adapters)} adapters ` +
      `(at most ${maxBatch.rows} rows, ${maxBatch.sequences} requests, ${maxBatch.adapters} adapters)`,
    `tokens: ${stats.tokens}, ${one(stats.tokensPerSecond)} a second`,
    `first token: ${spread(stats.firstTokenMs)}; between two: ${spread(stats.betweenTokensMs)}`,
    `prompts: ${prefix.found} of ${prefix.lookedUp} tokens found computed${share(prefix.found, prefix.lookedUp)}`,
    `adapters: ${stats.registered} registered`,
    tierLine('gpu', 'on the GPU', tiers.gpu),
    tierLine('heap', 'in memory', tiers.heap),
    ...(tiers.disk.budget === 0 ? [] : [tierLine('disk', 'in the store', tiers.disk)]),
    `  origin: ${tiers.origin.loads} read, ${mebibytes(tiers.origin.bytes)}, ${tiers.origin.misses} failed; ${spread(tiers.origin.loadMs)} each`,
    `pages: ${pages.total}; ${pages.kv} with keys and values (${pages.idle} idle), ${pages.adapters} with adapters; ${mebibytes(stats.gpuBytes)} on the GPU`,
    `requests: ${stats.running} run, ${stats.waiting} wait; ${stats.preemptions} preempted, ${stats.overloaded} refused for the queue, ` +
      `${stats.deadlineExceeded} past their deadline, ${stats.deviceLosses} devices lost`,
    JSON.stringify(stats),
  ];
  return lines.join('\n');
}

/** What is said of a store that refused calls, whether counters were asked for or not; undefined where it did not. */
function storeNotice({ tiers: { disk } }: Stats): string | undefined {
  if (disk.failures === 0) return undefined;
  const times = disk.failures === 1 ? 'once' : `${disk.failures} times`;
  const why = disk.lastFailure === undefined ? '' : `, at last: ${disk.lastFailure}`;
  return `weblora: the folder of --store failed ${times}${why}. Adapters are read from their origin where it cannot keep them.`;
}

/** Hits among all that asked this tier, what came, left and lies in it, and how long a load out of it took. */
function tierLine(name: string, where: string, { hits, misses, loads, evictions, bytes, budget, loadMs }: TierStats): string {
  return (
    `  ${name}: ${hits} of ${hits + misses} found ${where}${share(hits, hits + misses)}; ${loads} loads, ${evictions} evictions; ` +
    `${mebibytes(bytes)} of ${mebibytes(budget)}; ${spread(loadMs)} each`
  );
}

function spread({ p50, p95, max }: Spread): string {
  return `${one(p50)} ms (p95 ${one(p95)}, most ${one(max)})`;
}

function share(part: number, all: number): string {
  return all === 0 ? '' : ` (${whole((100 * part) / all)} %)`;
}

function one(value: number): string {
  return value.toFixed(1);
}

function mebibytes(bytes: number): string {
  return `${one(bytes / 2 ** 20)} MiB`;
}

function whole(value: number): string {
  return value.toFixed(0);
}

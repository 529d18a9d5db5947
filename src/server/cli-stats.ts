import type { Spread, Stats } from '../engine/types.ts';

/** An engine's counters for people, a few lines, and as the last line the same and the rest as JSON. */
export function statsText(stats: Stats): string {
  const { batch, maxBatch, pages, prefix, adapters } = stats;
  const lines = [
    `${stats.steps} steps, ${whole(stats.busyMs)} ms busy: ${spread(stats.stepMs)} each, ${stats.depth} in flight`,
    `rows: ${stats.promptRows} of prompts, ${stats.decodeRows} of answers; ` +
      `a step has ${one(batch.promptRows)} and ${one(batch.decodeRows)}, ${one(batch.sequences)} requests, ${one(batch.adapters)} adapters ` +
      `(at most ${maxBatch.rows} rows, ${maxBatch.sequences} requests, ${maxBatch.adapters} adapters)`,
    `tokens: ${stats.tokens}, ${one(stats.tokensPerSecond)} a second`,
    `first token: ${spread(stats.firstTokenMs)}; between two: ${spread(stats.betweenTokensMs)}`,
    `prompts: ${prefix.found} of ${prefix.lookedUp} tokens found computed${share(prefix.found, prefix.lookedUp)}`,
    `adapters: ${adapters.hits} of ${adapters.hits + adapters.misses} uses found them on the GPU` +
      `${share(adapters.hits, adapters.hits + adapters.misses)}; ${adapters.loads} loads, ${adapters.evictions} evictions`,
    `pages: ${pages.total}; ${pages.kv} with keys and values (${pages.idle} idle), ${pages.adapters} with adapters; ${whole(stats.gpuBytes / 2 ** 20)} MiB on the GPU`,
    `requests: ${stats.running} run, ${stats.waiting} wait; ${stats.preemptions} preempted, ${stats.overloaded} refused for the queue, ` +
      `${stats.deadlineExceeded} past their deadline, ${stats.deviceLosses} devices lost`,
    JSON.stringify(stats),
  ];
  return lines.join('\n');
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

function whole(value: number): string {
  return value.toFixed(0);
}

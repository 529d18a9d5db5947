import { engineFace } from '../../src/engine/engine.ts';
import { checkEngineOptions } from '../../src/engine/options.ts';
import { realPace } from '../../src/engine/pace.ts';
import { startServing } from '../../src/engine/serving.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { HEADER } from '../../src/kernels/step-layout.ts';
import { LLAMA } from './adapters.ts';
import { PROMPT, run, WORDS } from './engine-bench.ts';
import { source } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** So short that an adapter's gains take many slices: in software 25,000 multiplications, as long as nothing turns out to be faster. */
const UPLOAD_MS = 0.05;
const MOST_MULTIPLICATIONS = 5e5 * UPLOAD_MS;
/** Of the adapter: outputs of all its layers in quads, and what a quad of the narrower layers takes (64 columns, rank 8). */
const QUADS = (2 * (64 + 32 + 32 + 64 + 160 + 160 + 64)) / 4;
const QUAD_WORK = 4 * 64 * (8 + 1);
const STREAMS = 3;

/** What the device was told, in order: rows of a step, or quads of gains of one dispatch. */
type Told = { readonly rows: number } | { readonly quads: number };

function listen(queue: GPUQueue): Told[] {
  const told: Told[] = [];
  const writeBuffer = queue.writeBuffer.bind(queue) as (...args: readonly unknown[]) => undefined;
  const heard = (...args: readonly unknown[]): undefined => {
    const [{ label }, , words] = args as [GPUBuffer, number, Uint32Array];
    if (label === 'step') told.push({ rows: words[HEADER.rows]! });
    if (label === 'gains to compute') told.push({ quads: words[0]! });
    return writeBuffer(...args);
  };
  Object.defineProperty(queue, 'writeBuffer', { value: heard, configurable: true, writable: true });
  return told;
}

/** A DoRA adapter comes to the GPU while others stream: between two of their steps at most one slice of its gains is computed. */
async function checkSlices(environment: Environment): Promise<void> {
  const model = await source(environment, `${LLAMA}/base`);
  const limits = { sequences: 8, batchRows: 64, prefillChunk: 16 };
  const memory = { pool: 2 << 20 };
  const options: EngineOptions = { gpu: environment.gpu, model, precision: 'exact', tokenizer: WORDS, memory, limits };
  const pace = { ...realPace, uploadMs: UPLOAD_MS };
  const serving = await startServing(environment.gpu, options, checkEngineOptions(options), { pace });
  await using engine = engineFace(serving);
  const told = listen(serving.device.gpu.device.queue);
  await engine.adapters.add('dora', await source(environment, `${LLAMA}/adapters/dora`));
  const streams = new AbortController();
  const streaming = Array.from({ length: STREAMS }, (_, i) =>
    run(engine, { maxTokens: 400, signal: streams.signal }, [...PROMPT, i]).catch((error: unknown) => error),
  );
  const found = await run(engine, { adapter: 'dora' });
  streams.abort('enough');
  await Promise.all(streaming);
  checkTold(told);
  const again = await run(engine, { adapter: 'dora' });
  check(found.tokens.join() === again.tokens.join(), () => `${found.tokens.join()} beside streams, ${again.tokens.join()} alone`);
}

function checkTold(told: readonly Told[]): void {
  const gains = told.flatMap((each, i) => ('quads' in each ? [i] : []));
  const during = told.slice(gains[0], gains.at(-1)! + 1);
  const most = Math.ceil(MOST_MULTIPLICATIONS / QUAD_WORK);
  let slice = 0;
  let all = 0;
  let steps = 0;
  for (const each of during) {
    if ('quads' in each) {
      slice += each.quads;
      all += each.quads;
      check(slice <= most, () => `${slice} quads of gains between two steps; ${most} are what ${UPLOAD_MS} ms may hold`);
    } else {
      slice = 0;
      steps += 1;
      check(each.rows >= STREAMS, () => `a step of ${each.rows} rows while ${STREAMS} streams run`);
    }
  }
  check(all === QUADS, () => `${all} quads of gains, expected ${QUADS}`);
  check(steps >= QUADS / most - 1, () => `${steps} steps beside ${QUADS} quads of gains`);
}

/** How adapters come to the GPU beside what runs there. */
export function promotedCases(environment: Environment): Case[] {
  return [{ name: 'DoRA gains are computed in slices, and every stream goes on between two of them', run: () => checkSlices(environment) }];
}

import type { Message } from 'weblora';
import type { PageEngine } from './engine.ts';
import { thousandId, THOUSAND } from './thousand-adapter.ts';
import { errorInWords } from './words.ts';

/** How many requests run at once, and how long an answer may be. */
export const IN_FLIGHT = 48;
const TOKENS = 8;

/** How far a storm has come. */
export interface StormCount {
  readonly answered: number;
  readonly failed: number;
  /** Different adapters that were asked for. */
  readonly distinct: number;
  /** Of the first request that failed, in words. */
  readonly trouble: string | undefined;
}

export interface StormOptions {
  readonly requests: number;
  readonly seed: number;
  readonly messages: readonly string[];
  readonly signal: AbortSignal;
  /** After every request that ended. */
  readonly onChange: (count: StormCount) => void;
}

/** Uniform in [0, 1), the same numbers for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e37_79b9) >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Numbers from 1 to `count`: number k with a probability in proportion to 1/k, as Zipf found it in words. */
export function zipf(count: number, random: () => number): () => number {
  const sums = new Float64Array(count);
  let sum = 0;
  for (let k = 1; k <= count; k++) sums[k - 1] = sum += 1 / k;
  return () => {
    const drawn = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! > drawn) high = middle;
      else low = middle + 1;
    }
    return low + 1;
  };
}

/**
 * Asks adapters of the thousand, each request by the seed, and the next one whenever one has ended. A request that fails is counted, and
 * the others go on. Resolves when the last one has ended, or soon after the signal.
 */
export async function runStorm(engine: Pick<PageEngine, 'generate'>, options: StormOptions): Promise<StormCount> {
  const { requests, seed, messages, signal, onChange } = options;
  const random = seeded(seed);
  const draw = zipf(THOUSAND, random);
  const asked = new Set<number>();
  let [begun, answered, failed] = [0, 0, 0];
  let trouble: string | undefined;
  const count = (): StormCount => ({ answered, failed, distinct: asked.size, trouble });

  const askOne = async (): Promise<void> => {
    const number = draw();
    const content = messages[Math.floor(random() * messages.length)]!;
    const prompt: readonly Message[] = [{ role: 'user', content }];
    begun++;
    asked.add(number);
    try {
      await engine.generate(prompt, { adapter: thousandId(number), maxTokens: TOKENS, signal }).result();
      answered++;
    } catch (error) {
      if (signal.aborted) return;
      failed++;
      trouble ??= errorInWords(error);
    }
    onChange(count());
  };
  const isOver = (): boolean => begun >= requests || signal.aborted;
  const lane = async (): Promise<void> => {
    while (!isOver()) await askOne();
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return count();
}

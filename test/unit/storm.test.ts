import { describe, expect, test } from 'vitest';
import { IN_FLIGHT, runStorm, seeded, zipf, type StormCount } from '../../demo/storm.ts';
import type { Generation } from '../../src/index.ts';

const MESSAGES = ['one', 'two', 'three'];

interface Asked {
  readonly adapter: string;
  readonly prompt: string;
  readonly answer: (error?: Error) => void;
}

/** An engine that answers when it is told to. */
function waitingEngine() {
  const asked: Asked[] = [];
  const open: Asked[] = [];
  let most = 0;
  const generate = (prompt: unknown, options: { adapter?: unknown; signal?: AbortSignal } = {}): Generation => {
    const ended = new Promise<void>((resolve, reject) => {
      const answer = (error?: Error): void => {
        open.splice(open.indexOf(one), 1);
        if (error) reject(error);
        else resolve();
      };
      const one: Asked = { adapter: String(options.adapter), prompt: JSON.stringify(prompt), answer };
      asked.push(one);
      open.push(one);
      most = Math.max(most, open.length);
      if (asked.length === 1)
        options.signal?.addEventListener('abort', () => open.slice().forEach((each) => each.answer(new Error('aborted'))));
    });
    return { result: () => ended } as unknown as Generation;
  };
  const drain = async (): Promise<void> => {
    while (open.length > 0) {
      open[0]!.answer();
      for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    }
  };
  return { asked, open, drain, most: () => most, engine: { generate: generate as never } };
}

async function stormOf(
  requests: number,
  seed: number,
): Promise<{ readonly asked: readonly Asked[]; readonly count: StormCount; readonly most: number }> {
  const { engine, asked, drain, most } = waitingEngine();
  const ended = runStorm(engine, { requests, seed, messages: MESSAGES, signal: new AbortController().signal, onChange: () => undefined });
  await drain();
  return { count: await ended, asked, most: most() };
}

describe('a storm', () => {
  test('asks as often as it was told, never more at once than it may', async () => {
    const { asked, count, most } = await stormOf(600, 1);
    expect(asked).toHaveLength(600);
    expect(most).toBe(IN_FLIGHT);
    expect(count).toEqual({ answered: 600, failed: 0, distinct: new Set(asked.map(({ adapter }) => adapter)).size, trouble: undefined });
    expect(new Set(asked.map(({ prompt }) => prompt)).size).toBe(MESSAGES.length);
  });

  test('fewer requests than lanes are asked once each', async () => {
    expect((await stormOf(5, 1)).asked).toHaveLength(5);
  });

  test('the seed decides who is asked', async () => {
    const [first, again, other] = await Promise.all([stormOf(200, 1), stormOf(200, 1), stormOf(200, 2)]);
    const order = ({ asked }: typeof first): readonly string[] => asked.map(({ adapter, prompt }) => adapter + prompt);
    expect(order(again)).toEqual(order(first));
    expect(order(other)).not.toEqual(order(first));
  });

  test('a request that fails is counted with its reason, and the others go on', async () => {
    const { engine, asked, open, drain } = waitingEngine();
    const ended = runStorm(engine, {
      requests: 100,
      seed: 1,
      messages: MESSAGES,
      signal: new AbortController().signal,
      onChange: () => undefined,
    });
    open[3]!.answer(new Error('no such adapter'));
    open[5]!.answer(new Error('another'));
    await drain();
    expect(await ended).toMatchObject({ answered: 98, failed: 2, trouble: 'no such adapter' });
    expect(asked).toHaveLength(100);
  });

  test('a signal ends it; what was cut off has neither been answered nor failed', async () => {
    const { engine, asked, open } = waitingEngine();
    const control = new AbortController();
    const ended = runStorm(engine, { requests: 600, seed: 1, messages: MESSAGES, signal: control.signal, onChange: () => undefined });
    open[0]!.answer();
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    control.abort();
    expect(await ended).toMatchObject({ answered: 1, failed: 0 });
    expect(asked).toHaveLength(IN_FLIGHT + 1);
  });
});

test('number k comes in proportion to 1/k', () => {
  const draw = zipf(1000, seeded(3));
  const times = new Map<number, number>();
  const draws = 200_000;
  for (let i = 0; i < draws; i++) {
    const number = draw();
    times.set(number, (times.get(number) ?? 0) + 1);
  }
  const harmonic = Array.from({ length: 1000 }, (_, index) => 1 / (index + 1)).reduce((a, b) => a + b);
  for (const k of [1, 2, 3, 10, 50]) {
    const expected = draws / (k * harmonic);
    // Five standard deviations.
    expect(Math.abs(times.get(k)! - expected), `number ${k}`).toBeLessThan(5 * Math.sqrt(expected));
  }
  expect(Math.min(...times.keys())).toBe(1);
  expect(Math.max(...times.keys())).toBeLessThanOrEqual(1000);
  expect(times.size).toBe(1000);
});

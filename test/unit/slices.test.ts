import { afterEach, describe, expect, test, vi } from 'vitest';
import { readAdapter } from '../../src/adapters/adapter.ts';
import type { Folder } from '../../src/formats/folder.ts';
import { createSlices } from '../../src/slices.ts';
import type { Slices } from '../../src/slices.ts';
import { memoryFolder, safetensors, tableOf, tensor } from './files.ts';
import type { TestTensor } from './files.ts';

afterEach(() => void vi.unstubAllGlobals());

/** Slices whose clock goes only as told; a turn comes in a macrotask of its own, and each notes what was computed since the last. */
function counted(ms = 4) {
  let now = 0;
  let sinceTurn = 0;
  const turns: number[] = [];
  const slices = createSlices(ms, {
    now: () => now,
    nextTurn: (run) =>
      void setImmediate(() => {
        turns.push(sinceTurn);
        sinceTurn = 0;
        run();
      }),
  });
  const compute = (cost: number): void => {
    now += cost;
    sinceTurn += cost;
  };
  return { slices, compute, turns };
}

async function work({ slices, compute }: ReturnType<typeof counted>, pieces: number, done: () => void): Promise<void> {
  for (let piece = 0; piece < pieces; piece++) {
    await slices.pause();
    compute(1);
  }
  done();
}

describe('slices', () => {
  test('nothing is computed in the turn of whoever asks, then as much as a slice holds', async () => {
    const clock = counted();
    const working = work(clock, 9, () => undefined);
    expect(clock.turns).toEqual([]);
    await working;
    expect(clock.turns).toEqual([0, 4, 4]);
  });

  test('eight at once share each slice, and get turn about', async () => {
    const clock = counted();
    const order: number[] = [];
    await Promise.all([9, 5, 1, 4, 8, 2, 3, 12].map((pieces, i) => work(clock, pieces, () => order.push(i))));
    expect(Math.max(...clock.turns)).toBe(4);
    expect(order).toEqual([2, 3, 5, 6, 1, 4, 0, 7]);
  });

  test('who comes back from elsewhere in the midst of a slice goes on in it', async () => {
    const { slices, compute } = counted();
    await slices.pause();
    compute(3);
    expect(slices.pause()).toBeUndefined();
    compute(1);
    expect(slices.pause()).toBeInstanceOf(Promise);
  });

  test('a slice needs a length', () => {
    expect(() => createSlices(0)).toThrow(RangeError);
    expect(() => createSlices(Number.NaN)).toThrow(RangeError);
  });

  test('a pause lets in what waits for the thread', async () => {
    const slices = createSlices(1e-9);
    const log: string[] = [];
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener('message', () => log.push('message'));
    port1.start();
    port2.postMessage('now');
    for (let i = 0; i < 50; i++) await slices.pause();
    port1.close();
    expect(log).toEqual(['message']);
  });

  test('without setImmediate a pause is a message, behind all microtasks', async () => {
    vi.stubGlobal('setImmediate', undefined);
    const sent: (() => void)[] = [];
    class Channel {
      heard: () => void = () => undefined;
      readonly port1 = { postMessage: () => void sent.push(this.heard) };
      readonly port2 = { addEventListener: (_: 'message', heard: () => void) => void (this.heard = heard), start: () => undefined };
    }
    vi.stubGlobal('MessageChannel', Channel);
    const slices = createSlices(1e-9);
    const log: string[] = [];
    for (const name of ['a', 'b']) void slices.pause()!.then(() => log.push(name));
    for (const wanted of [[], ['a'], ['a', 'b']]) {
      for (let i = 0; i < 20; i++) await undefined;
      expect(log).toEqual(wanted);
      sent.shift()?.();
    }
    expect(sent).toEqual([]);
  });
});

describe('reading an adapter', () => {
  const [rank, width, layers] = [16, 4096, 2];
  const modules = ['self_attn.q_proj', 'self_attn.v_proj'];
  const table = tableOf(
    modules.map((module, i) => ({ module, inWidth: width, outWidth: width, outStart: i * width })),
    { layers },
  );
  const tensors = Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
    modules.flatMap((module) => {
      const name = `base_model.model.model.layers.${layer}.${module}`;
      const small = (i: number): number => (i % 255) / 256;
      return [tensor(`${name}.lora_A.weight`, [rank, width], small), tensor(`${name}.lora_B.weight`, [width, rank], small)];
    }),
  );
  const config = { peft_type: 'LORA', r: rank, lora_alpha: rank, target_modules: ['q_proj', 'v_proj'] };
  const folderOf = (content: readonly TestTensor[]): Folder =>
    memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(content) });
  const folder = folderOf(tensors);
  const numbers = layers * modules.length * 2 * rank * width;

  /** Loads side by side, on slices that are over at once: how often each pause gave the thread back. */
  async function turnsOf(loads: number, precision: 'exact' | 'half'): Promise<number> {
    let now = 0;
    let turns = 0;
    const slices: Slices = createSlices(1, {
      now: () => now++,
      nextTurn: (run) => {
        turns++;
        setImmediate(run);
      },
    });
    await Promise.all(Array.from({ length: loads }, () => readAdapter(folder, table, precision, { slices })));
    return turns;
  }

  test('looks at the clock every 32,768 numbers of each pass over them', async () => {
    const pieces = numbers / 32_768;
    const copies = 1 + 2 * tensors.length; // once before names are matched, then before each tensor is read and before it is hashed
    // `exact`: looked through for NaN and infinity, transposed; `half` besides: the largest found, narrowed.
    expect(await turnsOf(1, 'exact')).toBe(copies + 2 * pieces);
    expect(await turnsOf(1, 'half')).toBe(copies + 4 * pieces);
  });

  test('one turn of the event loop for each, however many read at once', async () => {
    expect(await turnsOf(8, 'half')).toBe(8 * (await turnsOf(1, 'half')));
  });

  test('tells how far it is, in bytes of the tensors', async () => {
    const told: (readonly [number, number, string])[] = [];
    await readAdapter(folder, table, 'half', { onProgress: ({ loaded, total, file }) => told.push([loaded, total, file]) });
    expect(told).toEqual([[numbers * 4, numbers * 4, 'adapter_model.safetensors']]);
  });

  test('finds what is not finite in any piece', async () => {
    const values = new Float32Array(rank * width).fill(1);
    values[40_000] = -Infinity;
    const broken = tensors.map((entry, i) => (i === 5 ? { ...entry, bytes: new Uint8Array(values.buffer) } : entry));
    await expect(readAdapter(folderOf(broken), table, 'half')).rejects.toThrow(
      'layers.1.self_attn.q_proj.lora_B.weight holds -Infinity at element 40000',
    );
  });
});

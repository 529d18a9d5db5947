import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { recipeOf, SEED, THOUSAND, thousandFiles, thousandId, thousandNumber, thousandSource } from '../../demo/thousand-adapter.ts';
import { readAdapter } from '../../src/adapters/adapter.ts';
import { openFolder, type Folder } from '../../src/formats/folder.ts';
import { parseModelConfig } from '../../src/model/config.ts';
import { modelShape } from '../../src/model/shape.ts';
import { memoryFolder } from './files.ts';
import { frontdesk } from './text-files.ts';

const WEIGHTS = 'adapter_model.safetensors';
const { table } = modelShape(parseModelConfig(JSON.parse(readFileSync(`${frontdesk}config.json`, 'utf8')), 'config.json'));
const numbers = Array.from({ length: THOUSAND }, (_, index) => index + 1);
const folderOf = (number: number): Folder => memoryFolder({ ...thousandFiles(SEED, number) });
/** The first number of each kind of adapter. */
const kinds = [...new Map(numbers.toReversed().map((number) => [JSON.stringify(recipeOf(SEED, number)), number] as const))].toSorted();

describe('the generator', () => {
  test('ranks 4, 8 and 16 come alike, one in four adapters changes every layer', () => {
    const recipes = numbers.map((number) => recipeOf(SEED, number));
    const share = (test: (recipe: (typeof recipes)[number]) => boolean): number => recipes.filter(test).length / THOUSAND;
    for (const rank of [4, 8, 16]) expect(share((recipe) => recipe.rank === rank)).toBeCloseTo(1 / 3, 1);
    expect(share(({ targets }) => targets === 'all')).toBeCloseTo(1 / 4, 1);
    expect(kinds).toHaveLength(6);
  });

  test.each(kinds)('an adapter of %s fits the base', async (kind, number) => {
    const { rank, targets } = JSON.parse(kind) as { rank: number; targets: 'attention' | 'all' };
    const packed = await readAdapter(folderOf(number), table, 'half');
    expect(packed.rank).toBe(rank);
    expect(packed.layers.map(({ matrices }) => matrices.length)).toEqual(Array.from({ length: 8 }, () => (targets === 'all' ? 7 : 4)));
  });

  test('the same seed and number give the same bytes, others give others', () => {
    const bytes = (seed: number, number: number): string => Buffer.from(thousandFiles(seed, number)[WEIGHTS].slice(-256)).toString('hex');
    expect(bytes(SEED, 42)).toBe(bytes(SEED, 42));
    expect(bytes(SEED + 1, 42)).not.toBe(bytes(SEED, 42));
    expect(new Set(numbers.slice(0, 100).map((number) => bytes(SEED, number))).size).toBe(100);
  });

  test('every number is small, of both signs, and no two rows are the same', () => {
    const file = thousandFiles(SEED, 1)[WEIGHTS];
    const head = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, head))) as Record<string, { data_offsets: [number, number] }>;
    const size = (name: string): readonly number[] => {
      const [start, end] = header[`base_model.model.model.layers.3.${name}.weight`]!.data_offsets;
      return [...new Uint16Array(file.buffer, head + start, (end - start) / 2)].map((half) => half & 0x7c00);
    };
    expect(head % 8).toBe(0);
    // Exponents of float16: 11 is from 1/16 to 1/8, 6 from 1/512 to 1/256.
    expect(new Set(size('self_attn.v_proj.lora_A'))).toEqual(new Set([11 << 10]));
    expect(new Set(size('self_attn.v_proj.lora_B'))).toEqual(new Set([6 << 10]));
    const halves = new Uint16Array(file.buffer, head);
    const negative = halves.reduce((sum, half) => sum + (half >> 15), 0) / halves.length;
    expect(negative).toBeCloseTo(0.5, 1);
  });
});

describe('ids', () => {
  test('a number and its id', () => {
    expect(numbers.map((number) => thousandNumber(thousandId(number)))).toEqual(numbers);
    expect(thousandId(7)).toBe('thousand-0007');
    for (const id of ['', 'json', 'thousand-0000', 'thousand-1001', 'thousand-12', 'thousand-00012', 'a-thousand-0001'])
      expect(thousandNumber(id), id).toBeUndefined();
    for (const number of [0, 1001, 1.5]) expect(() => thousandId(number)).toThrow(RangeError);
  });
});

describe('the source', () => {
  test('other ids have none', () => {
    expect(thousandSource('json')).toBeUndefined();
    expect(thousandSource('thousand-1001')).toBeUndefined();
  });

  test('an id of the thousand has the generated files, which open as a folder', async () => {
    const files = thousandSource('thousand-0012')!;
    expect(Buffer.compare(files[WEIGHTS], thousandFiles(SEED, 12)[WEIGHTS])).toBe(0);
    const { digest } = await readAdapter(await openFolder(files), table, 'exact');
    expect(digest).toBe((await readAdapter(folderOf(12), table, 'exact')).digest);
  });
});

import { beforeEach, describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/adapters/store.ts';
import { kernelCases } from '../../src/engine/kernel-cases.ts';
import { samplerCase } from '../../src/engine/kernel-cases-sampler.ts';
import { checkFamilies, servingIn, servingOf, setOf, type Family, type Verdict } from '../../src/engine/kernel-check.ts';
import { familiesOf } from '../../src/engine/kernel-choice.ts';
import { KERNEL_ROLES, poison, type KernelCase } from '../../src/engine/kernel-data.ts';
import { checkKey, checkMemory, CHECKS_RECORD, forgetChecks } from '../../src/engine/kernel-memory.ts';
import { candidatesOf, differenceOf } from '../../src/engine/kernel-runs.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import type { Bound, Pipelines } from '../../src/gpu/pipelines.ts';
import { PLAIN } from '../../src/kernels/plain.ts';
import { NARROW } from '../../src/kernels/variants.ts';

const CASES = [
  ...kernelCases(
    { weights: ['f32'], pool: 'f32', group: 2, headDim: 16, attention: [{ window: 'no', cap: 'no' }], norms: 'before' },
    'full',
  ),
  samplerCase(),
];
const narrow: Family = { name: 'narrow', set: NARROW };
const plain: Family = { name: 'plain', set: PLAIN };
const last = NARROW.matmul.at(-1)!.variant.name;

const sound = (family: Family): Verdict[] =>
  KERNEL_ROLES.flatMap((role) =>
    candidatesOf(family.set, role).map(({ name }) => ({ family: family.name, role, variant: name, wrong: undefined })),
  );
/** The same with one matmul that is wrong. */
const but = (verdicts: readonly Verdict[], variant: string): Verdict[] =>
  verdicts.map((verdict) => (verdict.role === 'matmul' && verdict.variant === variant ? { ...verdict, wrong: 'it is' } : verdict));

interface FakeBuffer extends Pick<GPUBuffer, 'size' | 'destroy' | 'mapAsync' | 'getMappedRange'> {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A device on which every kernel computes what the loops on the CPU do, but for those of these labels, which add 1 to the first number. */
function fakeGpu(wrong: readonly string[]): { readonly gpu: Gpu; readonly pipelines: Pipelines } {
  const bytesOf = (buffer: unknown): Uint8Array<ArrayBuffer> => (buffer as FakeBuffer).bytes;
  const holds = (bytes: Uint8Array<ArrayBuffer>, { buffers, output }: KernelCase): boolean => {
    const words = buffers[output]!;
    return Math.ceil(words.byteLength / 256) * 256 === bytes.length && words.every((word, i) => new Uint32Array(bytes.buffer)[i] === word);
  };
  const compute = (label: string, bound: Readonly<Record<string, Bound>>): void => {
    const found = Object.entries(bound).find(
      ([binding]) => ['y', 'v', 'out', 'ids'].includes(binding) && !(binding === 'v' && 'y' in bound),
    );
    if (!found) return; // on the way to an output
    const [name, buffer] = found;
    const bytes = bytesOf(buffer);
    const step = bytesOf(bound['step']);
    const of = CASES.find((each) => each.output === name && holds(bytes, each) && holds(step, { ...each, output: 'step' }))!;
    bytes.set(new Uint8Array(of.expected().buffer));
    if (wrong.includes(label)) {
      const numbers = new Float32Array(bytes.buffer);
      const first = numbers.findIndex((value) => !Number.isNaN(value));
      numbers[first]! += 1;
    }
  };
  let bindGroup: () => void = () => undefined;
  const device = {
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createBuffer: ({ size }: GPUBufferDescriptor): FakeBuffer => {
      const bytes = new Uint8Array(size);
      return { size, bytes, destroy: () => undefined, mapAsync: async () => undefined, getMappedRange: () => bytes.buffer };
    },
    queue: {
      writeBuffer: (buffer: unknown, at: number, words: Uint32Array<ArrayBuffer>) =>
        bytesOf(buffer).set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), at),
      submit: () => undefined,
    },
    createCommandEncoder: () => ({
      beginComputePass: () => ({
        setPipeline: () => undefined,
        setBindGroup: (_: number, group: () => void) => (bindGroup = group),
        dispatchWorkgroups: () => bindGroup(),
        end: () => undefined,
      }),
      copyBufferToBuffer: (from: unknown, at: number, to: unknown, toAt: number, size: number) =>
        bytesOf(to).set(bytesOf(from).subarray(at, at + size), toAt),
      finish: () => undefined,
    }),
  };
  const pipelines = {
    get: async (kernel: unknown) => ({ kernel }),
    bind: ({ kernel }: { kernel: { label: string } }, bound: Readonly<Record<string, Bound>>) => {
      return { bindGroup: () => compute(kernel.label, bound), workgroupSize: 64 };
    },
  };
  return { gpu: { device, failure: () => undefined } as unknown as Gpu, pipelines: pipelines as unknown as Pipelines };
}

async function wrongOn(...labels: readonly string[]): Promise<readonly string[]> {
  const { gpu, pipelines } = fakeGpu(labels);
  const verdicts = await checkFamilies(gpu, pipelines, [narrow, plain], CASES);
  return verdicts.filter(({ wrong }) => wrong !== undefined).map(({ family, role }) => `${family} ${role}`);
}

describe('a check', () => {
  test('finds a sound device sound', async () => {
    expect(await wrongOn()).toEqual([]);
  });

  test.each(KERNEL_ROLES)('finds a wrong %s', async (role) => {
    const [candidate] = candidatesOf(NARROW, role);
    const own = candidatesOf(PLAIN, role)[0]!.stages.at(-1)!.kernel.label;
    const { label } = candidate!.stages.at(-1)!.kernel;
    expect(await wrongOn(label)).toContain(`narrow ${role}`);
    // a plain loop that is wrong makes no other kernel wrong
    if (own !== label) expect(await wrongOn(own)).toEqual([`plain ${role}`]);
  });
});

describe('the difference of two outputs', () => {
  const words = (...values: readonly number[]) => new Uint32Array(Float32Array.from(values).buffer);
  const of = { rowLength: 2, output: 'y' };

  test('is measured against the largest number of its row', () => {
    expect(differenceOf(of, words(1.0005, 0, 100, 1), words(1, 0, 100, 1))).toBeUndefined();
    expect(differenceOf(of, words(1, 0, 100, 1.05), words(1, 0, 100, 1))).toBeUndefined();
    expect(differenceOf(of, words(1.01, 0, 100, 1), words(1, 0, 100, 1))).toBe('y in row 0, column 0 is 1.0099999904632568; expected 1');
    expect(differenceOf(of, words(0, 1e-30), words(0, 0))).toMatch(/expected 0/);
  });

  test('is a number that is none, and a number where none was to be', () => {
    expect(differenceOf(of, words(1, Number.NaN), words(1, 2))).toMatch(/column 1 is NaN; expected 2/);
    const untouched = poison(2, 'output');
    expect(differenceOf(of, untouched.slice(), untouched)).toBeUndefined();
    expect(differenceOf(of, words(0, Number.NaN), untouched)).toMatch(/it was not to write there/);
    expect(differenceOf(of, poison(2, 'input'), untouched)).toMatch(/it was not to write there/);
  });
});

describe('what serves', () => {
  test('is the first family where it is sound, with what takes over in it', () => {
    const few = NARROW.matmul[0]!.variant.name;
    const all = [...sound(narrow), ...sound(plain)];
    const names = (verdicts: readonly Verdict[]): readonly string[] =>
      servingOf([narrow, plain], verdicts, 'a device').matmul.candidates.map(({ name }) => name);
    expect(names(all)).toEqual(NARROW.matmul.map(({ variant }) => variant.name));
    expect(names(but(all, few))).toEqual(NARROW.matmul.slice(1).map(({ variant }) => variant.name));
    // the tile for few rows serves any number of them where that for many is wrong, and nothing takes over from it
    const without = setOf(servingOf([narrow, plain], but(all, last), 'a device')).matmul;
    expect(without.map(({ variant, mostRows }) => [variant.name, mostRows])).toEqual([
      ['row', 1],
      ['few', 4],
      ['tile', Infinity],
    ]);
    expect(names(but(all, 'tile'))).toEqual(['plain']);
    expect(servingIn(narrow, 'matmul', [])).toBeUndefined();
    const set = setOf(servingOf([narrow, plain], but(all, 'tile'), 'a device'));
    expect([set.matmul, set.shrink]).toEqual([PLAIN.matmul, NARROW.shrink]);
  });

  const withFeatures = { software: false, features: { subgroups: 'yes', f16: 'yes' } } as const;

  test.each([
    ['half', false, 'wide-row-subgroups', ['wide-row', 'wide-tile-f32']],
    ['half', false, 'wide-tile-f16', ['wide-row', 'wide-tile-f32']],
    ['half', true, 'wide-row-subgroups', ['wide-row']],
  ] as const)(
    'is what needs no feature where one with it is wrong: %s, deterministic %s, %s',
    async (precision, deterministic, wrong, right) => {
      const families = await familiesOf(withFeatures, 'auto', { precision, deterministic });
      expect(families.map(({ name }) => name)).toEqual(['wide', 'wide', 'narrow', 'plain']);
      const serving = servingOf(families, but(families.flatMap(sound), wrong), 'a device');
      expect(serving.matmul.candidates.map(({ name }) => name)).toEqual(right);
      expect([serving.norm.family, setOf(serving).ropeHeads]).toEqual([families[0], families[0]!.set.ropeHeads]);
      // where all are wrong, what takes over in the first is still of this family
      const bad = ['wide-row', wrong].reduce(but, families.flatMap(sound));
      const names = servingOf(families, bad, 'a device').matmul.candidates.map(({ name }) => name);
      expect(names).toEqual(
        deterministic ? NARROW.matmul.map(({ variant }) => variant.name) : names.filter((name) => name.startsWith('wide-tile')),
      );
    },
  );

  test('is looked for without features only where one with them is wrong', async () => {
    const families = await familiesOf(withFeatures, 'auto', { precision: 'exact', deterministic: true });
    const { gpu, pipelines } = fakeGpu([]);
    const verdicts = await checkFamilies(gpu, pipelines, families, CASES);
    expect(verdicts.filter(({ variant, wrong }) => variant === 'wide-row' || wrong !== undefined)).toEqual([]);
    const wrong = fakeGpu(['wide-matmul-row']); // both forms have this label
    const found = await checkFamilies(wrong.gpu, wrong.pipelines, families, CASES);
    const bad = found.filter((verdict) => verdict.wrong !== undefined).map(({ family, variant }) => `${family} ${variant}`);
    expect(bad).toEqual(['wide wide-row-subgroups', 'wide wide-row']);
    expect([...new Set(found.filter(({ family }) => family === 'narrow').map(({ role }) => role))]).toEqual(['matmul']);
    expect(await familiesOf({ ...withFeatures, software: true }, 'wide', { precision: 'exact', deterministic: false })).toHaveLength(3);
  });

  test('is nothing where the plain loop is wrong, too', () => {
    const verdicts = [...but(sound(narrow), 'tile'), ...but(sound(plain), 'plain')];
    expect(() => servingOf([narrow, plain], verdicts, 'acme chip')).toThrow(
      /acme chip computes matmul wrongly [^]*narrow .*: sound, for some steps only\n[^]*plain plain: it is/,
    );
  });
});

describe('the memory of checks', () => {
  beforeEach(forgetChecks);
  const verdicts = but(sound(narrow), last);
  const key = (shaders: string, device = 'acme') => ({ device, shaders });

  test('knows what it was told under the same device and the same shaders, after the process too', async () => {
    const store = memoryStore();
    await checkMemory(store).keep(key('a'), verdicts);
    for (const end of [() => undefined, forgetChecks]) {
      end();
      expect(await checkMemory(store).recall(key('a'))).toEqual(verdicts);
      expect([await checkMemory(store).recall(key('b')), await checkMemory(store).recall(key('a', 'other'))]).toEqual([
        undefined,
        undefined,
      ]);
    }
    forgetChecks();
    expect(await checkMemory(undefined).recall(key('a'))).toBeUndefined();
  });

  test('keeps the latest in one record', async () => {
    const store = memoryStore();
    for (let i = 0; i < 20; i++) await checkMemory(store).keep(key(String(i)), verdicts);
    forgetChecks();
    expect(await store.keys('')).toEqual([CHECKS_RECORD]);
    expect(await checkMemory(store).recall(key('19'))).toEqual(verdicts);
    expect(await checkMemory(store).recall(key('3'))).toBeUndefined();
  });

  test('a key is of the device and of every text', async () => {
    const gpu = { info: { vendor: 'acme' }, features: { subgroups: 'no', f16: 'no' } } as unknown as Gpu;
    const one = await checkKey(gpu, [narrow, plain], CASES);
    expect(await checkKey(gpu, [narrow, plain], CASES)).toEqual(one);
    const shrink = { ...NARROW.shrink, kernel: { ...NARROW.shrink.kernel, source: `${NARROW.shrink.kernel.source} ` } };
    const changed = await checkKey(gpu, [{ name: 'narrow', set: { ...NARROW, shrink } }, plain], CASES);
    expect([changed.device, changed.shaders === one.shaders]).toEqual([one.device, false]);
    expect((await checkKey(gpu, [plain], CASES)).shaders).not.toBe(one.shaders);
    expect((await checkKey({ ...gpu, info: { ...gpu.info, vendor: 'other' } }, [narrow, plain], CASES)).device).not.toBe(one.device);
  });
});

import type { PackedAdapter } from '../../src/adapters/sites.ts';
import type { ServingDevice } from '../../src/engine/device.ts';
import { WebLoraError } from '../../src/errors.ts';
import type { ItemOutput, Model } from '../../src/model/model.ts';
import type { Part, StepItem } from '../../src/model/plan.ts';
import { TABLE } from './files.ts';

export interface FakeSettings {
  readonly pages: number;
  readonly slots: number;
  readonly precision: 'exact' | 'half';
  /** Milliseconds of each write onto the device; default: none. */
  readonly writeMs?: number;
}

/** A device that computes nothing: what a request answers is a sum over the bytes that lie on it for its adapters. */
export interface FakeDevice {
  readonly serving: ServingDevice;
  /** Everything on it is gone; the engine is told. */
  lose(): void;
  /** Bytes that were written onto it so far. */
  written(): number;
}

export const PAGE_BYTES = 1024;
const DESCRIPTOR_WORDS = 8;
const VOCABULARY = 1 << 20;

const mixed = (hash: number, word: number): number => Math.imul(hash ^ word, 0x01000193) >>> 0;

/** Words that hold so many numbers from a quad of them on, added to a hash. */
function addWords(words: Uint32Array, firstQuad: number, numbers: number, precision: FakeSettings['precision'], hash: number): number {
  const quad = precision === 'exact' ? 4 : 2;
  return words.subarray(firstQuad * quad, firstQuad * quad + (numbers * quad) / 4).reduce(mixed, hash);
}

/** What a request under one adapter with scale 1 answers with every token. */
export function answerOf({ layers, precision }: PackedAdapter): number {
  let hash = 1;
  for (const { words, matrices } of layers) {
    for (const { site, offsetA, offsetB, rank4 } of matrices) {
      hash = addWords(words, offsetA, rank4 * TABLE.sites[site]!.inWidth, precision, hash);
      hash = addWords(words, offsetB, rank4 * TABLE.sites[site]!.outWidth, precision, hash);
    }
  }
  return tokenFrom(hash);
}

const tokenFrom = (hash: number): number => 1 + (hash % (VOCABULARY - 1));

interface Memory {
  readonly pages: readonly Uint32Array<ArrayBuffer>[];
  readonly descriptors: readonly Map<number, Uint32Array>[];
}

/** The same of what lies where a slot's descriptors say. */
function partOf({ pages, descriptors }: Memory, { slot }: Part, precision: FakeSettings['precision']): number {
  let hash = 1;
  for (const [layer, words] of pages.entries()) {
    const row = descriptors[layer]!.get(slot);
    if (!row) throw new Error(`no descriptors of slot ${slot}`);
    for (const [site, { inWidth, outWidth }] of TABLE.sites.entries()) {
      const [offsetA, offsetB, rank4] = row.subarray(site * DESCRIPTOR_WORDS) as unknown as [number, number, number];
      hash = addWords(words, offsetA, rank4 * inWidth, precision, hash);
      hash = addWords(words, offsetB, rank4 * outWidth, precision, hash);
    }
  }
  return hash;
}

export function createFakeDevice({ pages, slots, precision, writeMs = 0 }: FakeSettings): FakeDevice {
  let failure: WebLoraError | undefined;
  let listener: () => void = () => undefined;
  let losses = 0;
  let written = 0;
  const build = (): Model => {
    const memory: Memory = {
      pages: Array.from({ length: TABLE.layers }, () => new Uint32Array((pages * PAGE_BYTES) / 4)),
      descriptors: Array.from({ length: TABLE.layers + 1 }, () => new Map()), // outside the layers, too
    };
    const pool = {
      layers: Array.from({ length: TABLE.layers }),
      ...{ pages, pageBytes: PAGE_BYTES, outerPageBytes: PAGE_BYTES, slots },
      write: (layer: number, byteOffset: number, words: Uint32Array) => {
        memory.pages[layer]!.set(words, byteOffset / 4);
        written += words.byteLength;
        for (const until = performance.now() + writeMs; performance.now() < until;);
      },
      describe: (layer: number, slot: number, words: Uint32Array) => void memory.descriptors[layer]!.set(slot, words.slice()),
    };
    const outputOf = ({ parts, sampler }: StepItem): ItemOutput => {
      const sum = parts.reduce((all, part) => all + Math.round(part.scale * tokenFrom(partOf(memory, part, precision))), 0);
      return { token: sampler ? sum % VOCABULARY : undefined, logits: [] };
    };
    const submit = async (items: readonly StepItem[]): Promise<readonly ItemOutput[]> => {
      const outputs = items.map(outputOf); // what is written later does not touch it
      await new Promise((resolve) => setTimeout(resolve));
      if (failure) throw failure;
      return outputs;
    };
    return {
      ...{
        config: { vocabSize: VOCABULARY, family: 'llama', heads: 2, kvHeads: 1, headDim: 4, layerKinds: [{ window: Infinity, rope: 0 }] },
        shape: { table: TABLE },
        pool,
        contextLength: 256,
        logitRows: 64,
        adjustRows: 8,
      },
      ...{ setPages: () => undefined, setAdjust: () => undefined, partsPerRow: () => 8, bytes: () => 0, destroy: () => undefined, submit },
    } as unknown as Model;
  };
  let model = build();
  const serving = {
    gpu: { failure: () => failure, description: 'none', software: true },
    get model() {
      return model;
    },
    precision,
    readbackMs: 0,
    get losses() {
      return losses;
    },
    reserveRank: async () => undefined,
    reserveTraits: async () => undefined,
    checkRoom: async () => undefined,
    reserveAdjust: async () => undefined,
    worked: () => undefined,
    isLost: async () => failure !== undefined,
    rebuild: async () => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      model = build();
      failure = undefined;
      losses += 1;
    },
    onLost: (heard: () => void) => (listener = heard),
    destroy: async () => undefined,
  } as unknown as ServingDevice;
  return {
    serving,
    lose: () => {
      failure = new WebLoraError('device_lost', 'The device was lost');
      listener();
    },
    written: () => written,
  };
}

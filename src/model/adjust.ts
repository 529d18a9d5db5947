import { IN_PROMPT } from '../kernels/step-layout.ts';

/**
 * What bias and penalties need to know of each sequence: `[slot][vocabulary]` of two words a token, how often it was generated
 * (with `IN_PROMPT` where the prompt has it) and its bias. The sampler counts what it draws itself, since JS learns of it late.
 */
export interface AdjustTable {
  /** Slots that have a row. */
  readonly rows: number;
  readonly bytes: number;
  /** Fills a slot's row of the table in `buffer`. Throws `RangeError` for a slot without a row and tokens outside the vocabulary. */
  write(
    buffer: GPUBuffer,
    slot: number,
    prompt: readonly number[],
    generated: readonly number[],
    bias: Readonly<Record<number, number>>,
  ): void;
}

const MOST_BYTES = 128 << 20;
const WORDS = 2;

/** The shape of the table: a row for each of `slots`, or as many as one binding holds. */
export function createAdjustTable(device: GPUDevice, vocabulary: number, slots: number): AdjustTable {
  const rowBytes = Math.ceil(vocabulary / 4) * 4 * WORDS * 4;
  const rows = Math.min(slots, Math.floor(Math.min(device.limits.maxStorageBufferBindingSize, MOST_BYTES) / rowBytes));
  let words: Uint32Array<ArrayBuffer> | undefined;

  const place = (token: number): number => {
    if (Number.isInteger(token) && token >= 0 && token < vocabulary) return token * WORDS;
    throw new RangeError(`Token ${token} is outside the vocabulary of ${vocabulary}`);
  };

  return {
    rows,
    bytes: rows * rowBytes,
    write: (buffer, slot, prompt, generated, bias) => {
      if (slot >= rows) throw new RangeError(`Slot ${slot} has no row in an adjust table of ${rows}`);
      const row = (words ??= new Uint32Array(rowBytes / 4)).fill(0);
      const floats = new Float32Array(row.buffer);
      for (const token of prompt) row[place(token)] = IN_PROMPT;
      for (const token of generated) row[place(token)]! += 1;
      for (const [token, value] of Object.entries(bias)) floats[place(Number(token)) + 1] = value;
      device.queue.writeBuffer(buffer, slot * rowBytes, row);
    },
  };
}

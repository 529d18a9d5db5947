import { OUTER, type PackedAdapter, type Sliced, type WholeMatrix } from '../adapters/sites.ts';
import type { Buffers } from '../gpu/buffers.ts';
import type { Pipeline } from '../gpu/pipelines.ts';
import { COMMON, STATE, WEIGHTS, type WeightType } from '../kernels/libraries.ts';
import { logitSegments } from '../kernels/step-layout.ts';
import { wholeEmbed } from '../kernels/whole-embed.ts';
import { wholeHead, wholeHeadThreads, wholeHeadTogether } from '../kernels/whole-head.ts';
import { embedThreads } from '../kernels/embed.ts';
import { constants, type ForwardParts, type OwnLaunch, type WholeKind, type WholeMatrices } from './launch.ts';
import { padded } from './shape.ts';

export interface WholeParts extends Pick<ForwardParts, 'pipelines' | 'config' | 'layout' | 'activations' | 'kernels'> {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
}

const TYPES = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const satisfies Record<WholeMatrix['dtype'], WeightType>;
const NUMBER_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
/** Slots are told apart by a number in a buffer: WebGPU lets bindings start at multiples of this. */
const SLOT_BYTES = 256;

interface Chunk {
  readonly buffer: GPUBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

/** What one slot has. */
interface Own {
  readonly buffers: GPUBuffer[];
  readonly launches: Record<WholeKind, OwnLaunch[]>;
}

/** Throws what compiling and allocating throw. */
export async function createWholeMatrices(parts: WholeParts, slots: number): Promise<WholeMatrices> {
  const { device, buffers, config, pipelines, activations: a } = parts;
  const width = padded(config.hiddenSize);
  const most = Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize);
  const numbers = await buffers.allocate('slots', slots * SLOT_BYTES);
  device.queue.writeBuffer(
    numbers,
    0,
    Uint32Array.from({ length: (slots * SLOT_BYTES) / 4 }, (_, i) => Math.floor((i * 4) / SLOT_BYTES)),
  );
  const numberOf = (slot: number) => ({ buffer: numbers, offset: slot * SLOT_BYTES, size: 4 });
  const owns = new Map<number, Own>();

  const bindEmbedding = async (slot: number, type: WeightType, { buffer, firstRow, rows }: Chunk): Promise<OwnLaunch> => {
    const pipeline = await pipelines.get(wholeEmbed, {
      constants: constants(parts, {
        VOCABULARY: config.vocabSize,
        FIRST: firstRow,
        COUNT: rows,
        WIDTH8: width / 8,
        SCALE: { f32: config.embeddingScale },
      }),
      libraries: [...COMMON, STATE, WEIGHTS[type]],
    });
    const dispatch = pipelines.bind(pipeline, { step: a.step, own: numberOf(slot), weights: buffer, state: a.state, x: a.x });
    return { dispatch, threads: (plan) => embedThreads(plan.rows, width / 8) };
  };
  const together = parts.kernels.rmsNorm.kernel.label.startsWith('wide') ? 'yes' : 'no';
  const bindHead = async (slot: number, type: WeightType, { buffer, firstRow, rows }: Chunk): Promise<OwnLaunch> => {
    const out4 = Math.ceil(rows / 4);
    const pipeline: Pipeline<keyof typeof wholeHead.buffers> = await pipelines.get(together === 'yes' ? wholeHeadTogether : wholeHead, {
      constants: constants(parts, {
        ...logitSegments(parts.layout),
        WIDTH8: width / 8,
        OUT4: out4,
        OUT_AT4: firstRow / 4,
        Y_STRIDE4: a.logitsStride / 4,
      }),
      libraries: [...COMMON, WEIGHTS[type]],
    });
    const dispatch = pipelines.bind(pipeline, { step: a.step, own: numberOf(slot), weights: buffer, x: a.heads, y: a.logits });
    return { dispatch, threads: (plan) => wholeHeadThreads(plan.logitSegments, out4, together) };
  };

  const release = (slot: number): void => {
    for (const buffer of owns.get(slot)?.buffers ?? []) buffers.drop(buffer);
    owns.delete(slot);
  };
  const allocate = async (bytes: number): Promise<GPUBuffer> => {
    const attempt = (): Promise<GPUBuffer> => buffers.allocate("an adapter's own embedding or head", bytes);
    return attempt().catch(async () => {
      await device.queue.onSubmittedWorkDone(); // who has just left is kept by steps in flight
      return attempt();
    });
  };
  /** Room for a matrix, cut where a binding ends; what there is of it is in `own`, whatever happens. */
  const allocateAll = async (own: Pick<Own, 'buffers'>, { rows, dtype }: WholeMatrix): Promise<readonly Chunk[]> => {
    const rowBytes = width * NUMBER_BYTES[dtype];
    const rowsAtMost = Math.floor(most / (4 * rowBytes)) * 4;
    const chunks: Chunk[] = [];
    for (let firstRow = 0; firstRow < rows; firstRow += rowsAtMost) {
      const count = Math.min(rowsAtMost, rows - firstRow);
      const buffer = await allocate(Math.ceil(count / 4) * 4 * rowBytes);
      own.buffers.push(buffer);
      chunks.push({ buffer, firstRow, rows: count });
    }
    return chunks;
  };
  /** Room for a matrix, and what computes with it. */
  const place = async (slot: number, own: Own, matrix: WholeMatrix): Promise<readonly Chunk[]> => {
    const { sites, dtype } = matrix;
    const chunks = await allocateAll(own, matrix);
    for (const chunk of chunks) {
      if (sites.includes(OUTER.embedding)) own.launches.embedding.push(await bindEmbedding(slot, TYPES[dtype], chunk));
      if (sites.includes(OUTER.head)) own.launches.head.push(await bindHead(slot, TYPES[dtype], chunk));
    }
    return chunks;
  };

  const begin = (slot: number, { whole }: PackedAdapter): Sliced | undefined => {
    release(slot);
    if (whole.length === 0) return undefined;
    const own: Own = { buffers: [], launches: { embedding: [], head: [] } };
    owns.set(slot, own);
    let placed: readonly (readonly Chunk[])[] | undefined;
    let failure: unknown;
    inTurn(whole, (matrix) => place(slot, own, matrix)).then(
      (chunks) => (owns.get(slot) === own ? (placed = chunks) : own.buffers.forEach(buffers.drop)),
      (error: unknown) => {
        failure = error;
        own.buffers.forEach(buffers.drop);
      },
    );
    const writes = writesOf(whole, width, () => placed!);
    return {
      step: (ms) => {
        if (failure !== undefined) throw failure;
        if (!placed) return 'more';
        const end = performance.now() + ms;
        for (let next = writes.next(); !next.done; next = writes.next()) {
          const { buffer, byteOffset, bytes } = next.value;
          device.queue.writeBuffer(buffer, byteOffset, bytes);
          if (performance.now() >= end) return 'more';
        }
        return 'done';
      },
    };
  };
  const empty: Chunk = { buffer: await buffers.allocate('no matrix', 256), firstRow: 0, rows: 4 };
  return {
    checkRoom: async ({ whole }) => {
      const own = { buffers: [] };
      try {
        await inTurn(whole, (matrix) => allocateAll(own, matrix));
      } finally {
        own.buffers.forEach(buffers.drop);
      }
    },
    begin,
    release,
    launches: (all, kind) => all.flatMap((slot) => owns.get(slot)?.launches[kind] ?? []),
    nothing: { embedding: (await bindEmbedding(0, 'f32', empty)).dispatch, head: (await bindHead(0, 'f32', empty)).dispatch },
    mostChunks: Math.ceil((config.vocabSize * width * 4) / most),
  };
}

/** One after another: where one fails none is still under way. */
async function inTurn<T, R>(all: readonly T[], act: (each: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (const each of all) results.push(await act(each));
  return results;
}

interface Write {
  readonly buffer: GPUBuffer;
  readonly byteOffset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** At most so many bytes are copied at once (see `PART_WORDS` of the pool). */
const WRITE_BYTES = 4 << 20;

/** All rows of matrices, a few MiB at a time, each row as wide as its plane's. */
function* writesOf(whole: readonly WholeMatrix[], width: number, chunksOf: () => readonly (readonly Chunk[])[]): Generator<Write> {
  for (const [i, matrix] of whole.entries()) {
    const fileBytes = matrix.width * NUMBER_BYTES[matrix.dtype];
    const rowBytes = width * NUMBER_BYTES[matrix.dtype];
    const most = Math.max(1, Math.floor(WRITE_BYTES / rowBytes));
    let row = 0;
    for (const slice of matrix.slices) {
      for (let at = 0; at < slice.length;) {
        const { buffer, firstRow, rows } = chunksOf()[i]!.find((chunk) => row < chunk.firstRow + chunk.rows)!;
        const count = Math.min(most, (slice.length - at) / fileBytes, firstRow + rows - row);
        const bytes = widened(slice.subarray(at, at + count * fileBytes), fileBytes, rowBytes);
        yield { buffer, byteOffset: (row - firstRow) * rowBytes, bytes };
        row += count;
        at += count * fileBytes;
      }
    }
  }
}

/** Rows with zeros behind them. */
function widened(bytes: Uint8Array<ArrayBuffer>, from: number, to: number): Uint8Array<ArrayBuffer> {
  if (from === to) return bytes;
  const wide = new Uint8Array((bytes.length / from) * to);
  for (let row = 0; row * from < bytes.length; row++) wide.set(bytes.subarray(row * from, (row + 1) * from), row * to);
  return wide;
}

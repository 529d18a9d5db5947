import type { AdapterPlace, PackedAdapter, PackedMatrix, Sliced } from '../adapters/sites.ts';
import type { Buffers } from '../gpu/buffers.ts';
import { record } from '../gpu/recorder.ts';
import type { Dispatch } from '../gpu/pipelines.ts';
import { doraGain, doraGainThreads } from '../kernels/dora-gain.ts';
import { GRID, planeLayout, POOL, REDUCE_MEMORY, WEIGHTS, type PoolType } from '../kernels/libraries.ts';
import type { ForwardParts } from './launch.ts';
import type { Plane } from './planes.ts';
import { padded, type ModelShape } from './shape.ts';

/** Outputs of one matrix that lie in one buffer of weights. */
interface Run {
  readonly matrix: PackedMatrix;
  readonly dispatch: Dispatch;
  /** Quads of outputs: the first of the matrix's own, the first behind them, and the row of the buffer where the matrix's first would be. */
  readonly from: number;
  readonly end: number;
  readonly row: number;
  /** Multiplications that four outputs take. */
  readonly work: number;
}

/**
 * Multiplications in a millisecond that every device of its kind is taken to do. What slices turn out to take can only raise it: a slice
 * may have waited for steps before it, but it is never done sooner than it takes.
 */
const LEAST_RATE = { hardware: 5e7, software: 5e5 } as const;
/** Slices that the device may have before it: more would make a step that comes wait for all of them. */
const MOST_SLICES = 2;
const QUAD_BYTES: Readonly<Record<PoolType, number>> = { f32: 16, f16: 8 };

/** Computes gains in slices; see `Finisher`. */
export interface Gains {
  begin(place: AdapterPlace, adapter: PackedAdapter): Sliced | undefined;
}

export interface GainParts extends Pick<ForwardParts, 'pipelines' | 'shape' | 'weights' | 'pool' | 'poolType'> {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly software: boolean;
}

/** Computes DoRA's gains where adapters' magnitudes lie. Throws what compiling and allocating throw. */
export async function createGains(parts: GainParts): Promise<Gains> {
  const { device, pool, poolType } = parts;
  const job = await parts.buffers.allocate('gains to compute', 64);
  const words = new Uint32Array(9);
  const floats = new Float32Array(words.buffer);
  const places = await placesOf(parts, job);
  let rate: number = LEAST_RATE[parts.software ? 'software' : 'hardware'];
  let open = 0;

  const submit = (run: Run, first: number, count: number, byteOffset: number): void => {
    const { offsetA, offsetB, rank4, scale, offsetMagnitude } = run.matrix;
    const base = byteOffset / QUAD_BYTES[poolType];
    words.set([count, first, run.row + first * 4, base + offsetA, base + offsetB, rank4]);
    floats[6] = scale;
    words[7] = (byteOffset + offsetMagnitude! * 4) / 16 + 1;
    words[8] = parts.shape.table.sites[run.matrix.site]!.outWidth / 4;
    device.queue.writeBuffer(job, 0, words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    record(pass, run.dispatch, doraGainThreads(count));
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  const measure = (work: number): void => {
    const began = performance.now();
    open += 1;
    const ended = (): void => {
      open -= 1;
      rate = Math.max(rate, work / Math.max(0.1, performance.now() - began));
    };
    device.queue.onSubmittedWorkDone().then(ended, ended);
  };

  const begin = ({ firstPage }: AdapterPlace, adapter: PackedAdapter): Sliced | undefined => {
    const runs = runsOf(adapter, parts.shape, places);
    if (runs.length === 0) return undefined;
    let at = 0;
    let next = runs[0]!.from;
    return {
      step: (ms) => {
        if (at < runs.length && ms < Infinity && open >= MOST_SLICES) return 'more';
        let left = ms * rate;
        let done = 0;
        while (at < runs.length && left > 0) {
          const run = runs[at]!;
          const count = Math.min(run.end - next, Math.max(1, Math.floor(left / run.work)));
          submit(run, next, count, firstPage * pool.pageBytes);
          left -= count * run.work;
          done += count * run.work;
          next += count;
          if (next === run.end) next = runs[++at]?.from ?? 0;
        }
        measure(done);
        return at === runs.length ? 'done' : 'more';
      },
    };
  };
  return { begin };
}

/** Rows of a group's weights in one buffer, and what computes on it. */
interface Place {
  readonly firstRow: number;
  readonly rows: number;
  readonly dispatch: Dispatch;
}

/** By layer, then by place in the site table. */
type Places = readonly (readonly (readonly Place[])[])[];

async function placesOf({ pipelines, shape, weights, pool, poolType }: GainParts, job: GPUBuffer): Promise<Places> {
  const place = async (plane: Plane, layer: number, width: number): Promise<Place[]> => {
    const places = plane.chunks.map(async ({ type, buffer, firstRow, rows }): Promise<Place> => {
      const { scalesAtWord } = planeLayout(type, Math.ceil(rows / 4) * 4, padded(plane.width));
      const pipeline = await pipelines.get(doraGain, {
        constants: { WIDTH4: width / 4, WIDTH8: padded(plane.width) / 8, SCALES_AT: scalesAtWord },
        libraries: [GRID, WEIGHTS[type], POOL[poolType], REDUCE_MEMORY],
      });
      return { firstRow, rows, dispatch: pipelines.bind(pipeline, { job, weights: buffer, pool: pool.layers[layer]! }) };
    });
    return Promise.all(places);
  };
  const layers = weights.layers.map(async (planes, layer) => {
    const groups = Object.values(shape.groups).map(async ({ name, inWidth, sites }) => {
      const places = await place(planes[name], layer, inWidth);
      return Array.from({ length: sites }, () => places);
    });
    return (await Promise.all(groups)).flat();
  });
  return Promise.all(layers);
}

/** What there is to compute for an adapter. */
function runsOf({ layers }: PackedAdapter, { table }: ModelShape, places: Places): Run[] {
  const runs: Run[] = [];
  for (const [layer, { matrices }] of layers.entries()) {
    for (const matrix of matrices) {
      if (matrix.offsetMagnitude === undefined) continue;
      const { inWidth, outStart, outWidth } = table.sites[matrix.site]!;
      const work = 4 * inWidth * (matrix.rank4 + 1);
      for (const { firstRow, rows, dispatch } of places[layer]![matrix.site]!) {
        const from = Math.max(0, firstRow - outStart) / 4;
        const end = Math.min(outWidth, firstRow + rows - outStart) / 4;
        if (from < end) runs.push({ matrix, dispatch, from, end, row: outStart - firstRow, work });
      }
    }
  }
  return runs;
}

import type { AdapterPlace, PackedAdapter, PackedMatrix, Site, Sliced } from '../adapters/sites.ts';
import type { Buffers } from '../gpu/buffers.ts';
import { record } from '../gpu/recorder.ts';
import type { Dispatch } from '../gpu/pipelines.ts';
import { biasDelta } from '../kernels/bias-delta.ts';
import { doraGain, doraGainThreads } from '../kernels/dora-gain.ts';
import { GRID, planeLayout, POOL, REDUCE_MEMORY, WEIGHTS, type PoolType } from '../kernels/libraries.ts';
import type { ForwardParts } from './launch.ts';
import type { Plane } from './planes.ts';
import { padded } from './shape.ts';

/** Outputs of one site that one dispatch can compute, or some of them. */
interface Run {
  readonly dispatch: Dispatch;
  /** Quads of outputs: the first of the site's own, and the first behind them. */
  readonly from: number;
  readonly end: number;
  /** Multiplications that four outputs take. */
  readonly work: number;
  readonly threads: (quads: number) => number;
  /** What the dispatch is told: `count` quads from `first` on of an adapter that lies at a byte of the layer. */
  readonly job: (first: number, count: number, byteOffset: number) => Uint32Array<ArrayBuffer>;
}

/**
 * Multiplications in a millisecond that every device of its kind is taken to do. What slices turn out to take can only raise it: a slice
 * may have waited for steps before it, but it is never done sooner than it takes.
 */
const LEAST_RATE = { hardware: 5e7, software: 5e5 } as const;
/** Slices that the device may have before it: more would make a step that comes wait for all of them. */
const MOST_SLICES = 2;
const QUAD_BYTES: Readonly<Record<PoolType, number>> = { f32: 16, f16: 8 };

/** Computes in slices what depends on the base; see `Finisher`. */
export interface Gains {
  begin(place: AdapterPlace, adapter: PackedAdapter): Sliced | undefined;
}

export interface GainParts extends Pick<ForwardParts, 'pipelines' | 'shape' | 'weights' | 'pool' | 'poolType'> {
  readonly device: GPUDevice;
  readonly buffers: Buffers;
  readonly software: boolean;
}

/** Computes DoRA's gains where adapters' magnitudes lie, and what biases differ from the base's where they lie. Throws what compiling and allocating throw. */
export async function createGains(parts: GainParts): Promise<Gains> {
  const { device, pool } = parts;
  const job = await parts.buffers.allocate('gains to compute', 64);
  const places = await placesOf(parts, job);
  let rate: number = LEAST_RATE[parts.software ? 'software' : 'hardware'];
  let open = 0;

  const submit = (run: Run, first: number, count: number, byteOffset: number): void => {
    device.queue.writeBuffer(job, 0, run.job(first, count, byteOffset));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    record(pass, run.dispatch, run.threads(count));
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
    const runs = runsOf(adapter, parts, places);
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

/** A site's weights, and what computes with the base's bias, where it has one. */
interface SitePlaces {
  readonly weights: readonly Place[];
  readonly bias: Dispatch | undefined;
}

/** By layer, then by place in the site table. */
type Places = readonly (readonly SitePlaces[])[];

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
  const biasOf = async (base: GPUBuffer | undefined, layer: number): Promise<Dispatch | undefined> => {
    if (!base) return undefined;
    const pipeline = await pipelines.get(biasDelta, { constants: {}, libraries: [GRID, POOL[poolType]] });
    return pipelines.bind(pipeline, { job, base, pool: pool.layers[layer]! });
  };
  const layers = weights.layers.map(async (planes, layer) => {
    const bases = { qkv: planes.headVectors, o: planes.oBias, gateUp: planes.gateUpBias, down: planes.downBias };
    const groups = Object.values(shape.groups).map(async ({ name, inWidth, sites }) => {
      const places = { weights: await place(planes[name], layer, inWidth), bias: await biasOf(bases[name], layer) };
      return Array.from({ length: sites }, () => places);
    });
    return (await Promise.all(groups)).flat();
  });
  return Promise.all(layers);
}

/** How the kernels name a vector (see lib/descriptors.wgsl). */
const vectorAt = (byteOffset: number, offset: number): number => (byteOffset + offset * 4) / 16 + 1;

/** What there is to compute for an adapter. */
function runsOf({ layers }: PackedAdapter, { shape, poolType }: GainParts, places: Places): Run[] {
  const runs: Run[] = [];
  for (const [layer, { matrices }] of layers.entries()) {
    for (const matrix of matrices) {
      const site = shape.table.sites[matrix.site]!;
      const { weights, bias } = places[layer]![matrix.site]!;
      if (matrix.offsetMagnitude !== undefined) runs.push(...weights.flatMap((place) => gainRun(matrix, site, place, poolType) ?? []));
      // a site that has no bias in the base adds the adapter's as it is
      if (matrix.offsetBias !== undefined && site.bias === 'yes') runs.push(biasRun(matrix.offsetBias, site, bias!));
    }
  }
  return runs;
}

function gainRun(matrix: PackedMatrix, { inWidth, outStart, outWidth }: Site, place: Place, poolType: PoolType): Run | undefined {
  const { offsetA, offsetB, rank4, scale, offsetMagnitude } = matrix;
  const { firstRow, rows, dispatch } = place;
  const from = Math.max(0, firstRow - outStart) / 4;
  const end = Math.min(outWidth, firstRow + rows - outStart) / 4;
  if (from >= end) return undefined;
  const job: Run['job'] = (first, count, byteOffset) => {
    const base = byteOffset / QUAD_BYTES[poolType];
    const row = outStart - firstRow + first * 4;
    const words = Uint32Array.of(count, first, row, base + offsetA, base + offsetB, rank4, 0, 0, outWidth / 4);
    new Float32Array(words.buffer)[6] = scale;
    words[7] = vectorAt(byteOffset, offsetMagnitude!);
    return words;
  };
  return { dispatch, from, end, work: 4 * inWidth * (rank4 + 1), threads: doraGainThreads, job };
}

function biasRun(offset: number, { outStart, outWidth }: Site, dispatch: Dispatch): Run {
  const job: Run['job'] = (_, count, byteOffset) => Uint32Array.of(count, outStart / 4, vectorAt(byteOffset, offset));
  // its work is none: never cut
  return { dispatch, from: 0, end: outWidth / 4, work: 0, threads: (quads) => quads, job };
}

import source from '../../shaders/attention.wgsl?raw';
import keysAlone from '../../shaders/lib/keys-alone.wgsl?raw';
import keysQuads from '../../shaders/lib/keys-quads.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** What every form of attention in one dispatch takes (see attention.wgsl). */
export const ATTENTION_CONSTANTS: readonly string[] = [
  ...STEP_CONSTANTS,
  ...['KV_HEADS', 'GROUP', 'DIM4', 'QKV_STRIDE4', 'OUT_STRIDE4', 'PAGES_PER_ROW', 'SCALE', 'WINDOW', 'CAP'],
];

/** Queries (a head of a row each) of one thread at most, rows that they may be of, and threads that share what they read. */
interface Tile {
  readonly most: number;
  readonly rows: number;
  readonly lanes: number;
}

const DECODE: Tile = { most: 4, rows: 1, lanes: 1 };
// with twice the queries a tile takes four times as long to compile on SwiftShader
const ROWS: Tile = { most: 4, rows: 4, lanes: 1 };
const ROWS_QUADS: Tile = { most: 4, rows: 16, lanes: 4 };

const own = ({ most, rows }: Tile) => ({ MOST: most, ROWS: rows });

/** Heads of one row a thread. */
export const attention = defineKernel({
  label: 'attention',
  source,
  buffers: { step: 'read', blocks: 'read', state: 'read', qkv: 'read', pool: 'read', out: 'read_write' },
  constants: [...ATTENTION_CONSTANTS, 'ROWS', 'MOST'],
  ownConstants: own(DECODE),
  ownLibraries: [keysAlone],
  // a decode step has so few threads that workgroups of 64 would leave cores without any
  workgroupSize: 16,
});

/** Heads of rows of one sequence, which a thread attends together. Every row gets the bits that `attention` gives it. */
export const attentionRows = defineKernel({ ...attention, ownConstants: own(ROWS) });

/** The same with four threads that share what they read, through subgroups. */
export const attentionRowsQuads = defineKernel({
  ...attention,
  ownConstants: own(ROWS_QUADS),
  ownLibraries: [keysQuads],
  enables: ['subgroups'],
  workgroupSize: 4,
});

/** Invocations for so many rows: by tile of rows, kv head, and part of the heads and rows of a tile. */
function threadsOf({ most, rows: tileRows, lanes }: Tile, rows: number, kvHeads: number, group: number): number {
  return Math.ceil(rows / tileRows) * kvHeads * Math.ceil((tileRows * group) / (most * lanes)) * lanes;
}

/** `group`: query heads that share a kv head. */
export const attentionThreads = (rows: number, kvHeads: number, group: number): number => threadsOf(DECODE, rows, kvHeads, group);
export const attentionRowsThreads = (rows: number, kvHeads: number, group: number): number => threadsOf(ROWS, rows, kvHeads, group);
export const attentionRowsQuadsThreads = (rows: number, kvHeads: number, group: number): number =>
  threadsOf(ROWS_QUADS, rows, kvHeads, group);

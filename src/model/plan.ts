import { TRAITS, WHOLE_TRAITS } from '../adapters/sites.ts';
import {
  HEADER,
  MAX_PARTS,
  PART_WORDS,
  ROW_WORDS,
  SEGMENT_ROWS,
  SEGMENT_WORDS,
  TOKEN_IN_STATE,
  type StepLayout,
} from '../kernels/step-layout.ts';
import { createSamplerWriter, type SamplerSettings } from './sampling.ts';

/** One adapter of a request: its slot on the GPU, a factor on its scale, and its widest rank rounded up to 4. */
export interface Part {
  readonly slot: number;
  readonly scale: number;
  readonly rank4: number;
  /** Bits of `TRAITS`; default none. One that has any of them is its rows' only part. */
  readonly traits?: number;
}

/** Rows of one sequence in one step: a chunk of its prompt, or one decode row. */
export interface StepItem {
  /** The sequence's row of the block table and its state slot, which are the same number. */
  readonly slot: number;
  /** Position of the first row. */
  readonly start: number;
  readonly count: number;
  /** The tokens of the rows; undefined: one row, whose token the sampler left in the state slot. */
  readonly tokens: readonly number[] | undefined;
  /** Adapters whose changes are summed, at most `MAX_PARTS`, in the order in which they are added. Empty: the base model alone. */
  readonly parts: readonly Part[];
  /** How many of the last rows need logits. */
  readonly logitRows: number;
  /** Whether those logits come back to JS (`read`) or only feed the sampler (`stay`). */
  readonly logits: 'read' | 'stay';
  /** Present where the last row's logits give the next token. */
  readonly sampler: SamplerSettings | undefined;
}

/** A step as numbers: what the kernels read and how wide their grids are. */
export interface Plan {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly rows: number;
  /** Sequences that the rows belong to, and the keys of the row that attends to most. */
  readonly sequences: number;
  readonly keys: number;
  readonly segments: number;
  /** Of the segment that has most. */
  readonly segmentRows: number;
  readonly rankQuads: number;
  /** Bits of `TRAITS` that some row's adapter has. */
  readonly traits: number;
  /** Segments of logit rows, where an adapter changes the head. */
  readonly logitSegments: number;
  /** Slots of adapters with whole matrices, each once. */
  readonly wholes: readonly number[];
  /** Rows of v that shrink writes: rows times their parts. */
  readonly vRows: number;
  readonly logitRows: number;
  /** The first of the logit rows, which come back to JS. */
  readonly readRows: number;
  readonly samplers: number;
  /** Samplers that change logits (bias, penalties), those that leave tokens out, and of these those with top-k and with top-p. */
  readonly adjusting: number;
  readonly filtering: number;
  readonly topK: number;
  readonly topP: number;
  /** By item, in the order given: where its first logit row and its sampled id are; undefined where it has none. */
  readonly logitRowOf: readonly (number | undefined)[];
  readonly samplerOf: readonly (number | undefined)[];
}

/**
 * Sorts a step's rows by adapter, cuts them into segments (S-LoRA and Punica's batching), and writes the metadata that the
 * kernels read into one array of words, which is reused by the next call.
 *
 * @param fullRows see `KernelSet`.
 */
export function createPlanner(layout: StepLayout, fullRows = 0): (items: readonly StepItem[]) => Plan {
  const words = new Uint32Array(layout.words);
  const floats = new Float32Array(words.buffer);
  const writer = createSamplerWriter(layout, words, floats);
  return (items) => {
    const order = sortByAdapter(items);
    const rowOf = writeRows(layout, words, items, order);
    const each = segmentRowsOf(items, order, fullRows);
    const segments = writeSegments(layout, words, floats, { items, order, rowOf, each });
    const logits = writeLogitRows(layout, words, items, rowOf);
    const logitSegments = (segments.traits & HEAD_TRAITS) === 0 ? 0 : writeLogitSegments(layout, words, items, logits.of, segments.partOf);
    const samplerOf: (number | undefined)[] = [];
    writer.reset();
    for (const [i, { sampler, slot, start, count, tokens, logitRows }] of items.entries()) {
      samplerOf.push(sampler && writer.counts().samplers);
      if (!sampler) continue;
      const logitRow = logits.of[i]! + logitRows - 1;
      writer.write(sampler, { logitRow, slot, position: start + count, token: tokens ? 'given' : 'state' });
    }
    const sampling = writer.counts();
    const rows = items.reduce((sum, item) => sum + item.count, 0);
    words[HEADER.rows] = rows;
    words[HEADER.segments] = segments.count;
    words[HEADER.rankQuads] = segments.rankQuads;
    words[HEADER.logitRows] = logits.count;
    words[HEADER.samplers] = sampling.samplers;
    words[HEADER.logitSegments] = logitSegments;
    return {
      // the segments of logit rows come last, and are not sent where there are none
      words: logitSegments > 0 ? words : words.subarray(0, layout.logitSegmentsAt),
      rows,
      sequences: items.length,
      keys: items.reduce((most, { start, count }) => Math.max(most, start + count), 0),
      segments: segments.count,
      segmentRows: segments.mostRows,
      rankQuads: segments.rankQuads,
      traits: segments.traits,
      logitSegments,
      wholes: segments.wholes,
      vRows: segments.vRows,
      logitRows: logits.count,
      readRows: logits.read,
      ...sampling,
      logitRowOf: logits.of,
      samplerOf,
    };
  };
}

/** Indices of the items with the base first, then by slot: items with the same adapters lie next to each other. */
function sortByAdapter(items: readonly StepItem[]): number[] {
  const key = (index: number): string => items[index]!.parts.map((part) => `${String(part.slot).padStart(6, '0')}:${part.scale}`).join();
  const keys = items.map((_, index) => key(index));
  return items.map((_, index) => index).sort((a, b) => (keys[a]! < keys[b]! ? -1 : keys[a]! > keys[b]! ? 1 : a - b));
}

function writeRows(layout: StepLayout, words: Uint32Array, items: readonly StepItem[], order: readonly number[]): number[] {
  const rowOf: number[] = new Array(items.length);
  let row = 0;
  for (const index of order) {
    const { slot, start, count, tokens, parts } = items[index]!;
    rowOf[index] = row;
    for (let i = 0; i < count; i++, row++) {
      const at = layout.rowsAt + row * ROW_WORDS;
      words[at] = tokens ? tokens[i]! : TOKEN_IN_STATE + slot;
      words[at + 1] = start + i;
      words[at + 2] = slot;
      words[at + 3] = parts.length === 1 ? parts[0]!.slot : 0;
    }
  }
  if (row > layout.limits.rows) throw new RangeError(`A step of ${row} rows exceeds the ${layout.limits.rows} it may have`);
  return rowOf;
}

function sameParts(a: readonly Part[], b: readonly Part[]): boolean {
  return a.length === b.length && a.every((part, i) => part.slot === b[i]!.slot && part.scale === b[i]!.scale);
}

/** Traits that need segments of logit rows. */
const HEAD_TRAITS = TRAITS.headPair | TRAITS.wholeHead;

interface Segments extends Pick<Plan, 'rankQuads' | 'vRows' | 'traits' | 'wholes'> {
  readonly count: number;
  readonly mostRows: number;
  /** By item: its first part. */
  readonly partOf: readonly number[];
}

/** Items as they lie in the batch, the first row of each, and how many rows a segment has at most. */
interface Cut {
  readonly items: readonly StepItem[];
  readonly order: readonly number[];
  readonly rowOf: readonly number[];
  readonly each: number;
}

/** Rows that a segment has at most: one where too few adapters have several, because a segment of several costs as if it were full. */
function segmentRowsOf(items: readonly StepItem[], order: readonly number[], fullRows: number): number {
  let all = 0;
  let segments = 0;
  for (let first = 0; first < order.length;) {
    const { parts } = items[order[first]!]!;
    let rows = 0;
    while (first < order.length && sameParts(items[order[first]!]!.parts, parts)) rows += items[order[first++]!]!.count;
    if (parts.length === 0) continue;
    all += rows;
    segments += Math.ceil(rows / SEGMENT_ROWS);
  }
  return all < fullRows * segments ? 1 : SEGMENT_ROWS;
}

function writeSegments(layout: StepLayout, words: Uint32Array, floats: Float32Array, { items, order, rowOf, each }: Cut): Segments {
  let count = 0;
  let mostRows = 0;
  let partCount = 0;
  let rankQuads = 0;
  let vRows = 0;
  let traits = 0;
  const wholes: number[] = [];
  const partOf: number[] = [];
  for (let first = 0; first < order.length;) {
    const { parts } = items[order[first]!]!;
    let rows = 0;
    let next = first;
    while (next < order.length && sameParts(items[order[next]!]!.parts, parts)) {
      partOf[order[next]!] = partCount;
      rows += items[order[next++]!]!.count;
    }
    if (parts.length > MAX_PARTS) throw new RangeError(`A row sums ${parts.length} adapters; it may have ${MAX_PARTS}`);
    if (parts.length > 0) {
      const rowStart = rowOf[order[first]!]!;
      for (let done = 0; done < rows; done += each) {
        const at = layout.segmentsAt + count++ * SEGMENT_WORDS;
        const rowCount = Math.min(each, rows - done);
        words[at] = rowStart + done;
        words[at + 1] = rowCount;
        words[at + 2] = partCount;
        words[at + 3] = parts.length;
        words[at + 4] = vRows;
        mostRows = Math.max(mostRows, rowCount);
        vRows += rowCount * parts.length;
      }
      for (const part of parts) {
        const at = layout.partsAt + partCount++ * PART_WORDS;
        words[at] = part.slot;
        floats[at + 1] = part.scale;
        rankQuads = Math.max(rankQuads, part.rank4 / 4);
        traits |= part.traits ?? 0;
        if (((part.traits ?? 0) & WHOLE_TRAITS) !== 0 && !wholes.includes(part.slot)) wholes.push(part.slot);
      }
    }
    first = next;
  }
  return { count, mostRows, rankQuads, vRows, traits, wholes, partOf };
}

/** The segments of logit rows: the rows of each item, for kernels of segments of several rows. Returns their number. */
function writeLogitSegments(
  layout: StepLayout,
  words: Uint32Array,
  items: readonly StepItem[],
  logitRowOf: readonly (number | undefined)[],
  partOf: readonly number[],
): number {
  let count = 0;
  let vRows = 0;
  for (const [i, { parts, logitRows }] of items.entries()) {
    for (let done = 0; done < (parts.length > 0 ? logitRows : 0); done += SEGMENT_ROWS) {
      const rowCount = Math.min(SEGMENT_ROWS, logitRows - done);
      words.set([logitRowOf[i]! + done, rowCount, partOf[i]!, parts.length, vRows], layout.logitSegmentsAt + count++ * SEGMENT_WORDS);
      vRows += rowCount * parts.length;
    }
  }
  return count;
}

/** Logit rows that JS reads come first, so that one copy of a prefix brings them back. */
function writeLogitRows(layout: StepLayout, words: Uint32Array, items: readonly StepItem[], rowOf: readonly number[]) {
  const of: (number | undefined)[] = new Array(items.length).fill(undefined);
  let count = 0;
  const write = (wanted: StepItem['logits']): void => {
    for (const [i, item] of items.entries()) {
      if (item.logits !== wanted || item.logitRows === 0) continue;
      of[i] = count;
      const first = rowOf[i]! + item.count - item.logitRows;
      for (let j = 0; j < item.logitRows; j++) words[layout.logitRowsAt + count++] = first + j;
    }
  };
  write('read');
  const read = count;
  write('stay');
  if (count > layout.limits.logitRows) throw new RangeError(`A step of ${count} logit rows exceeds ${layout.limits.logitRows}`);
  return { of, count, read };
}

import { defineKernel, type Kernel } from '../../../src/gpu/kernel.ts';
import { EXPAND_CONSTANTS, loraExpand } from '../../../src/kernels/lora-expand.ts';
import { loraShrink, SHRINK_CONSTANTS } from '../../../src/kernels/lora-shrink.ts';
import type { ExpandVariant, ShrinkVariant } from '../../../src/kernels/variants.ts';

export interface LoraForm {
  /** Quads of ranks (shrink) or of columns (expand) of one thread. */
  readonly quads: number;
  readonly workgroup: number;
  /** Where a thread learns how many rows its segment has: in its inner loop, or before it, with a loop for one row and one for four. */
  readonly rows: 'inside' | 'before' | 'exact';
  /** Rounds of the inner loop in one. */
  readonly unroll: number;
}

export interface ExpandForm extends LoraForm {
  /** Whether a thread goes through all sites and leaves out those without its columns, or finds the site of its columns first. */
  readonly sites: 'all' | 'own';
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const lines = (count: number, line: (i: number) => string): string => range(count).map(line).join('\n');

const named = ({ quads, workgroup, rows, unroll }: LoraForm): string =>
  [`${quads * 4} a thread`, `workgroups of ${workgroup}`, `rows ${rows}`, ...(unroll > 1 ? [`unroll ${unroll}`] : [])].join(', ');

const MAIN = `@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
`;

const ACCUMULATE = `fn accumulate(sum: vec4f, vs: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
  return fma(vec4f(vs.w), b3, fma(vec4f(vs.z), b2, fma(vec4f(vs.y), b1, fma(vec4f(vs.x), b0, sum))));
}
`;

/** The loop for a segment, once for each number of rows that the form tells apart. */
function byRows({ rows }: LoraForm, loop: (rows: number, guard: string) => string): string {
  if (rows === 'inside') return loop(4, 'if (last > 0u) ');
  if (rows === 'before') return `if (last == 0u) {\n${loop(1, '')}\n} else {\n${loop(4, '')}\n}`;
  return `switch (last) {
  case 0u: {\n${loop(1, '')}\n}
  case 1u: {\n${loop(2, '')}\n}
  case 2u: {\n${loop(3, '')}\n}
  default: {\n${loop(4, '')}\n}
}`;
}

/** Another text for a kernel's buffers, its shapes written into it. */
function variantOf<Binding extends string>(
  { buffers }: Kernel<Binding>,
  constants: readonly string[],
  label: string,
  source: string,
  { workgroup: workgroupSize }: LoraForm,
): Kernel<Binding> {
  return defineKernel({ label, source, buffers, constants, workgroupSize });
}

export function shrinkVariant(form: LoraForm): ShrinkVariant {
  const { quads: own, unroll } = form;
  const each = (rows: number, guard: string, at: string): string => `      {
${lines(own, (q) => lines(4, (j) => `        let a${q}_${j} = unpack_quad(pool[a + 4u * (${at}) * stride + ${j}u * stride + ${q}u]);`))}
${lines(
  rows,
  (r) => `        ${r > 0 ? guard : ''}{
          let xs = x[x${r} + ${at}];
${lines(own, (q) => `          sum${r}_${q} = accumulate(sum${r}_${q}, xs, a${q}_0, a${q}_1, a${q}_2, a${q}_3);`)}
        }`,
)}
      }`;
  const loop = (rows: number, guard: string): string =>
    `    for (var k = first; k < end; k += ${unroll}u) {
${lines(unroll, (u) => each(rows, guard, `k + ${u}u`))}
    }`;
  const source = `@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4f>;
${ACCUMULATE}
${MAIN}
  let quads = rank_quads();
  let groups = (quads + ${own - 1}u) / ${own}u;
  let quad = i % groups * ${own}u;
  let split = i / groups % SPLITS;
  let site = i / groups / SPLITS % SITES;
  let index = i / groups / SPLITS / SITES;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let x0 = segment.row_start * STRIDE4;
  let x1 = (segment.row_start + min(1u, last)) * STRIDE4;
  let x2 = (segment.row_start + min(2u, last)) * STRIDE4;
  let x3 = (segment.row_start + last) * STRIDE4;
  let first = split * SPLIT4;
  let end = min(first + SPLIT4, WIDTH4);
  for (var p = 0u; p < segment.part_count; p++) {
    let d = descriptor_at(part_at(segment.part_start + p).slot, SITE_FIRST + site);
    let stride = d.rank / 4u;
    if (quad >= stride) { continue; }
    let a = d.a + quad;
${lines(4, (r) => lines(own, (q) => `    var sum${r}_${q} = vec4f();`))}
${byRows(form, loop)}
    let at = (((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS + split) * quads + quad;
    let v_stride = SITES * SPLITS * quads;
${lines(4, (r) => lines(own, (q) => `    if (last >= ${r}u && quad + ${q}u < stride) { v[at + ${r}u * v_stride + ${q}u] = sum${r}_${q}; }`))}
  }
}
`;
  const name = named(form);
  return {
    name,
    kernel: variantOf(loraShrink, SHRINK_CONSTANTS, `lora-shrink ${name}`, source, form),
    threads: ({ segments, sites, splits, rankQuads }) => segments * sites * splits * Math.ceil(rankQuads / own),
  };
}

/** What a thread does for `own` columns, of which those from `first` on and before `beyond` are of the site `site`. */
function expandSite(form: ExpandForm): string {
  const { quads: own, unroll } = form;
  const each = (rows: number, guard: string, at: string): string => `      {
${lines(own, (c) => lines(4, (j) => `        let b${c}_${j} = unpack_quad(pool[b + (4u * (${at}) + ${j}u) * width + min(${c}u, width - 1u - column)]);`))}
${lines(
  rows,
  (r) => `        ${r > 0 ? guard : ''}{
          let vs = sum_of_splits(v0 + min(${r}u, last) * v_stride + ${at}, quads);
${lines(own, (c) => `          sum${r}_${c} = accumulate(sum${r}_${c}, vs, b${c}_0, b${c}_1, b${c}_2, b${c}_3);`)}
        }`,
)}
      }`;
  const loop = (rows: number, guard: string): string =>
    `    for (var q = 0u; q < d.rank / 4u; q += ${unroll}u) {
${lines(unroll, (u) => each(rows, guard, `q + ${u}u`))}
    }`;
  return `      let width = d.out_count / 4u;
      let column = n - d.out_start / 4u;
      let b = d.b + column;
      let v0 = ((segment.v_row + p * segment.row_count) * SITES + site) * SPLITS * quads;
${lines(4, (r) => lines(own, (c) => `      var sum${r}_${c} = vec4f();`))}
${byRows(form, loop)}
      let scale = part.scale * d.scale;
${lines(4, (r) => lines(own, (c) => `      if (last >= ${r}u && ${c}u < take && column + ${c}u < width) { y[y0 + ${r}u * Y_STRIDE4 + ${c}u] += scale * sum${r}_${c}; }`))}`;
}

/** Columns are taken `own` at a time; where they belong to two sites, a second round takes the rest. */
const expandOwn = (form: ExpandForm): string => `    var n = first;
    loop {
      let take = first + ${form.quads}u - n;
      var site = SITES;
      for (var s = 0u; s < SITES; s++) {
        let bounds = (part.slot * SITES_IN_MODEL + SITE_FIRST + s) * 8u;
        let start = descriptors[bounds + 4u] / 4u;
        if (n >= start && n - start < descriptors[bounds + 5u] / 4u) { site = s; }
      }
      if (site < SITES) {
        let d = descriptor_at(part.slot, SITE_FIRST + site);
        let y0 = segment.row_start * Y_STRIDE4 + n;
${expandSite(form)}
        n += min(take, width - column);
      } else { n++; }
      if (n >= first + ${form.quads}u || n >= OUT4) { break; }
    }`;

/** Only where no thread's columns belong to two sites. */
const expandAll = (form: ExpandForm): string => `    let n = first;
    let take = ${form.quads}u;
    for (var site = 0u; site < SITES; site++) {
      let d = descriptor_at(part.slot, SITE_FIRST + site);
      if (d.rank == 0u || n < d.out_start / 4u || n - d.out_start / 4u >= d.out_count / 4u) { continue; }
      let y0 = segment.row_start * Y_STRIDE4 + n;
${expandSite(form)}
    }`;

export function expandVariant(form: ExpandForm): ExpandVariant {
  const source = `@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> descriptors: array<u32>;
@group(0) @binding(2) var<storage, read> pool: array<PoolQuad>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
fn sum_of_splits(at: u32, quads: u32) -> vec4f {
  var sum = v[at];
  for (var split = 1u; split < SPLITS; split++) { sum += v[at + split * quads]; }
  return sum;
}
${ACCUMULATE}
${MAIN}
  const ACROSS = (OUT4 + ${form.quads - 1}u) / ${form.quads}u;
  let index = i / ACROSS;
  let first = i % ACROSS * ${form.quads}u;
  if (index >= segment_count()) { return; }
  let segment = segment_at(index);
  let last = segment.row_count - 1u;
  let quads = rank_quads();
  let v_stride = SITES * SPLITS * quads;
  for (var p = 0u; p < segment.part_count; p++) {
    let part = part_at(segment.part_start + p);
${form.sites === 'all' ? expandAll(form) : expandOwn(form)}
  }
}
`;
  const name = `${named(form)}, ${form.sites} sites`;
  return {
    name,
    kernel: variantOf(loraExpand, EXPAND_CONSTANTS, `lora-expand ${name}`, source, form),
    threads: ({ segments, out4 }) => segments * Math.ceil(out4 / form.quads),
  };
}

import { defineKernel } from '../../../src/gpu/kernel.ts';
import { MATMUL_CONSTANTS } from '../../../src/kernels/matmul-row.ts';
import type { MatmulVariant } from '../../../src/kernels/variants.ts';

/** A way to compute `y = x · Wᵀ` without workgroup memory. */
export interface MatmulForm {
  /** Rows of x, and quads of outputs, of one thread. */
  readonly rows: number;
  readonly quads: number;
  /** Eights of K in one round. */
  readonly unroll: number;
  readonly workgroup: number;
  /** `dot`: a dot product for each vec4; `lanes`: four sums side by side for each output, added up at the end. */
  readonly sums: 'dot' | 'lanes';
  /** Which of a thread's neighbours it shares loads with: `outputs`, then it has the same rows of x; or `rows`, the same weights. */
  readonly neighbours: 'outputs' | 'rows';
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const lines = (count: number, line: (i: number) => string): string => range(count).map(line).join('\n');

export function matmulVariant(form: MatmulForm): MatmulVariant {
  const { rows, quads, unroll, workgroup, sums, neighbours } = form;
  const more = [unroll > 1 ? `unroll ${unroll}` : '', sums === 'lanes' ? 'lanes' : '', neighbours === 'rows' ? 'by rows' : ''].filter(
    Boolean,
  );
  const name = [`${rows}x${quads * 4}`, `workgroups of ${workgroup}`, ...more].join(', ');
  return {
    name,
    kernel: defineKernel({
      label: `matmul ${name}`,
      source: sourceOf(form),
      buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
      constants: MATMUL_CONSTANTS,
      workgroupSize: workgroup,
    }),
    threads: (work) => Math.ceil(work.rows / rows) * Math.ceil(work.out4 / quads),
  };
}

function sourceOf({ rows, quads, unroll, sums, neighbours }: MatmulForm): string {
  const outs = quads * 4;
  const load = (u: number): string => `    {
      let at = k + ${u}u;
${lines(outs, (o) => `      let w${o} = load_weights(w_${o} + at, SCALES_AT);`)}
${lines(rows, (r) => `      let lo${r} = x[x_${r} + 2u * at];\n      let hi${r} = x[x_${r} + 2u * at + 1u];`)}
${lines(rows, (r) => (sums === 'dot' ? dots(r, quads) : lanes(r, outs)))}
    }`;
  return `@group(0) @binding(0) var<storage, read> step: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<WeightWord>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
fn store(row: u32, rows: u32, n: u32, value: vec4f) {
  if (row >= rows || n >= OUT4) { return; }
  let at = row * Y_STRIDE4 + OUT_AT4 + n;
  var sum = value;
  if (ADD) { sum += y[at]; }
  y[at] = sum;
}
@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = thread_index(workgroup, grid, local);
  let rows = select(row_count(), logit_row_count(), LOGITS);
  let across = (OUT4 + ${quads - 1}u) / ${quads}u;
  let down = (rows + ${rows - 1}u) / ${rows}u;
  if (i >= across * down) { return; }
  let row = ${neighbours === 'outputs' ? 'i / across' : 'i % down'} * ${rows}u;
  let n = ${neighbours === 'outputs' ? 'i % across' : 'i / down'} * ${quads}u;
${lines(outs, (o) => `  let w_${o} = (min(n + ${Math.floor(o / 4)}u, OUT4 - 1u) * 4u + ${o % 4}u) * WIDTH8;`)}
${lines(rows, (r) => `  let x_${r} = min(row + ${r}u, rows - 1u) * WIDTH8 * 2u;`)}
${lines(rows, (r) => lines(sums === 'dot' ? quads : outs, (q) => `  var s${r}_${q} = vec4f();`))}
  for (var k = 0u; k < WIDTH8; k += ${unroll}u) {
${lines(unroll, load)}
  }
${lines(rows, (r) => lines(quads, (q) => `  store(row + ${r}u, rows, n + ${q}u, ${sums === 'dot' ? `s${r}_${q}` : added(r, q)});`))}
}
`;
}

const dots = (r: number, quads: number): string =>
  ['lo', 'hi']
    .map((half) =>
      lines(
        quads,
        (q) =>
          `      s${r}_${q} += vec4f(${range(4)
            .map((j) => `dot(w${4 * q + j}.${half}, ${half}${r})`)
            .join(', ')});`,
      ),
    )
    .join('\n');

const lanes = (r: number, outs: number): string =>
  lines(outs, (o) => `      s${r}_${o} = fma(w${o}.hi, hi${r}, fma(w${o}.lo, lo${r}, s${r}_${o}));`);

const added = (r: number, q: number): string =>
  `vec4f(${range(4)
    .map((j) => `dot(s${r}_${4 * q + j}, vec4f(1.0))`)
    .join(', ')})`;

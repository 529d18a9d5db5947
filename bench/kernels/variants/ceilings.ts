import { defineKernel, type Kernel } from '../../../src/gpu/kernel.ts';

export type CeilingKernel = Kernel<'source' | 'sink'>;

const HEAD = `@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sink: array<vec4f>;
@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
`;

function ceiling(label: string, body: string, workgroupSize = 64): CeilingKernel {
  return defineKernel({
    label,
    source: `${HEAD}${body}\n}`,
    buffers: { source: 'read', sink: 'read_write' },
    constants: ['COUNT'],
    workgroupSize,
  });
}

/** Does nothing that could be left out by a compiler. */
export const empty = ceiling('empty', '  if (i == 0xffffffffu) { sink[0] = source[0]; }');

/** COUNT rounds of `accumulators` chains of `unroll` fused vec4 multiply-adds each. */
export function fma(accumulators: number, unroll: number): CeilingKernel {
  const all = Array.from({ length: accumulators }, (_, a) => a);
  const rounds = Array.from({ length: unroll }, () => all.map((a) => `    s${a} = fma(s${a}, m, c);`).join('\n')).join('\n');
  return ceiling(
    `fma ${accumulators}x${unroll}`,
    `  let m = source[i & 7u] * 0.5;
  let c = source[(i + 1u) & 7u];
${all.map((a) => `  var s${a} = c * ${a}.5;`).join('\n')}
  for (var k = 0u; k < COUNT; k++) {
${rounds}
  }
  sink[i] = ${all.map((a) => `s${a}`).join(' + ')};`,
  );
}

/** Each thread reads COUNT vec4 of its own, one behind the other, `unroll` in a round. */
export function stream(unroll: number, workgroupSize = 64): CeilingKernel {
  const loads = Array.from({ length: unroll }, (_, u) => `    s${u % 2} += source[at + k + ${u}u];`).join('\n');
  return ceiling(
    `stream ${unroll}, workgroups of ${workgroupSize}`,
    `  let at = i * COUNT;
  var s0 = vec4f();
  var s1 = vec4f();
  for (var k = 0u; k < COUNT; k += ${unroll}u) {
${loads}
  }
  sink[i] = s0 + s1;`,
    workgroupSize,
  );
}

/** Each thread reads COUNT vec4 of a buffer of 4096 (a mask keeps it there), from places of its own or from one that all share. */
export function loads(unroll: number, places: 'own' | 'shared'): CeilingKernel {
  const reads = Array.from({ length: unroll }, (_, u) => `    s${u % 2} += source[(at + k + ${u}u) & 4095u];`).join('\n');
  return ceiling(
    `loads ${unroll}, ${places}`,
    `  let at = ${places === 'own' ? 'i * 64u' : '0u'};
  var s0 = vec4f();
  var s1 = vec4f();
  for (var k = 0u; k < COUNT; k += ${unroll}u) {
${reads}
  }
  sink[i] = s0 + s1;`,
  );
}

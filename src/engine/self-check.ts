import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { StepItem } from '../model/plan.ts';

/**
 * Runs one short prompt whole, token by token, and beside other rows, and compares the last position's logits bit for bit.
 * WGSL lets a compiler reassociate sums, so that they agree is a fact of the device and not of the shaders. Uses the first
 * pages of a pool that nobody has taken yet.
 * @throws WebLoraError `not_deterministic`, with the device's name.
 */
export async function checkDeterminism(model: Model, device: string): Promise<void> {
  const tokens = Array.from({ length: 5 }, (_, i) => (i * 7 + 3) % model.config.vocabSize);
  const chunk = (slot: number, start: number, count: number): StepItem => ({
    slot,
    start,
    count,
    tokens: tokens.slice(start, start + count),
    parts: [],
    logitRows: 1,
    logits: 'read',
    sampler: undefined,
  });
  model.setPages(0, 0, [0]);
  model.setPages(1, 0, [1]);
  const [whole] = await model.submit([chunk(0, 0, 5)]);
  const alone = [];
  for (let i = 0; i < 5; i++) alone.push(await model.submit([chunk(0, i, 1)]));
  const beside = await model.submit([chunk(0, 0, 5), chunk(1, 0, 2)]);
  for (const [how, output] of [
    ['token by token', alone[4]![0]!],
    ['beside other rows', beside[0]!],
  ] as const) {
    const first = differs(whole!.logits[0]!, output.logits[0]!);
    if (first === undefined) continue;
    throw new WebLoraError(
      'not_deterministic',
      `${device}: logit ${first} of a prompt run whole and ${how} differ in their bits. Leave deterministic out on this device.`,
    );
  }
}

function differs(a: Float32Array, b: Float32Array): number | undefined {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length);
  const right = new Uint32Array(b.buffer, b.byteOffset, b.length);
  const first = left.findIndex((word, i) => word !== right[i]);
  return first < 0 ? undefined : first;
}

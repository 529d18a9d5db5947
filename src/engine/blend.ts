import { WebLoraError } from '../errors.ts';
import type { AdapterTiers } from './adapter-tiers.ts';
import type { SequencePart } from './sequence.ts';

/**
 * The error, `request_invalid`, where an adapter is blended with others, or scaled, that does more than add low-rank pairs: a gain, a bias or
 * whole weights have no sum. Of adapters that were not read yet nothing is known: they are asked about again when they are.
 */
export function blendError(
  parts: readonly SequencePart[],
  { entry, unblendable }: Pick<AdapterTiers, 'entry' | 'unblendable'>,
): WebLoraError | undefined {
  const [first] = parts;
  if (!first || (parts.length === 1 && first.scale === 1)) return undefined;
  for (const { adapter } of parts) {
    const reasons = unblendable(adapter);
    if (reasons.length === 0) continue;
    const what = parts.length > 1 ? 'blended with others' : `scaled by ${first.scale}`;
    const message = `Adapter "${entry(adapter)?.id ?? adapter}" has ${reasons.join(' and ')}, and cannot be ${what}. Ask for it alone, unscaled.`;
    return new WebLoraError('request_invalid', message, { param: 'adapter' });
  }
  return undefined;
}

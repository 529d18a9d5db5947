import { WebLoraError } from '../errors.ts';
import type { Sequence } from './sequence.ts';

/** What the pool holds that never leaves by itself. */
export interface Pinned {
  readonly count: number;
  readonly pages: number;
}

/** `out_of_memory` for a request that the pool could not hold if it were alone. */
export function neverFits({ id, prompt, maxTokens, parts }: Sequence, poolPages: number, pinned: Pinned): WebLoraError {
  const own = parts.length === 0 ? [] : [parts.length === 1 ? 'its adapter' : 'its adapters'];
  const beside = [...own, ...inWords(pinned)].join(' and ');
  const tokens = `${prompt.length} prompt tokens and ${maxTokens} to generate`;
  const message = `Request ${id}, ${tokens}, does not fit in a pool of ${poolPages} pages${beside && ` beside ${beside}`}`;
  const unpin = pinned.count > 0 ? ', unpin adapters,' : '';
  return new WebLoraError('out_of_memory', `${message}. Raise memory.pool (--pool-memory)${unpin} or ask for fewer tokens.`);
}

/** `out_of_memory` for an adapter that a caller wants on the GPU; `pinned`: others. */
export function noRoom(id: string, pinned: Pinned): WebLoraError {
  const beside = ['what running requests hold', ...inWords(pinned)].join(' and ');
  const unpin = pinned.count > 0 ? ', unpin others,' : '';
  const message = `No room for "${id}" in the pool beside ${beside}. Wait${unpin} or raise memory.pool (--pool-memory).`;
  return new WebLoraError('out_of_memory', message);
}

function inWords({ count, pages }: Pinned): readonly string[] {
  return count === 0 ? [] : [`${count} pinned ${count === 1 ? 'adapter' : 'adapters'} of ${pages} pages`];
}

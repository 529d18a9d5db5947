import { TRAITS, traitsOf, type Finisher, type Sliced, WHOLE_TRAITS } from '../adapters/sites.ts';
import { loadPart } from '../errors.ts';
import type { GainParts, Gains } from './gains.ts';
import type { Runner } from './runner.ts';

/** What brings adapters to the GPU that are more than words in the pool. */
export interface Finishing {
  /** See `Model`. */
  reserveTraits(traits: number): Promise<void>;
  readonly finisher: Finisher;
}

/** Traits of which something is computed from the base. */
const COMPUTED = TRAITS.gains | TRAITS.biases;

export function createFinishing(runner: Pick<Runner, 'reserveTraits' | 'wholes'>, parts: GainParts): Finishing {
  let gains: Promise<Gains> | undefined;
  let ready: Gains | undefined;
  const reserveGains = async (): Promise<void> => {
    gains ??= loadPart(() => import('./gains.ts')).then(({ createGains }) => createGains(parts));
    try {
      ready = await gains;
    } catch (error) {
      gains = undefined;
      throw error;
    }
  };
  return {
    reserveTraits: async (traits) => {
      await runner.reserveTraits(traits);
      if ((traits & COMPUTED) !== 0) await reserveGains();
    },
    finisher: {
      checkRoom: async (adapter) => runner.wholes()?.checkRoom(adapter),
      begin: (place, adapter) => {
        const traits = traitsOf(adapter);
        const wholes = runner.wholes();
        const isReserved = ((traits & COMPUTED) === 0 || ready) && ((traits & WHOLE_TRAITS) === 0 || wholes);
        if (!isReserved) throw new RangeError('The model was not made ready for this adapter; reserveTraits() does that');
        const parts = [ready?.begin(place, adapter), wholes?.begin(place.slot, adapter)].filter((part) => part !== undefined);
        return parts.length > 0 ? inTurn(parts) : undefined;
      },
      release: (slot) => runner.wholes()?.release(slot),
    },
  };
}

/** One after the other. */
function inTurn(parts: readonly Sliced[]): Sliced {
  let at = 0;
  return {
    step: (ms) => {
      const end = performance.now() + ms;
      while (at < parts.length && parts[at]!.step(end - performance.now()) === 'done') {
        at += 1;
        if (performance.now() >= end) break;
      }
      return at === parts.length ? 'done' : 'more';
    },
  };
}

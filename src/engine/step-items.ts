import type { Model } from '../model/model.ts';
import type { StepItem } from '../model/plan.ts';
import type { AdapterTiers } from './adapter-tiers.ts';
import type { Request } from './request.ts';
import { tokensOf, type Sequence } from './sequence.ts';
import type { Work } from './step-budget.ts';

/** What the device was told of a sequence since it was last admitted; after a loss all are admitted anew. */
interface Told {
  readonly admission: number;
  pages: number;
}

/** Turns a step's work into what the model computes, and tells the device what it does not know yet: new pages, and tokens that count. */
export interface StepItems {
  of(work: Work, request: Request): StepItem;
}

export function createStepItems(model: () => Model, tiers: AdapterTiers): StepItems {
  const told = new WeakMap<Sequence, Told>();

  const tell = ({ sequence, sampler, bias }: Request): void => {
    const { row, pages, admissions, prompt, generated } = sequence;
    let known = told.get(sequence);
    if (known?.admission !== admissions) {
      known = { admission: admissions, pages: 0 };
      told.set(sequence, known);
      if (sampler.adjusts === 'yes') model().setAdjust(row!, prompt, generated, bias);
    }
    if (pages.length > known.pages) model().setPages(row!, known.pages, pages.slice(known.pages));
    known.pages = pages.length;
  };

  return {
    of: ({ sequence, start, count, kind, samples, logitRows }, request) => {
      tell(request);
      return {
        slot: sequence.row!,
        start,
        count,
        tokens: kind === 'prefill' ? tokensOf(sequence, start, start + count) : undefined,
        parts: sequence.blend.map(tiers.part),
        logitRows,
        logits: request.logitsOf(kind, samples),
        sampler: samples ? request.sampler : undefined,
      };
    },
  };
}

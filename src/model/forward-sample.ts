import { COMMON } from '../kernels/libraries.ts';
import { FILTER_STAGES, type SampleWork } from '../kernels/sampler-layout.ts';
import { STAGE_BYTES } from './activations.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';

/** From logits to one token a sampler. Steps whose samplers have no options take the kernels without them. */
export async function sampleLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, activations: a, adjust, kernels } = parts;
  const { chunk, merge } = kernels.sampler;
  const chunkWith = (options: boolean) =>
    pipelines.get(chunk.kernel, { constants: constants(parts, { ...shapeOf(parts), OPTIONS: options }), libraries: COMMON });
  const mergeOf = { constants: constants(parts, { VOCABULARY: parts.config.vocabSize }), libraries: COMMON };
  const [merged, without, having, filters] = await Promise.all([
    pipelines.get(merge.kernel, mergeOf),
    chunkWith(false),
    chunkWith(true),
    filterLaunches(parts),
  ]);
  const read = { step: a.step, logits: a.logits, adjust, trail: a.filter.trail, best: a.best };
  const plain = pipelines.bind(without, read);
  const withOptions = pipelines.bind(having, read);
  return [
    ...filters,
    {
      dispatch: (plan: Plan) => (plan.adjusting + plan.filtering > 0 ? withOptions : plain),
      threads: (plan: Plan) => chunk.threads(workOf(parts, plan)),
    },
    fixed(pipelines.bind(merged, { step: a.step, best: a.best, state: a.state, adjust, ids: a.ids }), (plan) =>
      merge.threads(workOf(parts, plan)),
    ),
  ];
}

const shapeOf = ({ config, activations: a }: ForwardParts) => ({ VOCABULARY: config.vocabSize, LOGITS_STRIDE4: a.logitsStride / 4 });

const workOf = ({ config }: ForwardParts, { samplers }: Plan): SampleWork => ({ samplers, vocabulary: config.vocabSize });

/** Where samplers that leave tokens out cut the vocabulary off; nothing in a step without one. */
async function filterLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, activations: a, adjust, kernels } = parts;
  const { extremes: ends, digit } = kernels.sampler;
  const { extremes, bins, trail, stages } = a.filter;
  const specialisation = { constants: constants(parts, shapeOf(parts)), libraries: COMMON };
  const shared = { step: a.step, logits: a.logits, adjust, extremes, bins };
  const [extreme, pipeline] = await Promise.all([pipelines.get(ends.kernel, specialisation), pipelines.get(digit.kernel, specialisation)]);
  const first = pipelines.bind(extreme, shared);
  const stage = (number: number, wanted: (plan: Plan) => number): Launch => {
    const own = { buffer: stages, offset: number * STAGE_BYTES, size: STAGE_BYTES };
    const dispatch = pipelines.bind(pipeline, { ...shared, trail, stages: own });
    return fixed(dispatch, (plan) => (wanted(plan) > 0 ? digit.threads(workOf(parts, plan)) : 0));
  };
  return [
    fixed(first, (plan) => (plan.filtering > 0 ? ends.threads(workOf(parts, plan)) : 0)),
    ...FILTER_STAGES.topK.map((number) => stage(number, (plan) => plan.topK)),
    ...FILTER_STAGES.topP.map((number) => stage(number, (plan) => plan.topP)),
    stage(FILTER_STAGES.settle, (plan) => plan.filtering),
  ];
}

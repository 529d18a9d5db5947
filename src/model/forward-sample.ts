import { COMMON, PHILOX, SAMPLER } from '../kernels/libraries.ts';
import { SAMPLE_CHUNK, sampleChunk, sampleChunkThreads } from '../kernels/sample-chunk.ts';
import { FILTER_CHUNK, FILTER_STAGES, sampleDigit, sampleDigitThreads } from '../kernels/sample-digit.ts';
import { sampleExtremes, sampleExtremesThreads } from '../kernels/sample-extremes.ts';
import { sampleMerge, sampleMergeThreads } from '../kernels/sample-merge.ts';
import { STAGE_BYTES } from './activations.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';

/** From logits to one token a sampler. Steps whose samplers have no options take the kernels without them. */
export async function sampleLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, config, activations: a, adjust } = parts;
  const chunk = (options: boolean) =>
    pipelines.get(sampleChunk, {
      constants: constants(parts, { ...shapeOf(parts), CHUNKS: a.chunks, CHUNK4: SAMPLE_CHUNK / 4, OPTIONS: options }),
      libraries: [...COMMON, SAMPLER, PHILOX],
    });
  const mergeOf = { constants: constants(parts, { VOCABULARY: config.vocabSize, CHUNKS: a.chunks }), libraries: COMMON };
  const [merge, without, having, filters] = await Promise.all([
    pipelines.get(sampleMerge, mergeOf),
    chunk(false),
    chunk(true),
    filterLaunches(parts),
  ]);
  const read = { step: a.step, logits: a.logits, adjust, trail: a.filter.trail, best: a.best };
  const plain = pipelines.bind(without, read);
  const withOptions = pipelines.bind(having, read);
  return [
    ...filters,
    {
      dispatch: (plan: Plan) => (plan.adjusting + plan.filtering > 0 ? withOptions : plain),
      threads: (plan: Plan) => sampleChunkThreads(plan.samplers, a.chunks),
    },
    fixed(pipelines.bind(merge, { step: a.step, best: a.best, state: a.state, adjust, ids: a.ids }), (plan) =>
      sampleMergeThreads(plan.samplers),
    ),
  ];
}

const shapeOf = ({ config, activations: a }: ForwardParts) => ({ VOCABULARY: config.vocabSize, LOGITS_STRIDE4: a.logitsStride / 4 });

/** Where samplers that leave tokens out cut the vocabulary off; nothing in a step without one. */
async function filterLaunches(parts: ForwardParts): Promise<Launch[]> {
  const { pipelines, activations: a, adjust } = parts;
  const { chunks, extremes, bins, trail, stages } = a.filter;
  const specialisation = {
    constants: constants(parts, { ...shapeOf(parts), CHUNKS: chunks, CHUNK4: FILTER_CHUNK / 4 }),
    libraries: [...COMMON, SAMPLER],
  };
  const shared = { step: a.step, logits: a.logits, adjust, extremes, bins };
  const [extreme, digit] = await Promise.all([pipelines.get(sampleExtremes, specialisation), pipelines.get(sampleDigit, specialisation)]);
  const first = pipelines.bind(extreme, shared);
  const stage = (number: number, wanted: (plan: Plan) => number): Launch => {
    const own = { buffer: stages, offset: number * STAGE_BYTES, size: STAGE_BYTES };
    const dispatch = pipelines.bind(digit, { ...shared, trail, stages: own });
    return fixed(dispatch, (plan) => (wanted(plan) > 0 ? sampleDigitThreads(plan.samplers, chunks) : 0));
  };
  return [
    fixed(first, (plan) => (plan.filtering > 0 ? sampleExtremesThreads(plan.samplers, chunks) : 0)),
    ...FILTER_STAGES.topK.map((number) => stage(number, (plan) => plan.topK)),
    ...FILTER_STAGES.topP.map((number) => stage(number, (plan) => plan.topP)),
    stage(FILTER_STAGES.settle, (plan) => plan.filtering),
  ];
}

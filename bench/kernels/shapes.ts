import { modelShape, type ModelShape } from '../../src/model/shape.ts';
import type { ModelConfig } from '../../src/model/config.ts';
import { stepLayout } from '../../src/kernels/step-layout.ts';

/** Room for every step that is measured. */
export const LAYOUT = stepLayout({ rows: 256, logitRows: 64, samplers: 64 });

/** What a kernel's shape follows from. */
export interface BenchModel {
  readonly name: string;
  readonly config: Pick<ModelConfig, 'hiddenSize' | 'intermediateSize' | 'heads' | 'kvHeads' | 'headDim' | 'vocabSize' | 'layers'>;
}

/** The small model of this repository, and SmolLM2-135M. */
export const MODELS: readonly BenchModel[] = [
  {
    name: 'frontdesk',
    config: { hiddenSize: 256, intermediateSize: 704, heads: 8, kvHeads: 4, headDim: 32, vocabSize: 4096, layers: 8 },
  },
  {
    name: '135M',
    config: { hiddenSize: 576, intermediateSize: 1536, heads: 9, kvHeads: 3, headDim: 64, vocabSize: 49152, layers: 30 },
  },
];

/** What both have in common of what decides which sites there are. */
const LLAMA: Pick<ModelConfig, 'biases' | 'norms' | 'queryKeyNorm' | 'fused' | 'tiedEmbeddings' | 'normOffset'> = {
  biases: { qkv: false, o: false, mlp: false },
  norms: 'before',
  queryKeyNorm: 'no',
  fused: false,
  tiedEmbeddings: true,
  normOffset: 0,
};

export const shapeOf = ({ config }: BenchModel): ModelShape => modelShape({ ...LLAMA, ...config } as ModelConfig);

import type { ModelConfig } from '../model/config.ts';
import type { ModelShape } from '../model/shape.ts';
import type { CostUnits } from './cost.ts';

/** A rank that stands for all: what an adapter adds to a row is small beside the row, so a rough figure does. */
const USUAL_RANK = 16;

/** Multiplications of one row, logit row, attended key and adapter row of a model: how a step's price divides over them. */
export function costUnits({ layers, heads, headDim, hiddenSize, vocabSize }: ModelConfig, { groups, table }: ModelShape): CostUnits {
  const products = Object.values(groups).reduce((sum, { inWidth, outWidth }) => sum + inWidth * outWidth, 0);
  const lora = table.sites.reduce((sum, { inWidth, outWidth }) => sum + inWidth + outWidth, 0);
  return {
    row: layers * products,
    logitRow: hiddenSize * vocabSize,
    key: layers * heads * headDim * 2,
    loraRow: layers * lora * USUAL_RANK,
  };
}

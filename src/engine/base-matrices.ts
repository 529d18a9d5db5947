import type { BaseMatrices } from '../adapters/base-matrices.ts';
import { OUTER, type SiteTable } from '../adapters/sites.ts';
import { isFloatDtype } from '../formats/half.ts';
import type { ModelTensors } from '../model/tensors.ts';

/** A model's embedding and head, read from where the model came from. */
export function baseMatrices(files: ModelTensors, { outer, tied }: SiteTable): BaseMatrices {
  return {
    rows: async (place, first, count) => {
      const { module } = outer[place === OUTER.head && tied === 'no' ? OUTER.head : OUTER.embedding];
      const tensor = files.tensors.get(`${module}.weight`);
      if (!tensor || !isFloatDtype(tensor.dtype)) return undefined;
      const { dtype, start, end, shape } = tensor;
      const rowBytes = (end - start) / shape[0]!;
      // an origin that is away: the adapter's own matrix serves as well
      const bytes = await files.read(tensor, first * rowBytes, (first + count) * rowBytes).catch(() => undefined);
      return bytes && { bytes, dtype };
    },
  };
}

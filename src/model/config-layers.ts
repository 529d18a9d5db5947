import { booleanField, show, wrongField } from '../formats/json.ts';
import type { CheckedConfig } from './config-family.ts';
import type { Rope, Ropes } from './config-rope.ts';
import { dimension, unsupported } from './config-values.ts';

/** What may differ between the layers of a model. */
export interface LayerKind {
  /** Positions that a row sees, its own included; Infinity: all before it. */
  readonly window: number;
  /** Index into `ModelConfig.ropes`. */
  readonly rope: number;
}

/** The most positions that any layer sees; Infinity where one sees all. */
export function windowOf({ layerKinds }: { readonly layerKinds: readonly LayerKind[] }): number {
  return layerKinds.reduce((most, { window }) => Math.max(most, window), 1);
}

/** What each layer sees, and the ropes that at least one of them turns by. Throws `file_invalid`, `model_unsupported`. */
export function readLayers(
  checked: CheckedConfig,
  layers: number,
  contextLength: number,
  { full, sliding }: Ropes,
): { readonly layerKinds: readonly LayerKind[]; readonly ropes: readonly Rope[] } {
  const window = windowSize(checked);
  const types = layerTypes(checked, layers, window);
  const ropes = [...new Set(types.map((type) => (type === 'sliding_attention' ? sliding : full)))];
  const kinds = {
    full_attention: { window: Infinity, rope: ropes.indexOf(full) },
    // a window that no text leaves is none
    sliding_attention: { window: window === undefined || window >= contextLength ? Infinity : window, rope: ropes.indexOf(sliding) },
  };
  return { layerKinds: types.map((type) => kinds[type]), ropes };
}

type LayerType = 'full_attention' | 'sliding_attention';

/** `sliding_window`; undefined where there is none, or where Qwen's is switched off. */
function windowSize({ config, location, family }: CheckedConfig): number | undefined {
  if (family.windows === 'upper' && !booleanField(config, 'use_sliding_window', location, false)) return undefined;
  if ((config.get('sliding_window') ?? undefined) === undefined) return undefined;
  return dimension(config, 'sliding_window', location, 1 << 30);
}

function layerTypes(checked: CheckedConfig, layers: number, window: number | undefined): readonly LayerType[] {
  const { config, location, family } = checked;
  const usual = usualTypes(checked, layers, window);
  const given = config.get('layer_types') ?? usual;
  if (!Array.isArray(given)) throw wrongField(location, 'layer_types', given, 'a list');
  if (given.length === 0) return usual;
  if (given.length !== layers) throw wrongField(location, 'layer_types', given, `a list of ${layers}, one for each layer`);
  const types = given.map((type: unknown): LayerType => {
    if (type === 'full_attention' || type === 'sliding_attention') return type;
    throw unsupported(location, `layer_types has ${show(type)}; "full_attention" and "sliding_attention" are served.`);
  });
  if (window === undefined && types.includes('sliding_attention')) {
    throw unsupported(location, 'layer_types has "sliding_attention", and there is no sliding_window (or use_sliding_window is false).');
  }
  const isFixed = family.windows === 'none' || family.windows === 'all';
  if (isFixed && types.some((type, layer) => type !== usual[layer])) {
    throw unsupported(location, `layer_types has another kind than ${show(usual[0])}, which all layers of this model_type are.`);
  }
  return types;
}

/** The kinds of layers by the family's rule. */
function usualTypes({ config, location, family }: CheckedConfig, layers: number, window: number | undefined): readonly LayerType[] {
  const whole = (isFull: (layer: number) => boolean): readonly LayerType[] =>
    Array.from({ length: layers }, (_, layer) => (isFull(layer) ? 'full_attention' : 'sliding_attention'));
  const { windows } = family;
  if (windows === 'upper') {
    const first = config.get('max_window_layers') === 0 ? 0 : dimension(config, 'max_window_layers', location, 1 << 30);
    return whole((layer) => window === undefined || layer < first);
  }
  if (typeof windows !== 'number') return whole(() => windows === 'none' || window === undefined);
  const key = config.has('sliding_window_pattern') ? 'sliding_window_pattern' : '_sliding_window_pattern';
  const period = family.keys.includes(key) ? dimension(config, key, location, 1024, windows) : windows;
  return whole((layer) => (layer + 1) % period === 0);
}

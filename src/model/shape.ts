import type { NormSite, Site, SiteTable } from '../adapters/sites.ts';
import { splitsOf } from '../kernels/lora-shrink.ts';
import { FAMILIES } from './config-families.ts';
import type { ModelConfig } from './config.ts';

/** Linear layers that read the same input and are computed by one matmul: their outputs lie next to each other. */
export interface Group {
  readonly name: 'qkv' | 'o' | 'gateUp' | 'down';
  /** Checkpoint names inside a decoder layer, in the order of their output columns. */
  readonly modules: readonly string[];
  readonly inWidth: number;
  readonly outWidth: number;
  /** The group's place in the site table. */
  readonly siteFirst: number;
  readonly sites: number;
  /** Splits of the input that lora-shrink sums apart. */
  readonly splits: number;
}

export interface ModelShape {
  readonly groups: Readonly<Record<Group['name'], Group>>;
  readonly table: SiteTable;
}

/** The projection groups of a Llama-shaped decoder layer and the table of its sites. */
export function modelShape(config: ModelConfig): ModelShape {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  const qWidth = heads * headDim;
  const kvWidth = kvHeads * headDim;
  const sites: Site[] = [];
  const biases = { qkv: config.biases.qkv, o: config.biases.o, gateUp: config.biases.mlp, down: config.biases.mlp };
  const group = (name: Group['name'], inWidth: number, modules: readonly (readonly [string, number])[]): Group => {
    const siteFirst = sites.length;
    let outStart = 0;
    for (const [module, outWidth] of modules) {
      sites.push({ module, inWidth, outWidth, outStart, bias: biases[name] ? 'yes' : 'no' });
      outStart += outWidth;
    }
    const names = modules.map(([module]) => module);
    return { name, modules: names, inWidth, outWidth: outStart, siteFirst, sites: modules.length, splits: splitsOf(inWidth) };
  };
  const groups = {
    qkv: group('qkv', hiddenSize, [
      ['self_attn.q_proj', qWidth],
      ['self_attn.k_proj', kvWidth],
      ['self_attn.v_proj', kvWidth],
    ]),
    o: group('o', qWidth, [['self_attn.o_proj', hiddenSize]]),
    gateUp: group('gateUp', hiddenSize, [
      ['mlp.gate_proj', intermediateSize],
      ['mlp.up_proj', intermediateSize],
    ]),
    down: group('down', intermediateSize, [['mlp.down_proj', hiddenSize]]),
  };
  return { groups, table: siteTable(config, sites) };
}

function siteTable(config: ModelConfig, sites: readonly Site[]): SiteTable {
  const { hiddenSize, vocabSize, headDim, norms, queryKeyNorm } = config;
  const names = ['input_layernorm', 'post_attention_layernorm'];
  if (norms === 'around') names.push('pre_feedforward_layernorm', 'post_feedforward_layernorm');
  const ofHeads = queryKeyNorm === 'no' ? [] : ['self_attn.q_norm', 'self_attn.k_norm'];
  const normOf =
    (width: number) =>
    (module: string): NormSite => ({ module, width });
  const outside = { outStart: 0, bias: 'no' } as const;
  return {
    prefix: 'model.layers.',
    layers: config.layers,
    sites,
    norms: [...names.map(normOf(hiddenSize)), ...ofHeads.map(normOf(headDim))],
    finalNorm: { module: 'model.norm', width: hiddenSize },
    outer: [
      { module: 'model.embed_tokens', inWidth: vocabSize, outWidth: hiddenSize, ...outside },
      { module: 'lm_head', inWidth: hiddenSize, outWidth: vocabSize, ...outside },
    ],
    fused: config.fused ? 'yes' : 'no',
    tied: config.tiedEmbeddings ? 'yes' : 'no',
    normOffset: FAMILIES.get(config.family)?.normOffset ?? 0, // not the config's: norms of a GGUF base have it in them, those of PEFT's adapters have not
  };
}

/** Columns rounded up to 32: rows of activations and of weights are that wide, the rest zeros. */
export function padded(columns: number): number {
  return Math.ceil(columns / 32) * 32;
}

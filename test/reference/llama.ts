/** Weights by their names in a checkpoint, row by row. */
export type Checkpoint = ReadonlyMap<string, Float64Array>;

export interface LlamaSizes {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ropeTheta: number;
  readonly normEps: number;
}

type Rows = readonly Float64Array[];

/** x · Wᵀ for each row; W is (out, in). */
function linear(rows: Rows, weight: Float64Array): Float64Array[] {
  return rows.map((row) => {
    const out = new Float64Array(weight.length / row.length);
    for (let o = 0; o < out.length; o++) {
      let sum = 0;
      for (let i = 0; i < row.length; i++) sum += row[i]! * weight[o * row.length + i]!;
      out[o] = sum;
    }
    return out;
  });
}

function rmsNorm(rows: Rows, weight: Float64Array, eps: number): Float64Array[] {
  return rows.map((row) => {
    const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + eps);
    return row.map((value, i) => value * scale * weight[i]!);
  });
}

const add = (left: Rows, right: Rows): Float64Array[] => left.map((row, i) => row.map((value, j) => value + right[i]![j]!));

/** Turns each head's halves by position, in place of nothing: a new row. */
function rotate(row: Float64Array, position: number, { headDim, ropeTheta }: LlamaSizes): Float64Array {
  const half = headDim / 2;
  return row.map((value, at) => {
    const i = at % headDim;
    const angle = position * ropeTheta ** (-(2 * (i % half)) / headDim);
    const other = i < half ? -row[at + half]! : row[at - half]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** Causal attention with shared key and value heads. */
function attention(queries: Rows, keys: Rows, values: Rows, { heads, kvHeads, headDim }: LlamaSizes): Float64Array[] {
  return queries.map((query, position) => {
    const out = new Float64Array(heads * headDim);
    for (let head = 0; head < heads; head++) {
      const own = Math.floor(head / (heads / kvHeads)) * headDim;
      const scores = keys.slice(0, position + 1).map((key) => {
        let sum = 0;
        for (let i = 0; i < headDim; i++) sum += query[head * headDim + i]! * key[own + i]!;
        return sum / Math.sqrt(headDim);
      });
      const most = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - most));
      const whole = shares.reduce((a, b) => a + b, 0);
      for (const [at, share] of shares.entries()) {
        for (let i = 0; i < headDim; i++) out[head * headDim + i]! += (share / whole) * values[at]![own + i]!;
      }
    }
    return out;
  });
}

/** Raw logits at every position of a prompt, in double precision. */
export function llamaLogits(weights: Checkpoint, sizes: LlamaSizes, prompt: readonly number[]): Float64Array[] {
  const weight = (name: string): Float64Array => weights.get(`${name}.weight`)!;
  const embedding = weight('model.embed_tokens');
  const hidden = weight('model.norm').length;
  let x: Rows = prompt.map((token) => embedding.slice(token * hidden, (token + 1) * hidden));
  for (let layer = 0; layer < sizes.layers; layer++) {
    const own = (name: string): Float64Array => weight(`model.layers.${layer}.${name}`);
    const normed = rmsNorm(x, own('input_layernorm'), sizes.normEps);
    const turned = (name: string): Float64Array[] => linear(normed, own(name)).map((row, position) => rotate(row, position, sizes));
    const mixed = attention(turned('self_attn.q_proj'), turned('self_attn.k_proj'), linear(normed, own('self_attn.v_proj')), sizes);
    x = add(x, linear(mixed, own('self_attn.o_proj')));
    const again = rmsNorm(x, own('post_attention_layernorm'), sizes.normEps);
    const up = linear(again, own('mlp.up_proj'));
    const gated = linear(again, own('mlp.gate_proj')).map((row, i) => row.map((gate, j) => (gate / (1 + Math.exp(-gate))) * up[i]![j]!));
    x = add(x, linear(gated, own('mlp.down_proj')));
  }
  return linear(rmsNorm(x, weight('model.norm'), sizes.normEps), weight('lm_head'));
}

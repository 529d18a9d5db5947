export interface GluInput {
  /** (rows, [gate | up], width) */
  readonly gateUp: ArrayLike<number>;
  /** ([gate | up], width), added to gateUp; undefined: none. */
  readonly bias?: ArrayLike<number> | undefined;
  readonly activation: 'silu' | 'gelu-tanh';
  readonly rows: number;
  readonly width: number;
  readonly yStride: number;
}

const ACTIVATIONS: Readonly<Record<GluInput['activation'], (gate: number) => number>> = {
  silu: (gate) => gate / (1 + Math.exp(-gate)),
  'gelu-tanh': (gate) => 0.5 * gate * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (gate + 0.044715 * gate ** 3))),
};

/** y: (rows, yStride), `width` of each row written. */
export function glu({ gateUp, bias, activation, rows, width, yStride }: GluInput, y: Float64Array): void {
  const act = ACTIVATIONS[activation];
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < width; n++) {
      const gate = gateUp[row * 2 * width + n]! + (bias?.[n] ?? 0);
      const up = gateUp[row * 2 * width + width + n]! + (bias?.[width + n] ?? 0);
      y[row * yStride + n] = act(gate) * up;
    }
  }
}

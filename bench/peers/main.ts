import { checkPairs } from '../parts.ts';
import { readOptions, report } from '../report.ts';
import { checkOnnx, checkPackages, ONNX } from './files.ts';

/**
 * `--pairs N`: rounds behind each ratio, at least 7 for a gate to mean anything; `--loads N`: of everybody, timed; `--threads N`: of the
 * WebAssembly backend; `--onnx FOLDER`: the base model for transformers.js.
 *
 * @throws Error where the ONNX model is not there.
 */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { pairs: 7, loads: 3, threads: 2, onnx: ONNX });
  checkPairs(options.pairs);
  const onnx = checkOnnx(options.onnx);
  const packages = checkPackages();
  // a browser and a builder are loaded for a run alone
  const [{ openHarness }, { servePage }, { runRounds }, { rowsOf }] = await Promise.all([
    import('../../test/browser/harness.ts'),
    import('./serve.ts'),
    import('./rounds.ts'),
    import('./rows.ts'),
  ]);
  const { origin, close } = await servePage(packages, onnx);
  try {
    const harness = await openHarness({ origin });
    try {
      const found = await runRounds(harness, options);
      report('peers', `Chromium ${harness.browser.version()} on SwiftShader`, rowsOf(found), options);
    } finally {
      await harness.close();
    }
  } finally {
    await close();
  }
}

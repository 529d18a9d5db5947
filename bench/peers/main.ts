import { checkPairs } from '../parts.ts';
import { readOptions, report } from '../report.ts';
import { checkGguf, checkOnnx, checkPackages, GGUF, ONNX } from './files.ts';

/** Who may be compared with us. */
const PEERS: readonly string[] = ['transformers', 'wllama'];

/**
 * `--only transformers,wllama`: those beside us; `--gguf FILE`: what wllama and we read. `--pairs N`: rounds behind each ratio, at least 7 for a gate to mean anything; `--loads N`: of everybody, timed; `--threads N`: of the
 * WebAssembly backend; `--onnx FOLDER`: the base model for transformers.js.
 *
 * @throws Error where a model that is needed is not there.
 */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { only: PEERS.join(','), pairs: 7, loads: 3, threads: 2, onnx: ONNX, gguf: GGUF });
  checkPairs(options.pairs);
  const peers = options.only.split(',');
  const unknown = peers.find((name) => !PEERS.includes(name));
  if (unknown !== undefined) throw new TypeError(`--only knows ${PEERS.join(', ')}, not ${unknown}`);
  const onnx = peers.includes('transformers') ? checkOnnx(options.onnx) : undefined;
  const gguf = peers.includes('wllama') ? checkGguf(options.gguf) : undefined;
  const packages = checkPackages();
  // a browser and a builder are loaded for a run alone
  const [{ openHarness }, { servePage }, { runRounds }, { rowsOf }, { runGgufRounds }, { ggufRowsOf }] = await Promise.all([
    import('../../test/browser/harness.ts'),
    import('./serve.ts'),
    import('./rounds.ts'),
    import('./rows.ts'),
    import('./gguf-rounds.ts'),
    import('./gguf-rows.ts'),
  ]);
  const { origin, close } = await servePage({ packages, onnx, gguf });
  try {
    const harness = await openHarness({ origin });
    try {
      const rows = onnx === undefined ? [] : rowsOf(await runRounds(harness, options));
      if (gguf !== undefined) rows.push(...ggufRowsOf(await runGgufRounds(harness, options)));
      report('peers', `Chromium ${harness.browser.version()} on SwiftShader`, rows, options);
    } finally {
      await harness.close();
    }
  } finally {
    await close();
  }
}

import { createEngine } from '../../src/engine/engine.ts';
import type { CoreEngine } from '../../src/engine/types.ts';
import { LLAMA } from './adapters.ts';
import { ADAPTER_CASES } from './bad-adapters.ts';
import type { Bad } from './bad-file-changes.ts';
import { MODEL_CASES } from './bad-models.ts';
import { logGpu, type LoggedGpu } from './device-log.ts';
import { ADAPTER_FILES, memoryFolder, MODEL_FILES, readFiles, source, type Files } from './fixtures.ts';
import { check, type Case, type Environment } from './suite.ts';

/** Throws unless the promise fails with this code and a message that shows all of `says`. */
async function refuses(promise: Promise<unknown>, { code, says }: Pick<Bad, 'code' | 'says'>): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason as { name?: string; code?: string; message?: string },
  );
  check(error !== undefined, () => `it was taken; expected ${code}`);
  check(error.name === 'WebLoraError' && error.code === code, () => `${error.name} ${error.code}: ${error.message}; expected ${code}`);
  for (const part of says) {
    const found = typeof part === 'string' ? error.message!.includes(part) : part.test(error.message!);
    check(found, () => `the message does not show ${part}: ${error.message}`);
  }
}

async function checkModel(environment: Environment, bad: Bad): Promise<void> {
  const gpu = logGpu(environment.gpu);
  const files = await readFiles(environment, `${LLAMA}/base`, MODEL_FILES);
  bad.spoil(files, 'model.safetensors');
  await refuses(createEngine({ gpu, model: memoryFolder('memory', files), precision: 'exact' }), bad);
  check(gpu.liveBuffers().length === 0, () => `left on the GPU: ${gpu.liveBuffers().join(', ')}`);
  check(gpu.liveDevices() === 0, () => 'the device was left open');
}

interface Bench {
  readonly engine: CoreEngine;
  readonly gpu: LoggedGpu;
  /** What a good adapter answers. */
  readonly answer: string;
}

const answer = async (engine: CoreEngine): Promise<string> =>
  (await engine.generate([3, 4, 5], { adapter: 'good', maxTokens: 4, ignoreEos: true }).result()).tokens.join();

async function open(environment: Environment): Promise<Bench> {
  const gpu = logGpu(environment.gpu);
  const engine = await createEngine({
    gpu,
    model: await source(environment, `${LLAMA}/base`),
    precision: 'exact',
    memory: { pool: 4 << 20 },
  });
  await engine.adapters.add('good', await source(environment, `${LLAMA}/adapters/r16-rslora`));
  return { engine, gpu, answer: await answer(engine) };
}

/** A bad adapter is refused by `load` and by a request, leaves nothing on the GPU, and everybody else goes on. */
async function checkAdapter({ engine, gpu, answer: expected }: Bench, files: Files, bad: Pick<Bad, 'code' | 'says'>): Promise<void> {
  const before = { bytes: gpu.liveBytes(), pages: JSON.stringify((await engine.stats()).pages) };
  await engine.adapters.add('bad', memoryFolder('memory', files));
  await refuses(engine.adapters.load('bad'), bad);
  const [failed, beside] = await Promise.allSettled([engine.generate([3], { adapter: 'bad', maxTokens: 1 }).result(), answer(engine)]);
  await refuses(failed.status === 'rejected' ? Promise.reject(failed.reason as Error) : Promise.resolve(), bad);
  check(
    beside.status === 'fulfilled' && beside.value === expected,
    () => `the good adapter answers ${JSON.stringify(beside)}, before ${expected}`,
  );
  const [tier] = (await engine.adapters.list()).filter(({ id }) => id === 'bad').map((info) => info.tier);
  check(tier === 'origin', () => `the refused adapter is in tier ${tier}`);
  await engine.adapters.remove('bad');
  const { pages, running, waiting } = await engine.stats();
  check(gpu.liveBytes() === before.bytes, () => `${gpu.liveBytes() - before.bytes} bytes were left on the GPU`);
  check(JSON.stringify(pages) === before.pages, () => `pages ${JSON.stringify(pages)}, before ${before.pages}`);
  check(running + waiting === 0, () => `${running} running and ${waiting} waiting requests were left`);
}

/** Every bad file ends in its own typed error, with nothing left on the GPU. The adapters' cases share an engine; the last closes it. */
export function badFileCases(environment: Environment): Case[] {
  let opened: Promise<Bench> | undefined;
  const bench = (): Promise<Bench> => (opened ??= open(environment));
  const adapter = (path: string): Promise<Files> => readFiles(environment, `${LLAMA}/adapters/${path}`, ADAPTER_FILES);
  return [
    ...MODEL_CASES.map((bad) => ({ name: `model: ${bad.name} (${bad.code})`, run: () => checkModel(environment, bad) })),
    ...ADAPTER_CASES.map((bad) => ({
      name: `adapter: ${bad.name} (${bad.code})`,
      run: async () => {
        const files = await adapter('r8-all');
        bad.spoil(files, 'adapter_model.safetensors');
        await checkAdapter(await bench(), files, bad);
      },
    })),
    { name: 'closes', run: async () => (await bench()).engine.close() },
  ];
}

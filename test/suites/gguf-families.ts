import { openFolder, readJson } from '../../src/formats/folder.ts';
import type { EngineOptions, Source } from '../../src/engine/types.ts';
import { readJsonFile, source } from './fixtures.ts';
import { ggufOfAdapter } from './gguf-adapter-writer.ts';
import type { ConfigJson } from './gguf-model-metadata.ts';
import { ggufOfModel, readModel } from './gguf-model-writer.ts';
import { answersOf, checkSameLogits, type Question } from './same-logits.ts';
import type { Case, Environment, SuiteEngine } from './suite.ts';
import { tolerance } from './tolerance.ts';

/** A checkpoint with an adapter that GGUF can hold. */
export interface GgufFamily {
  readonly name: string;
  readonly path: string;
  readonly adapter: string;
}

const family = (name: string, adapter = 'r8-all'): GgufFamily => ({ name, path: `test/fixtures/arch/${name}`, adapter });

/** Every family of the references. */
export const GGUF_FAMILIES: readonly GgufFamily[] = [
  family('llama'),
  family('llama-tied'),
  family('llama-linear'),
  family('llama3-rope'),
  family('mistral-window'),
  family('qwen2-bias'),
  family('qwen3-qknorm'),
  family('gemma2'),
  family('gemma3'),
  family('phi3-fused', 'r8-fused'),
  family('phi4-longrope', 'r8-fused'),
  family('phi4-shortrope', 'r8-fused'),
];

type Reference = Readonly<Record<string, readonly { readonly prompt: readonly number[] }[]>>;

const TOKENS = 4;

export async function openBoth(
  environment: Environment,
  model: Source,
  adapter: Source | undefined,
  options: Partial<EngineOptions> = {},
): Promise<SuiteEngine> {
  const engine = await environment.createEngine({
    model,
    precision: 'exact',
    memory: { pool: 8 << 20 },
    limits: { batchRows: 512, stepMs: 600_000 },
    ...options,
  });
  if (adapter !== undefined) await engine.adapters.add('adapter', adapter);
  return engine;
}

/** The family's folder and its PEFT adapter, and both as GGUF, asked the same: the base and the adapter in one batch. */
async function checkFamily(environment: Environment, { path, adapter }: GgufFamily): Promise<void> {
  const [model, peft] = [await source(environment, `${path}/base`), await source(environment, `${path}/adapters/${adapter}`)];
  const base = await openFolder(model);
  const gguf = ggufOfModel(await readModel(base));
  const lora = await ggufOfAdapter(await openFolder(peft), (await readJson(base, 'config.json')) as ConfigJson);
  const reference = await readJsonFile<Reference>(environment, path, 'reference.json');
  const questions = reference['base']!.flatMap(({ prompt }, i): Question[] => [
    { where: `base, prompt ${i}`, prompt, maxTokens: TOKENS },
    { where: `${adapter}, prompt ${i}`, prompt, adapter: 'adapter', maxTokens: TOKENS },
  ]);
  const ask = async (one: Source, other: Source): ReturnType<typeof answersOf> => {
    const engine = await openBoth(environment, one, other);
    const answers = await answersOf(engine, questions);
    await engine.close();
    return answers;
  };
  const expected = await ask(model, peft);
  const found = await ask({ 'model.gguf': gguf }, { 'adapter.gguf': lora });
  checkSameLogits(questions, found, expected, tolerance('exact', 'base'));
}

/** Models and adapters written by llama.cpp's rules answer as the folders that they were written from. */
export function ggufFamilyCases(environment: Environment, families: readonly GgufFamily[] = GGUF_FAMILIES): Case[] {
  return families.map((family) => ({
    name: `${family.name}: a GGUF file and a GGUF LoRA give the logits of the folder`,
    needs: [family.path],
    on: 'engine',
    run: () => checkFamily(environment, family),
  }));
}

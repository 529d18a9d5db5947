import { openFolder, readJson } from '../../src/formats/folder.ts';
import type { Source } from '../../src/engine/types.ts';
import { readJsonFile, source } from './fixtures.ts';
import { ggufOfAdapter } from './gguf-adapter-writer.ts';
import type { ConfigJson } from './gguf-model-metadata.ts';
import { ggufOfModel, readModel } from './gguf-model-writer.ts';
import { checkSameLogits, type Question } from './same-logits.ts';
import type { Case, Environment } from './suite.ts';
import { tolerance } from './tolerance.ts';

/** A checkpoint with an adapter that GGUF can hold. */
export interface GgufFamily {
  readonly name: string;
  readonly path: string;
  readonly adapter: string;
}

const family = (name: string, adapter = 'r8-all'): GgufFamily => ({
  name,
  path: `${['llama', 'llama-tied'].includes(name) ? 'test/fixtures' : '../shared/references'}/arch/${name}`,
  adapter,
});

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

type Reference = Readonly<Record<string, readonly { readonly prompt: readonly number[]; readonly greedy: readonly number[] }[]>>;

/** Tokens of each prompt that are decoded. */
const TOKENS = 3;

/** A dropped file. */
export const ggufSource = (bytes: Uint8Array<ArrayBuffer>, name = 'model.gguf'): Source => [new File([bytes], name)];

/** The family's folder and its PEFT adapter, and both as GGUF, asked the same: the base and the adapter in one batch. */
async function checkFamily(environment: Environment, { path, adapter }: GgufFamily): Promise<void> {
  const [model, peft] = [await source(environment, `${path}/base`), await source(environment, `${path}/adapters/${adapter}`)];
  const base = await openFolder(model);
  const gguf = ggufOfModel(await readModel(base));
  const lora = await ggufOfAdapter(await openFolder(peft), (await readJson(base, 'config.json')) as ConfigJson);
  const reference = await readJsonFile<Reference>(environment, path, 'reference.json');
  const questions = reference['base']!.flatMap(({ prompt, greedy }): Question[] => [
    { prompt, next: greedy.slice(0, TOKENS), of: 'base' },
    { prompt, next: greedy.slice(0, TOKENS), of: 'adapter' },
  ]);
  const form = { model: ggufSource(gguf), adapter: { 'adapter.gguf': lora } };
  await checkSameLogits(environment, form, { model, adapter: peft }, questions, tolerance('exact', 'base'));
}

/** Models and adapters written by llama.cpp's rules answer as the folders that they were written from. */
export function ggufFamilyCases(environment: Environment, families: readonly GgufFamily[] = GGUF_FAMILIES): Case[] {
  return families.map((family) => ({
    name: `${family.name}: a GGUF file and a GGUF LoRA give the logits of the folder`,
    needs: [`${family.path}/adapters/${family.adapter}`],
    run: () => checkFamily(environment, family),
  }));
}

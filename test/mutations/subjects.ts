import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openFolder, readJson } from '../../src/formats/folder.ts';
import { openGguf } from '../../src/formats/gguf.ts';
import type { Source } from '../../src/engine/types.ts';
import { ggufOfAdapter } from '../suites/gguf-adapter-writer.ts';
import { GGUF_ADAPTER } from '../suites/direct-model.ts';
import { ggufSource } from '../suites/gguf-families.ts';
import type { ConfigJson } from '../suites/gguf-model-metadata.ts';
import { ggufOfModel, readModel } from '../suites/gguf-model-writer.ts';
import { LARGE, mixed, seededModel } from '../suites/gguf-quantised.ts';
import { entriesOf } from '../unit/gguf-files.ts';
import { changeBytes, changeHeader, changeJson, type Random } from './changes.ts';
import { vocabulary, vocabularyFiles } from './vocabularies.ts';

type Bytes = Uint8Array<ArrayBuffer>;
export type Files = Readonly<Record<string, Bytes>>;

/** A good model or adapter, to be damaged. */
export interface Subject {
  readonly name: string;
  /** `model`, or the model that an adapter belongs to. */
  readonly of: 'model' | 'llama' | 'qwen2-bias';
  readonly files: Files;
  /** Bytes at the beginning of a file of tensors that are no tensors. */
  readonly heads: Readonly<Record<string, number>>;
  readonly source: (files: Files) => Source;
}

/** Where a family's files lie; undefined where they are beside the checkout and that is absent. */
export function arch(path: string): string | undefined {
  const places = ['../fixtures/arch/', '../../../shared/references/arch/'].map((folder) =>
    fileURLToPath(new URL(folder + path, import.meta.url)),
  );
  return places.find((place) =>
    ['model.safetensors', 'model.safetensors.index.json', 'adapter_config.json'].some((file) => existsSync(`${place}/${file}`)),
  );
}

export function readFiles(folder: string): Files {
  const names = readdirSync(folder).filter((name) => !name.includes('older') && name !== 'README.md');
  return Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(`${folder}/${name}`))]));
}

function safetensorsHead(file: Bytes): number {
  return 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
}

function folderSubject(name: string, of: Subject['of'], files: Files): Subject {
  const tensors = Object.entries(files).filter(([file]) => file.endsWith('.safetensors'));
  const heads = Object.fromEntries(tensors.map(([file, bytes]) => [file, safetensorsHead(bytes)]));
  return { name, of, files, heads, source: (changed) => changed };
}

async function ggufSubject(name: string, bytes: Bytes): Promise<Subject> {
  const files = { 'model.gguf': bytes };
  const { tensors } = await openGguf(await openFolder(files), 'model.gguf');
  const head = Math.min(...Array.from(tensors.values(), ({ start }) => start));
  return { name, of: 'model', files, heads: { 'model.gguf': head }, source: (changed) => ggufSource(changed['model.gguf']!) };
}

/** Every kind of file that is read, each small enough to be loaded thousands of times; without the references beside the checkout, fewer. */
export async function subjects(): Promise<readonly Subject[]> {
  const llama = arch('llama/base')!.replace(/.base$/, '');
  const base = await openFolder(`${llama}/base`);
  const lora = await ggufOfAdapter(await openFolder(`${llama}/adapters/r8-all`), (await readJson(base, 'config.json')) as ConfigJson);
  return [
    ...MODELS.flatMap(([name, files]) =>
      ifThere(`${name}/base`, (path) => folderSubject(name, 'model', { ...readFiles(path), ...files() })),
    ),
    ...(await Promise.all(
      GGUFS.flatMap(([name, kind]) =>
        ifThere(`${name}/base`, async (path) => {
          const model = await readModel(await openFolder(path));
          return ggufSubject(`${name}.gguf`, ggufOfModel(model, entriesOf(vocabulary(kind))));
        }),
      ),
    )),
    await ggufSubject('mixed types', ggufOfModel(seededModel(LARGE, mixed))),
    ...ADAPTERS.map((name) => folderSubject(`adapter ${name}`, 'llama', readFiles(`${llama}/adapters/${name}`))),
    ...ifThere('qwen2-bias/adapters/trained-bias', (path) => folderSubject('adapter trained-bias', 'qwen2-bias', readFiles(path))),
    { name: 'GGUF LoRA', of: 'llama', files: { [GGUF_ADAPTER]: lora }, heads: { [GGUF_ADAPTER]: 2048 }, source: (changed) => changed },
  ];
}

const MODELS: readonly (readonly [string, () => Files])[] = [
  ['llama', () => vocabularyFiles('gpt2')],
  ['llama-tied', () => vocabularyFiles('gpt2')],
  ['qwen2-bias', () => vocabularyFiles('llama')],
  ['gemma3', () => ({})],
  ['phi4-longrope', () => ({})],
  ['mistral-window', () => ({})],
];
const GGUFS = [
  ['llama-tied', 'gpt2'],
  ['gemma3', 'llama'],
  ['phi4-longrope', 'gpt2'],
] as const;
const ADAPTERS = ['r8-all', 'rank-pattern', 'dora', 'lm-head', 'embed', 'save-norm-head', 'save-norm-embed'];

/** What is made of a folder that is there: config.json alone is no model. */
function ifThere<T>(name: string, make: (path: string) => T): readonly T[] {
  const path = arch(name);
  return path === undefined ? [] : [make(path)];
}

/** A copy of the files with one of them damaged. */
export function damaged({ files, heads }: Subject, random: Random): { readonly file: string; readonly files: Files } {
  const names = Object.keys(files);
  const file = names[Math.floor(random() * names.length)]!;
  return { file, files: { ...files, [file]: change(file, files[file]!, heads[file], random) } };
}

function change(file: string, bytes: Bytes, head: number | undefined, random: Random): Bytes {
  if (head === undefined) return file.endsWith('.json') ? changeJson(bytes, random) : changeBytes(bytes, bytes.length, random);
  if (file.endsWith('.safetensors') && random() < 0.4) return changeHeader(bytes, random);
  return changeBytes(bytes, head, random);
}

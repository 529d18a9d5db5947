// A page, as its author writes it; the compiler is the test.
import { connectEngine, createEngine, fromTransformers, indexedDbStore, WebLoraError } from 'weblora';
import type { Chunk, ConnectOptions, Engine, ErrorCode, GenerateOptions, TransformersTokenizer, WorkerLike } from 'weblora';

declare const bar: { update(share: number): void };
declare const signal: AbortSignal;
declare const theirs: TransformersTokenizer;

export async function start(dropped: FileList): Promise<Engine> {
  const worker: WorkerLike = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const options: ConnectOptions = {
    model: [...dropped],
    memory: { pool: 2 ** 29 },
    onProgress: ({ loaded, total }) => bar.update(loaded / total),
  };
  const tokenizer = fromTransformers(theirs);
  await using other = await createEngine({ model: 'owner/name:Q4_K_M', gpu: navigator.gpu, store: indexedDbStore(), tokenizer });
  await other.adapters.add('made', { 'adapter_config.json': new Uint8Array(1), 'adapter_model.safetensors': new ArrayBuffer(8) });
  return connectEngine(worker, options);
}

export async function ask(engine: Engine, text: string): Promise<string> {
  const options: GenerateOptions = { adapter: [{ id: 'pirate', scale: 0.5 }], logitBias: { 7: -100 }, signal };
  let chunk: Chunk | undefined;
  for await (chunk of engine.generate([{ role: 'user', content: text }], options)) bar.update(chunk.tokens.length);
  const messages = [{ role: 'user', content: text }];
  const reply = await engine.chat.completions.create({ model: 'pirate', messages });
  const again = [...messages, ...reply.choices.map((choice) => choice.message)];
  const told: string[] = [];
  for await (const { choices } of await engine.chat.completions.create({ model: 'pirate', messages: again, stream: true }, { signal })) {
    told.push(choices[0]?.delta.content ?? '');
  }
  for await (const event of engine.events()) if (event.requests.length > 0) break;
  return told.join('');
}

export function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof WebLoraError ? error.code : undefined;
}

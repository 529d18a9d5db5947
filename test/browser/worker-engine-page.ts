import { connect } from '../../src/rpc/connect.ts';

/** Calls what an engine has, on one behind a worker, and says what it gave. */
export async function everything(base: string) {
  const worker = new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module' });
  let loaded = 0;
  let total = 0;
  const asked: string[] = [];
  const engine = await connect(worker, {
    model: `${base}/base`,
    onProgress: (progress) => ({ loaded, total } = progress),
    resolve: (id) => {
      asked.push(id);
      return id === 'pirate' ? `${base}/adapters/pirate` : undefined;
    },
  });
  const events = engine.events()[Symbol.asyncIterator]();
  await engine.adapters.add('json', `${base}/adapters/json`);
  const messages = [{ role: 'user', content: 'Hi' }];
  const body = { messages, max_tokens: 4, temperature: 0 };
  const generation = engine.generate(messages, { adapter: 'json', maxTokens: 4 });
  const chunks = [];
  for await (const chunk of generation) chunks.push(chunk);
  const result = await generation.result();
  const whole = await engine.chat.completions.create({ ...body, model: 'json' });
  let streamed = '';
  for await (const { choices } of await engine.chat.completions.create({ ...body, model: 'pirate', stream: true })) {
    streamed += choices[0]?.delta.content ?? '';
  }
  const pirate = await engine.generate(messages, { adapter: 'pirate', maxTokens: 4 }).result();
  const missing = await engine
    .generate('Hi', { adapter: 'nobody' })
    .result()
    .catch((error: unknown) => (error as { code: string }).code);
  const event = (await events.next()).value;
  const stats = await engine.stats();
  const models = (await engine.models.list()).data.map(({ id }) => id);
  await engine.close();
  const closed = await engine.stats().catch((error: unknown) => (error as { code: string }).code);
  worker.terminate();
  return { loaded, total, asked, chunks, result, whole, streamed, pirate, missing, event, stats, models, closed };
}

Object.assign(globalThis, { everything });

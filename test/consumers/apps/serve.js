// What every app of these tests does with an engine: three adapters, three tokens each, close.
export const ADAPTERS = ['json', 'spanish', 'pirate'];

/** The tokens by adapter. `models` is the folder or the URL of the small model and its adapters. */
export async function serveThree(engine, models, message) {
  for (const id of ADAPTERS) await engine.adapters.add(id, `${models}/adapters/${id}`);
  const messages = [{ role: 'user', content: message }];
  const results = await Promise.all(ADAPTERS.map((adapter) => engine.generate(messages, { adapter, maxTokens: 3 }).result()));
  const { choices } = await engine.chat.completions.create({ model: 'pirate', messages, max_tokens: 3 });
  await engine.close();
  const tokens = Object.fromEntries(ADAPTERS.map((adapter, i) => [adapter, results[i].tokens]));
  return { tokens, chat: choices[0].message.content === results[2].text ? 'same' : choices[0].message.content };
}

// `npm start -- "your own message"`: the small model and its eight adapters, all asked at once.
// Options of `weblora chat` may follow: `npm start -- --software "…"`.
import { fileURLToPath } from 'node:url';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { WITH_VALUE } from './start-options.mjs';

const DEFAULT_MESSAGE = 'Hi, I want to order nine white lamps and ship them to North Williamberg. You are always so helpful!';
const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'];

const folder = relative(process.cwd(), fileURLToPath(new URL('../public/models/frontdesk', import.meta.url)));
// Every option here is a long one: a sentence that begins with a dash is a message.
const typed = process.argv.slice(2);
const isSentence = (word) => /^-[^-]/.test(word) && /\s/.test(word);
const { tokens } = parseArgs({
  args: typed.some(isSentence) ? [...typed.filter((word) => !isSentence(word)), '--', ...typed.filter(isSentence)] : typed,
  options: Object.fromEntries(WITH_VALUE.map((name) => [name, { type: 'string' }])),
  allowPositionals: true,
  strict: false,
  tokens: true,
});
const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
const options = tokens
  .filter((token) => token.kind === 'option')
  .flatMap((token) => (token.value === undefined ? [token.rawName] : [token.rawName, token.value]));
const message = words.length === 0 ? DEFAULT_MESSAGE : words.join(' ');

process.argv.splice(
  2,
  Number.POSITIVE_INFINITY,
  'chat',
  `${folder}/base`,
  ...(options.includes('--message') ? [] : [`--message=${message}`]),
  ...options,
  '--lora-modules',
  ...ADAPTERS.map((name) => `${name}=${folder}/adapters/${name}`),
);
await import('../dist/cli.js');

import { Environment, Interpreter, parse as parseTokens, tokenize } from '@huggingface/jinja';
import { WebLoraError } from '../errors.ts';
import { strftime } from './strftime.ts';
import type { Tokenizer } from './tokenizer.ts';
import { isObject } from './json-value.ts';

export { findChatTemplate } from './find-template.ts';

/** Renders a conversation into the text a model was trained on. */
export interface ChatTemplate {
  /** Ends with the opening of the assistant's turn. Throws `request_invalid` (param `messages`) with the template's own words where it refuses a conversation. */
  render(messages: readonly { readonly role: string; readonly content: string }[]): string;
}

const namedTokens = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'] as const;
// The limit of jinja2's sandbox, in which transformers runs templates.
const maxRange = 100_000;
/** Numbers that all ranges of one rendering hand out. */
const maxRanges = 200_000;

class Refusal extends Error {}

/**
 * Compiles a chat template with what transformers gives to templates: the special tokens of tokenizer_config.json by name,
 * `raise_exception`, `strftime_now`, a `range` of at most 100,000, `tools` and `documents` as none, blocks trimmed.
 *
 * @param source.template The template's text, as `findChatTemplate` gives it.
 * @param source.tokenizerConfig The parsed tokenizer_config.json, or undefined.
 * @param source.location What a person would call the template's folder, for messages.
 * @throws WebLoraError `file_invalid` if the template does not parse.
 */
export function createChatTemplate(source: {
  readonly template: string;
  readonly tokenizerConfig?: unknown;
  readonly location?: string | undefined;
}): ChatTemplate {
  const program = parse(source.template, source.location);
  const tokens = specialTokens(source.tokenizerConfig);
  return {
    render(messages) {
      const variables = { ...tokens, messages, tools: null, documents: null, add_generation_prompt: true };
      try {
        return String(new Interpreter(environment(variables)).run(program).value);
      } catch (cause) {
        const words = cause instanceof Error ? cause.message : String(cause);
        const message = cause instanceof Refusal ? words : `the model's chat template cannot render these messages: ${words}`;
        throw new WebLoraError('request_invalid', message, { cause, param: 'messages' });
      }
    },
  };
}

function parse(template: string, location: string | undefined): ReturnType<typeof parseTokens> {
  try {
    // What the library's Template does; that class carries a formatter, which nobody needs here.
    return parseTokens(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  } catch (cause) {
    const place = location === undefined ? '' : ` of ${location}`;
    const words = cause instanceof Error ? cause.message : String(cause);
    throw new WebLoraError('file_invalid', `the chat template${place} does not parse: ${words}`, { cause });
  }
}

function environment(variables: Readonly<Record<string, unknown>>): Environment {
  let handedOut = 0;
  const globals = {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    // a template comes with a model from anywhere, and loops within loops would hold this thread for ever
    range: (...bounds: Parameters<typeof range>) => {
      const values = range(...bounds);
      handedOut += values.length;
      if (handedOut > maxRanges) throw new Refusal(`the template loops over more than ${maxRanges} numbers`);
      return values;
    },
    strftime_now: (format: string) => strftime(new Date(), format),
    raise_exception: (words: unknown) => {
      throw new Refusal(String(words));
    },
  };
  const result = new Environment();
  for (const [name, value] of Object.entries({ ...globals, ...variables })) result.set(name, value);
  return result;
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (![start, stop, step].every(Number.isInteger) || step === 0) throw new Error('range() expects integers and a step other than zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > maxRange) throw new Error(`range too big: the template asks for ${length} values, the limit is ${maxRange}`);
  return Array.from({ length }, (_, i) => start + i * step);
}

function specialTokens(tokenizerConfig: unknown): Record<string, unknown> {
  if (!isObject(tokenizerConfig)) return {};
  const tokens: Record<string, unknown> = {};
  for (const name of namedTokens) {
    const text = tokenText(tokenizerConfig[name]);
    if (text !== undefined) tokens[name] = text;
  }
  const additional = tokenizerConfig['additional_special_tokens'];
  if (Array.isArray(additional)) tokens['additional_special_tokens'] = additional.map(tokenText).filter((text) => text !== undefined);
  return tokens;
}

/** A special token is written as its text or as an object that describes it. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  return isObject(token) && typeof token['content'] === 'string' ? token['content'] : undefined;
}

/**
 * The token that ends the assistant's turn in the rendered template. Two conversations that go on differently after the same
 * answer are rendered: what they share behind it is the end of the turn, and its first special token is the one.
 *
 * @returns The token's id; undefined where a turn ends without a special token.
 */
export function endTokenOf(template: ChatTemplate, tokenizer: Tokenizer): number | undefined {
  const answer = 'Marigolds';
  const opening = [
    { role: 'user', content: 'How' },
    { role: 'assistant', content: answer },
  ];
  const behind = (more: readonly { readonly role: string; readonly content: string }[]): string | undefined => {
    try {
      const text = template.render([...opening, ...more]);
      const at = text.indexOf(answer);
      return at < 0 ? undefined : text.slice(at + answer.length);
    } catch (error) {
      // Some templates refuse a conversation that ends with the assistant: the other one then speaks alone.
      if (error instanceof WebLoraError && error.code === 'request_invalid') return undefined;
      throw error;
    }
  };
  const next = behind([{ role: 'user', content: 'Why' }]);
  const last = behind([]);
  if (next === undefined) return undefined;
  const end = last === undefined ? next : next.slice(0, commonLength(next, last));
  const id = firstSpecial(end, tokenizer);
  if (id === undefined || last !== undefined) return id;
  // Without the second conversation only a token directly behind the answer is surely the end of its turn.
  return end.trimStart().startsWith(tokenizer.token(id) ?? '') ? id : undefined;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

function firstSpecial(text: string, tokenizer: Tokenizer): number | undefined {
  return tokenizer.encode(text, 'plain').find((id) => {
    const spelled = tokenizer.token(id);
    return spelled !== undefined && text.includes(spelled) && tokenizer.decode([id]) === '';
  });
}

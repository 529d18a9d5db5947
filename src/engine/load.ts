import { loadPart, WebLoraError } from '../errors.ts';
import { isHubId, openFolder, readJson, readText, type Folder } from '../formats/folder.ts';
import { openSafetensors } from '../formats/safetensors.ts';
import { parseModelConfig, type ModelConfig } from '../model/config.ts';
import { parseGenerationConfig } from '../model/generation-config.ts';
import type { ModelTensors } from '../model/tensors.ts';
import { textTensors } from '../model/text-tensors.ts';
import type { ChatTemplate } from '../text/chat-template.ts';
import { findChatTemplate } from '../text/find-template.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { hubAccess, tellDownload } from './hub-options.ts';
import type { ModelFiles, TextFiles } from './model-files.ts';
import { invalid } from './option-checks.ts';
import type { EngineOptions, Message, ModelInfo, ModelText } from './types.ts';

/** A model whose small files and headers were read: what can be put on a device, again and again. */
export interface OpenedModel {
  readonly config: ModelConfig;
  readonly files: ModelTensors;
  readonly text: ModelText;
  /** Where the model was opened, whole: two models may end in the same name. */
  readonly location: string;
  readonly endTokens: ReadonlySet<number>;
  readonly info: Omit<ModelInfo, 'maxModelLength'>;
}

/**
 * Reads a model folder (config, tokenizer, template, the weights' headers) or the same out of a .gguf.
 * One without a tokenizer loads: it then serves token ids only.
 * @throws WebLoraError what reading and parsing throw.
 */
export async function openModel(options: EngineOptions): Promise<OpenedModel> {
  const { config, tensors, generation, text: files, location, name } = await readModel(options);
  const text = await createText(files, options.tokenizer);
  return {
    config,
    files: tensors,
    text,
    location,
    endTokens: await endTokens(config, generation.endTokens, text),
    info: {
      name,
      config,
      serves: { text: text.tokenizer !== undefined, chat: text.chatTemplate !== undefined },
      defaults: generation.defaults,
      ignoredDefaults: generation.ignored,
    },
  };
}

async function readModel(options: EngineOptions): Promise<ModelFiles> {
  const { model, signal, onProgress } = options;
  const download = { of: 'model', onProgress: onProgress && tellDownload(onProgress) } as const;
  const folder = await openFolder(model, { signal, hub: hubAccess(options), download });
  const gguf = await ggufIn(folder);
  if (gguf !== undefined) return (await loadPart(() => import('./load-gguf.ts'))).readGgufModel(folder, gguf, options);
  return {
    config: parseModelConfig(await readJson(folder, 'config.json'), `${folder.location}/config.json`),
    generation: await readGeneration(folder),
    text: await readTextFiles(folder),
    tensors: textTensors(await openSafetensors(folder, 'model')),
    location: folder.location.replace(/\/+$/, ''),
    name: nameOf(folder.location),
  };
}

/** The .gguf that the source names, or the only one where the weights are no safetensors. Throws as `chooseGguf`. */
async function ggufIn(folder: Folder): Promise<string | undefined> {
  const hasConfig = folder.gguf === undefined && (await folder.size('config.json')) !== undefined;
  if (hasConfig && !(await folder.names?.())?.some((name) => /\.gguf$/i.test(name))) return undefined;
  return (await loadPart(() => import('../formats/gguf-choice.ts'))).chooseGguf(folder);
}

/** The last part of its path, without a hub id's revision. */
function nameOf(location: string): string {
  const whole = isHubId(location) ? location.split('@')[0]! : location;
  return whole.replace(/\/+$/, '').split('/').at(-1) ?? location;
}

async function readGeneration(folder: Folder): Promise<ModelFiles['generation']> {
  if ((await folder.size('generation_config.json')) === undefined) return parseGenerationConfig({}, folder.location);
  return parseGenerationConfig(await readJson(folder, 'generation_config.json'), `${folder.location}/generation_config.json`);
}

async function readTextFiles(folder: Folder): Promise<TextFiles> {
  const has = async (name: string): Promise<boolean> => (await folder.size(name)) !== undefined;
  return {
    tokenizerConfig: (await has('tokenizer_config.json')) ? await readJson(folder, 'tokenizer_config.json') : undefined,
    jinja: (await has('chat_template.jinja')) ? await readText(folder, 'chat_template.jinja') : undefined,
    tokenizerJson: (await has('tokenizer.json')) ? () => readJson(folder, 'tokenizer.json') : undefined,
    location: `${folder.location}/tokenizer.json`,
  };
}

async function createText(
  { tokenizerJson, tokenizerConfig, jinja, location }: TextFiles,
  given: Tokenizer | undefined,
): Promise<ModelText> {
  const source = findChatTemplate(jinja, tokenizerConfig);
  const chatTemplate = source === undefined ? undefined : (await templatePart()).createChatTemplate({ template: source, tokenizerConfig });
  if (given) return { tokenizer: given, chatTemplate };
  if (!tokenizerJson) return { tokenizer: undefined, chatTemplate: undefined };
  const part = loadPart(() => import('../text/tokenizer.ts'));
  const [{ createTokenizer }, json] = await Promise.all([part, tokenizerJson()]);
  return { tokenizer: createTokenizer(json, tokenizerConfig, location), chatTemplate };
}

/** Models without a template do not load the code for one. */
const templatePart = (): Promise<typeof import('../text/chat-template.ts')> => loadPart(() => import('../text/chat-template.ts'));

/** The union of the end tokens that config, generation config and the template's turn end name. */
async function endTokens(
  config: ModelConfig,
  more: readonly number[],
  { tokenizer, chatTemplate }: ModelText,
): Promise<ReadonlySet<number>> {
  const ends = new Set([...config.endTokens, ...more]);
  const turnEnd = tokenizer && chatTemplate ? (await templatePart()).endTokenOf(chatTemplate, tokenizer) : undefined;
  if (turnEnd !== undefined) ends.add(turnEnd);
  return ends;
}

/** Token ids of a prompt. @throws WebLoraError `tokenizer_missing`, `request_invalid` with param `prompt` or `messages`. */
export function promptTokens(prompt: unknown, { tokenizer, chatTemplate }: ModelText, config: ModelConfig): readonly number[] {
  const tokens = encodePrompt(prompt, tokenizer, chatTemplate);
  const bad = tokens.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabSize);
  if (tokens.length === 0)
    throw new WebLoraError('request_invalid', 'The prompt is empty; it needs at least one token', { param: 'prompt' });
  if (bad >= 0) {
    const message = `Token ${String(tokens[bad])} at position ${bad} is no id of this vocabulary (0 to ${config.vocabSize - 1})`;
    throw new WebLoraError('request_invalid', message, { param: 'prompt' });
  }
  return tokens;
}

function encodePrompt(prompt: unknown, tokenizer: Tokenizer | undefined, chatTemplate: ChatTemplate | undefined): readonly number[] {
  // a copy: the caller may go on with its own
  if (Array.isArray(prompt) && prompt.every((item) => typeof item === 'number')) return [...(prompt as readonly number[])];
  if (typeof prompt === 'string') {
    if (!tokenizer) throw new WebLoraError('tokenizer_missing', 'This model came without a tokenizer: give token ids', { param: 'prompt' });
    return tokenizer.encode(prompt, 'special');
  }
  if (!Array.isArray(prompt)) throw new TypeError('A prompt is a text, a list of token ids, or a list of messages');
  if (!tokenizer) throw new WebLoraError('tokenizer_missing', 'This model came without a tokenizer: give token ids', { param: 'messages' });
  if (!chatTemplate) {
    throw new WebLoraError('request_invalid', 'This model has no chat template: give a text or token ids', { param: 'messages' });
  }
  // the template writes BOS itself where the model wants one
  return tokenizer.encode(chatTemplate.render(checkedMessages(prompt)), 'plain');
}

/** Templates add up what they are given: the parts of a message of OpenAI's would come into the prompt as JSON. Throws `request_invalid`. */
function checkedMessages(list: readonly unknown[]): readonly Message[] {
  return list.map((message, index) => {
    const place = `messages[${index}]`;
    if (typeof message !== 'object' || message === null) throw invalid('messages', message, 'an object { role, content }', place);
    const { role, content } = message as Partial<Message>;
    if (typeof role !== 'string') throw invalid('messages', role, 'a string', `${place}.role`);
    if (typeof content !== 'string') throw invalid('messages', content, 'a string', `${place}.content`);
    return message as Message;
  });
}

import { WebLoraError } from '../errors.ts';
import { isObject } from './json-value.ts';

/**
 * Finds a model's chat template: the file chat_template.jinja, else `chat_template` of tokenizer_config.json, where a list of
 * named templates gives the one named "default".
 *
 * @param chatTemplateJinja The text of chat_template.jinja, or undefined where there is no such file.
 * @param tokenizerConfig The parsed tokenizer_config.json, or undefined.
 * @returns The template's text; undefined where the model has none, or a list without a default.
 * @throws WebLoraError `file_invalid` if `chat_template` is neither text nor a list of `{ name, template }`.
 */
export function findChatTemplate(chatTemplateJinja: string | undefined, tokenizerConfig: unknown): string | undefined {
  if (chatTemplateJinja !== undefined) return chatTemplateJinja;
  const template = isObject(tokenizerConfig) ? tokenizerConfig['chat_template'] : undefined;
  if (template === undefined || template === null) return undefined;
  if (typeof template === 'string') return template;
  const isNamed = (entry: unknown): entry is { readonly name: string; readonly template: string } =>
    isObject(entry) && typeof entry['name'] === 'string' && typeof entry['template'] === 'string';
  if (Array.isArray(template) && template.every(isNamed)) return template.find((entry) => entry.name === 'default')?.template;
  const found = JSON.stringify(template).slice(0, 80);
  throw new WebLoraError(
    'file_invalid',
    `"chat_template" of tokenizer_config.json is ${found}, expected text or a list of { name, template }`,
  );
}

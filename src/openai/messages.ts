import type { Message } from '../engine/types.ts';
import { invalid, shown } from './values.ts';

/** Fields of a message that are accepted when they say nothing: clients send whole answers back with them. */
const EMPTY_FIELDS = new Set([
  'name',
  'refusal',
  'audio',
  'annotations',
  'tool_calls',
  'tool_call_id',
  'function_call',
  'reasoning_content',
]);

/**
 * The conversation of a chat request: roles and contents as strings, parts of type `text` joined.
 * Throws `request_invalid` with param `messages` for anything else; its message says which.
 */
export function parseMessages(value: unknown): readonly Message[] {
  if (value === undefined) throw invalid('messages', 'messages is missing: a chat request needs a list of { role, content }');
  if (!Array.isArray(value)) throw invalid('messages', `messages must be a list of { role, content }, not ${shown(value)}`);
  if (value.length === 0) throw invalid('messages', 'messages is empty: a chat request needs at least one message');
  return value.map((message: unknown, index) => parseMessage(message, `messages[${index}]`));
}

function parseMessage(value: unknown, place: string): Message {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('messages', `${place} must be an object with role and content, not ${shown(value)}`);
  }
  const message = value as Readonly<Record<string, unknown>>;
  const role = message.role;
  if (typeof role !== 'string' || role === '') throw invalid('messages', `${place}.role must be a non-empty string, not ${shown(role)}`);
  for (const [name, given] of Object.entries(message)) {
    if (name === 'role' || name === 'content') continue;
    const empty = given === null || (Array.isArray(given) && given.length === 0);
    if (EMPTY_FIELDS.has(name) && empty) continue;
    const why = EMPTY_FIELDS.has(name) ? 'is not served' : 'is unknown';
    throw invalid('messages', `${place}.${name} ${why}: a message has role and content; leave it out`);
  }
  return { role, content: parseContent(message.content, place) };
}

function parseContent(value: unknown, place: string): string {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) throw invalid('messages', `${place}.content must be a string or a list of text parts, not ${shown(value)}`);
  return value.map((part: unknown, index) => parsePart(part, `${place}.content[${index}]`)).join('');
}

function parsePart(value: unknown, place: string): string {
  const part = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  if (part.type !== 'text') {
    throw invalid('messages', `${place} must be a part of type "text": other parts are not served, and this one is ${shown(value)}`);
  }
  if (typeof part.text !== 'string') throw invalid('messages', `${place}.text must be a string, not ${shown(part.text)}`);
  return part.text;
}

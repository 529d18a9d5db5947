import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { WebLoraError } from '../../src/errors.ts';
import { createChatTemplate, endTokenOf, findChatTemplate } from '../../src/text/chat-template.ts';
import { strftime } from '../../src/text/strftime.ts';
import { frontdesk, frontdeskTokenizer, readJson, repositoryFile } from './text-files.ts';

const hi = [{ role: 'user', content: 'Hi' }];
const tokenizer = frontdeskTokenizer();
const own = readFileSync(`${frontdesk}chat_template.jinja`, 'utf8');

function render(template: string, tokenizerConfig?: unknown): string {
  return createChatTemplate({ template, tokenizerConfig }).render(hi);
}

function caught(action: () => unknown): WebLoraError {
  try {
    action();
  } catch (error) {
    if (error instanceof WebLoraError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('chat template', () => {
  test('renders the small model as transformers does', () => {
    const template = createChatTemplate({ template: own, tokenizerConfig: readJson(`${frontdesk}tokenizer_config.json`) });
    expect(template.render(hi)).toBe('<|user|>\nHi<|end|>\n<|assistant|>\n');
    const references = readJson<{ message: string; prompt: number[] }[]>(repositoryFile('test/fixtures/frontdesk/reference.json'));
    expect(references.length).toBeGreaterThan(100);
    for (const { message, prompt } of references) {
      expect(tokenizer.encode(template.render([{ role: 'user', content: message }]), 'plain')).toEqual(prompt);
    }
  });

  test('gives the template what transformers gives', () => {
    const config = { bos_token: '<s>', eos_token: { content: '</s>', special: true }, pad_token: null };
    expect(render('{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}', config)).toBe('<s></s>');
    expect(render('{% if eos_token is defined %}e{% endif %}{% if pad_token is defined %}p{% endif %}', config)).toBe('e');
    expect(render('{{ bos_token }}|')).toBe('|');
    expect(render('{% if tools is defined %}d{% endif %}{% if tools is not none %}n{% endif %}')).toBe('d');
    expect(render('{{ range(3) | list }} {{ range(5, 0, -2) | list }} {% for i in range(2) %}{{ i }}{% endfor %}')).toBe(
      '[0, 1, 2] [5, 3, 1] 01',
    );
    expect(render('{{ messages | tojson }}')).toBe('[{"role": "user", "content": "Hi"}]');
    expect(render('a\n  {% if true %}\n  x\n  {% endif %}\nb\n')).toBe('a\n  x\nb');
    expect(render('{{ strftime_now("%Y") }}')).toMatch(/^20\d\d$/);
    expect(render('{% generation %}x{% endgeneration %}')).toBe('x');
  });

  test('says in the words of the template why it refuses a conversation', () => {
    const loops = caught(() => render('{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}'));
    expect(loops).toMatchObject({ code: 'request_invalid', param: 'messages' });
    const error = caught(() => render("{{ raise_exception('No system role, please') }}"));
    expect(error).toMatchObject({ code: 'request_invalid', param: 'messages', message: 'No system role, please' });
    expect(caught(() => render('{{ messages[0].content.nothing() }}'))).toMatchObject({ code: 'request_invalid', param: 'messages' });
  });

  test('a template cannot ask for a huge list', () => {
    expect(caught(() => render('{{ range(1000000000) | length }}')).message).toContain('limit is 100000');
  });

  test('a template that does not parse is an invalid file', () => {
    const error = caught(() => createChatTemplate({ template: '{% if %}', location: 'models/x' }));
    expect(error.code).toBe('file_invalid');
    expect(error.message).toContain('models/x');
  });

  test('comes from the file before the config, and from a list by the name "default"', () => {
    expect(findChatTemplate('file', { chat_template: 'config' })).toBe('file');
    expect(findChatTemplate(undefined, { chat_template: 'config' })).toBe('config');
    const named = [
      { name: 'tool_use', template: 't' },
      { name: 'default', template: 'd' },
    ];
    expect(findChatTemplate(undefined, { chat_template: named })).toBe('d');
    expect(findChatTemplate(undefined, { chat_template: named.slice(0, 1) })).toBeUndefined();
    expect(findChatTemplate(undefined, undefined)).toBeUndefined();
    expect(findChatTemplate(undefined, { chat_template: null })).toBeUndefined();
    expect(caught(() => findChatTemplate(undefined, { chat_template: 7 })).code).toBe('file_invalid');
  });
});

describe('the token that ends a turn', () => {
  const endOf = (template: string): number | undefined => endTokenOf(createChatTemplate({ template }), tokenizer);

  test('is the special token behind the answer', () => {
    expect(endOf(own)).toBe(2);
    expect(endOf("{% for m in messages %}{{ m.role }}: {{ m.content }} <|bos|>\n{% endfor %}{{ 'assistant:' }}")).toBe(1);
  });

  test('is undefined where none is shared by what may follow', () => {
    expect(endOf('{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}')).toBeUndefined();
    expect(endOf("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{{ '<|assistant|>' }}")).toBeUndefined();
    expect(endOf('no messages<|end|>')).toBeUndefined();
  });

  test('is found where the template refuses a conversation that the assistant ends', () => {
    const strict = "{% if messages[-1].role != 'user' %}{{ raise_exception('no') }}{% endif %}";
    expect(endOf(strict + own)).toBe(2);
    expect(endOf(`${strict}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}`)).toBeUndefined();
    expect(endOf("{{ raise_exception('never') }}")).toBeUndefined();
  });
});

describe('strftime', () => {
  test('writes times as Python does', () => {
    const date = new Date(2024, 2, 5, 0, 7, 9);
    expect(strftime(date, '%d %b %Y|%A, %B %-d|%H:%M:%S|%I %p|%y %j|%e|%a|%F %T|%%|%Q')).toBe(
      '05 Mar 2024|Tuesday, March 5|00:07:09|12 AM|24 065| 5|Tue|2024-03-05 00:07:09|%|%Q',
    );
  });
});

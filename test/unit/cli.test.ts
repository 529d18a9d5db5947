import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import type { BatchRecord } from '../../src/openai/batch.ts';
import { parseArguments } from '../../src/server/cli-arguments.ts';
import type { Host } from '../../src/server/cli-host.ts';
import { splitLines } from '../../src/server/cli-lines.ts';
import { main } from '../../src/server/cli-main.ts';
import { liveFrame, painter, plainAnswer, summaryLine, wholeAnswers } from '../../src/server/cli-render.ts';
import type { Voice } from '../../src/server/cli-render.ts';
import { contextLine } from '../../src/server/cli-start.ts';
import type { EngineOptions } from '../../src/engine/types.ts';
import { fakeEngine } from './fake-engine.ts';
import type { FakeEngine, FakeOptions } from './fake-engine.ts';

const folder = await mkdtemp(join(tmpdir(), 'weblora-cli-'));
afterAll(() => rm(folder, { recursive: true }));

function parse(...words: readonly string[]): {
  readonly args: ReturnType<typeof parseArguments>;
  readonly err: string;
  readonly out: string;
} {
  let err = '';
  let out = '';
  const args = parseArguments(words, { version: '1.2.3', out: (text) => (out += text), err: (text) => (err += text) });
  return { args, err, out };
}

/** A host whose streams are kept as text. */
function testHost(options: FakeOptions & { readonly stdin?: string } = {}) {
  const written = { out: '', err: '' };
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdout.on('data', (chunk: unknown) => (written.out += String(chunk)));
  stderr.on('data', (chunk: unknown) => (written.err += String(chunk)));
  const interrupt = new AbortController();
  const started: { engine?: FakeEngine; options?: EngineOptions } = {};
  const host: Host = {
    version: '1.2.3',
    stdin: (async function* () {
      yield new TextEncoder().encode(options.stdin ?? '');
    })(),
    stdout,
    stderr,
    signal: interrupt.signal,
    terminal: 'plain',
    dawn: async () => ({ requestAdapter: async () => null }),
    createEngine: async (asked) => {
      started.engine = fakeEngine(options);
      started.options = asked;
      return started.engine;
    },
  };
  return { host, stdout, written, interrupt, started };
}

const chat = ['chat', 'models/base', '--message', 'Hi', '--lora-modules', 'json=a/json', 'sql=a/sql'];

describe('arguments', () => {
  test('modules may follow one option or several', () => {
    const { args } = parse('chat', 'models/base', '--lora-modules', 'a=x', 'b=y=z', '--message', 'Hi', '--lora-modules', 'c=w');
    expect(args).toMatchObject({
      command: 'chat',
      baseNames: ['base', 'models/base'],
      modules: [
        { name: 'a', directory: 'x' },
        { name: 'b', directory: 'y=z' },
        { name: 'c', directory: 'w' },
      ],
    });
  });

  test('every option reaches the engine', async () => {
    const { host, started } = testHost();
    const options = [
      '--max-model-len',
      '64',
      '--precision',
      'half',
      '--deterministic',
      '--pool-memory',
      '2M',
      '--temperature',
      '0.5',
      '--seed',
      '3',
      '--max-num-seqs',
      '8',
      '--max-num-batched-tokens',
      '96',
      '--max-loras',
      '4',
      '--no-enable-prefix-caching',
    ];
    const sampling = ['--top-p', '.9', '--top-k', '40', '--min-p', '0.05', '--repetition-penalty', '1.1'];
    const penalties = ['--presence-penalty', '-0.5', '--frequency-penalty', '2'];
    await main([...chat, ...options, ...sampling, ...penalties, '--max-tokens', '9'], host);
    expect(started.options).toMatchObject({
      model: 'models/base',
      maxModelLength: 64,
      precision: 'half',
      deterministic: true,
      memory: { pool: 2 ** 21 },
      limits: { sequences: 8, batchRows: 96, adapters: 4, stepMs: 1000 },
      prefixCache: false,
    });
    const { signal, ...asked } = started.engine?.calls[0]?.options ?? {};
    expect(signal).toBe(host.signal);
    expect(asked).toEqual({
      maxTokens: 9,
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      repetitionPenalty: 1.1,
      presencePenalty: -0.5,
      frequencyPenalty: 2,
      seed: 3,
    });
  });

  test('what is not given is left to the engine', async () => {
    const { host, started } = testHost();
    await main(chat, host);
    expect(started.options).toMatchObject({ limits: { stepMs: 1000 }, prefixCache: true });
    expect(Object.keys(started.engine?.calls[0]?.options ?? {})).toEqual(['signal']);
  });

  test.each<[readonly string[], RegExp]>([
    [['chat', 'm'], /--message/],
    [['chat', '--message', 'x'], /model/],
    [['chat', 'm', '--message', ' '], /empty/],
    [['chat', 'm', '--message', 'x', '--lora-modules', 'json'], /'json'.*NAME=DIR/],
    [['chat', 'm', '--message', 'x', '--lora-modules', '=x'], /name.*empty/],
    [['chat', 'm', '--message', 'x', '--lora-modules', 'x='], /folder.*empty/],
    [['chat', 'm', '--message', 'x', '--lora-modules', 'a=x', '--lora-modules', 'a=y'], /'a' is given twice/],
    [['chat', 'dir/m/', '--message', 'x', '--lora-modules', 'm=x'], /'m' is also a name of the base/],
    [['chat', 'm', '--message', 'x', '--precision', 'f16'], /exact, half/],
    [['chat', 'm', '--message', 'x', '--max-model-len', '1.5'], /whole number/],
    [['chat', 'm', '--message', 'x', '--temperature', '3'], /0 to 2/],
    [['chat', 'm', '--message', 'x', '--top-p', '0'], /above 0, up to 1/],
    [['chat', 'm', '--message', 'x', '--top-k', '-1'], /whole number/],
    [['chat', 'm', '--message', 'x', '--repetition-penalty', '0'], /above 0/],
    [['chat', 'm', '--message', 'x', '--presence-penalty', '-2.1'], /-2 to 2/],
    [['chat', 'm', '--message', 'x', '--max-num-seqs', '0'], /whole number/],
    [['chat', 'm', '--message', 'x', '--pool-memory', '2X'], /512M/],
    [['chat', 'm', '--message', 'x', 'y'], /too many arguments/],
    [['run-batch', '-i', 'x', '-o', 'y'], /--model/],
    [['run-batch', '-i', 'x', '--model', 'm'], /--output/],
    [['nonsense'], /unknown command/],
  ])('%j is a usage error', (words, message) => {
    const { args, err } = parse(...words);
    expect(args).toEqual({ command: 'ended', exitCode: 2 });
    expect(err).toMatch(message);
  });

  test('help is no error', () => {
    const { args, out } = parse('--help');
    expect(args).toEqual({ command: 'ended', exitCode: 0 });
    expect(out).toContain('run-batch');
    expect(parse('--version').out).toBe('1.2.3\n');
  });

  test('a served name is the only one, and frees the others', () => {
    expect(
      parse('run-batch', '-i', '-', '-o', '-', '--model', 'd/m', '--served-model-name', 'shop', '--lora-modules', 'm=x').args,
    ).toMatchObject({
      command: 'run-batch',
      baseNames: ['shop'],
    });
    expect(parse('chat', '.', '--message', 'x').args).toMatchObject({ baseNames: [process.cwd().split('/').at(-1), '.', process.cwd()] });
  });
});

describe('chat', () => {
  test('without a terminal: name: text in the order of the modules, then the summary', async () => {
    const { host, written, started } = testHost({ answers: { json: '{}', sql: 'two\nlines' } });
    expect(await main(chat, host)).toBe(0);
    const lines = written.out.split('\n');
    expect(lines.slice(0, 4)).toEqual([expect.stringContaining('base: base says '), 'json: {}', 'sql: two', '  lines']);
    expect(lines[4]).toMatch(/^\[\d+\.\d tokens per second, batch size 9, 8 distinct adapters\]$/);
    expect(written.err).toBe('context: 512 tokens (config)\n');
    expect(started.engine?.closed()).toBe(true);
    expect(started.engine?.calls.every((call) => call.options.temperature === undefined)).toBe(true);
  });

  test('an adapter that cannot be served ends the start', async () => {
    const { host, written, started } = testHost({ broken: { sql: 'adapter_config.json: use_dora is not served' } });
    expect(await main([...chat, '--stats'], host)).toBe(1);
    expect(written.out).toBe('');
    expect(written.err).toBe("weblora: adapter 'sql' (a/sql) cannot be served: adapter_config.json: use_dora is not served\n");
    expect(started.engine?.closed()).toBe(true);
    const again = testHost({ broken: { sql: 'no' } });
    expect(await main([...chat, '--debug'], again.host)).toBe(1);
    expect(again.written.err).toMatch(/^ {4}at /m);
  });

  test('an answer that fails is said, and the others are printed', async () => {
    const { host, written } = testHost();
    expect(await main(['chat', 'm', '--message', 'FAIL'], host)).toBe(1);
    expect(written.err).toContain('weblora: no answer of m: logits are not finite');
  });

  test('an interrupt ends it cleanly', async () => {
    const { host, interrupt, started } = testHost();
    const running = main(['chat', 'm', '--message', 'HANG'], host);
    await new Promise((resolve) => setTimeout(resolve, 20));
    interrupt.abort(new DOMException('interrupted', 'AbortError'));
    expect(await running).toBe(130);
    expect(started.engine?.closed()).toBe(true);
  });

  test('a reader that has gone ends it quietly', async () => {
    const { host, stdout, written } = testHost();
    stdout.on('error', () => undefined);
    stdout.destroy(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    stdout.write = ((_: string, done: (error: Error) => void) => done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))) as never;
    expect(await main(chat, host)).toBe(141);
    expect(written.err).not.toContain('weblora:');
  });

  test('the summary cannot be taken for an answer', () => {
    expect(summaryLine({ tokens: 30, seconds: 2, batch: 9, adapters: 8 })).toBe(
      '[15.0 tokens per second, batch size 9, 8 distinct adapters]',
    );
    expect(plainAnswer('a', 'x\nb: y')).toBe('a: x\n  b: y\n');
  });
});

describe('the terminal', () => {
  const voices = (...texts: readonly string[]): Voice[] =>
    texts.map((text, index) => ({ name: `model${index}`, text, state: index % 2 === 0 ? 'writing' : 'ended' }));
  const plain = painter('plain');

  test.each([
    [80, 24, 9],
    [20, 24, 9],
    [8, 10, 9],
    [80, 12, 40],
    [40, 2, 3],
  ])('%i columns and %i rows hold a frame of %i answers', (columns, rows, count) => {
    const frame = liveFrame(
      voices(...Array.from({ length: count }, (_, index) => 'a word or two '.repeat(index * 3))),
      { columns, rows },
      plain,
    );
    const lines = frame.split('\n');
    expect(lines.length).toBeLessThan(rows);
    expect(lines.every((line) => line.length <= columns)).toBe(true);
  });

  test('where not all fit, the end of each is seen, or those being written', () => {
    const long = voices('first '.repeat(50) + 'END0', 'second '.repeat(50) + 'END1');
    const frame = liveFrame(long, { columns: 40, rows: 6 }, plain);
    expect(frame).toContain('END0');
    expect(frame).toContain('END1');
    const many = liveFrame(voices('a', 'b', 'c', 'd', 'e'), { columns: 40, rows: 5 }, plain);
    expect(many).toMatch(/model0.*model2.*model4.*2 more; 2 of 5 ended/s);
  });

  test('escape sequences of a model move nothing', () => {
    expect(wholeAnswers(voices('a\u001b[2Jb\u0007'), 40, plain)).toBe('model0  a[2Jb\n');
  });

  test('lines are cut at spaces, and indented text keeps its indentation', () => {
    expect(wholeAnswers(voices('one two three\n  four'), 17, plain)).toBe('mod…  one two\n      three\n        four\n');
  });

  test('wide characters are counted as two columns', () => {
    expect(wholeAnswers(voices('🛒🛒🛒🛒🛒🛒'), 16, plain)).toBe('mod…  🛒🛒🛒🛒🛒\n      🛒\n');
  });
});

describe('run-batch', () => {
  const request = (id: string, prompt: string, model = 'base'): string =>
    JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/completions', body: { model, prompt, temperature: 0 } });
  const read = async (path: string): Promise<BatchRecord[]> =>
    (await readFile(path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as BatchRecord);
  const words = (input: string, output: string) => [
    'run-batch',
    '-i',
    input,
    '-o',
    output,
    '--model',
    'models/base',
    '--lora-modules',
    'json=x',
  ];

  test('file to file; both names of the base and the adapter’s', async () => {
    const input = join(folder, 'in.jsonl');
    const output = join(folder, 'out.jsonl');
    await writeFile(
      input,
      `\ufeff${request('a', 'Hi')}\r\n\n${request('b', 'Hi', 'models/base')}\n${request('c', 'Hi', 'json')}\nnonsense`,
    );
    await writeFile(output, 'old');
    const { host, written } = testHost();
    expect(await main([...words(input, output), '--stats'], host)).toBe(0);
    const records = await read(output);
    expect(records.map((record) => record.response?.status_code)).toEqual([200, 200, 200, undefined]);
    expect(records[2]?.response?.body).toMatchObject({ model: 'json', choices: [{ text: 'json says Hi' }] });
    expect(written.out).toBe('');
    expect(written.err).toMatch(/3 answered, 0 refused, 1 no requests; \d+ tokens/);
    expect(written.err).toContain('first token: 30.0 ms (p95 40.0, most 50.0); between two: 5.0 ms (p95 6.0, most 7.0)\n');
    expect(written.err).toContain('prompts: 10 of 40 tokens found computed (25 %)\n');
    expect(written.err).toContain('adapters: 3 of 4 uses found them on the GPU (75 %); 8 loads, 2 evictions\n');
    expect(written.err).toContain('4 preempted, 5 refused for the queue, 6 past their deadline, 0 devices lost\n');
    expect(JSON.parse(written.err.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ version: 1 });
    expect(await readdir(folder)).not.toContain('out.jsonl.partial');
  });

  test('a file of more requests than are open at once is answered whole, in order', async () => {
    const ids = Array.from({ length: 1200 }, (_, index) => `r${index}`);
    const { host, written } = testHost({ stdin: ids.map((id) => request(id, 'Hi')).join('\n') });
    expect(await main([...words('-', '-'), '--max-num-seqs', '300'], host)).toBe(0);
    const lines = written.out.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as BatchRecord).custom_id)).toEqual(ids);
  });

  test('standard input to standard output', async () => {
    const { host, written } = testHost({ stdin: `${request('a', 'Hi')}\n` });
    expect(await main(words('-', '-'), host)).toBe(0);
    expect(JSON.parse(written.out)).toMatchObject({ custom_id: 'a', response: { status_code: 200 } });
  });

  test('the input is never overwritten, not through a link either', async () => {
    const input = join(folder, 'same.jsonl');
    await writeFile(input, request('a', 'Hi'));
    await symlink(input, join(folder, 'link.jsonl'));
    for (const output of [input, join(folder, 'link.jsonl')]) {
      const { host, written } = testHost();
      expect(await main(words(input, output), host)).toBe(1);
      expect(written.err).toContain('same file');
    }
    expect(await readFile(input, 'utf8')).toContain('custom_id');
  });

  test('files that cannot be opened end it before an engine is made', async () => {
    await mkdir(join(folder, 'dir'));
    const input = join(folder, 'ok.jsonl');
    await writeFile(input, '');
    for (const [from, to] of [
      [join(folder, 'missing'), join(folder, 'o')],
      [join(folder, 'dir'), join(folder, 'o')],
      [input, join(folder, 'nowhere', 'o')],
      [input, join(folder, 'dir')],
    ] as const) {
      const { host, written, started } = testHost();
      expect(await main(words(from, to), host)).toBe(1);
      expect(written.err).toMatch(/^weblora: .*folder|^weblora: .*no such file/);
      expect(started.engine).toBeUndefined();
    }
    expect(await readdir(folder)).not.toContain('o');
  });

  test('interrupted: the records so far are kept beside, and the old file is whole', async () => {
    const input = join(folder, 'long.jsonl');
    const output = join(folder, 'kept.jsonl');
    await writeFile(input, `${request('a', 'Hi')}\n${request('b', 'HANG')}`);
    await writeFile(output, 'old');
    const { host, written, interrupt } = testHost();
    const running = main(words(input, output), host);
    await new Promise((resolve) => setTimeout(resolve, 50));
    interrupt.abort(new DOMException('interrupted', 'AbortError'));
    expect(await running).toBe(130);
    expect(await readFile(output, 'utf8')).toBe('old');
    expect(await read(`${output}.partial`)).toHaveLength(1);
    expect(written.err).toContain('kept.jsonl.partial');
  });

  test('lines are the same however the bytes come, and a huge one is only measured', async () => {
    const bytes = new TextEncoder().encode('ab\n\ncdé\r\nlast');
    for (const size of [1, 2, 5, 100]) {
      const lines: string[] = [];
      const chunks = async function* (): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      };
      for await (const line of splitLines(chunks(), 6))
        lines.push(line instanceof Uint8Array ? new TextDecoder().decode(line) : JSON.stringify(line));
      expect(lines).toEqual(['ab', '', 'cdé\r', 'last']);
      lines.length = 0;
      for await (const line of splitLines(chunks(), 3)) lines.push(line instanceof Uint8Array ? 'kept' : JSON.stringify(line));
      expect(lines).toEqual(['kept', 'kept', '{"tooLong":5}', '{"tooLong":4}']);
    }
  });
});

test('the context’s length and why', async () => {
  const info = await fakeEngine().model();
  expect(contextLine(info, undefined)).toBe('context: 512 tokens (config)');
  expect(contextLine({ ...info, maxModelLength: 100 }, 100)).toContain('--max-model-len');
  expect(contextLine({ ...info, maxModelLength: 96 }, undefined)).toContain('pool');
});

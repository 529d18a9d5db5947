import { describe, expect, test } from 'vitest';
import { main } from '../../src/server/cli-main.ts';
import { liveFrame, painter, plainAnswer, summaryLine, wholeAnswers } from '../../src/server/cli-render.ts';
import type { Voice } from '../../src/server/cli-render.ts';
import { contextLine } from '../../src/server/cli-start.ts';
import { chat, parse, testHost } from './cli-harness.ts';
import { fakeEngine } from './fake-engine.ts';

describe('arguments', () => {
  test('modules may follow one option or several', () => {
    const { args } = parse('chat', 'models/base', '--lora-modules', 'a=x', 'b=y=z', '--message', 'Hi', '--lora-modules', 'c=w');
    expect(args).toMatchObject({
      command: 'chat',
      baseNames: ['base', 'models/base'],
      modules: [
        { name: 'a', source: 'x' },
        { name: 'b', source: 'y=z' },
        { name: 'c', source: 'w' },
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
      '--quantize',
      'q4',
      '--deterministic',
      '--pool-memory',
      '2M',
      '--heap-memory',
      '3k',
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
      quantize: 'q4',
      deterministic: true,
      memory: { pool: 2 ** 21, heap: 3072 },
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
    expect(started.options).toMatchObject({ limits: { stepMs: 1000 }, prefixCache: true, memory: {} });
    expect(started.options).not.toHaveProperty('store');
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
    [['chat', 'm', '--message', 'x', '--quantize', 'int8'], /q8, q4/],
    [['chat', 'm', '--message', 'x', '--max-model-len', '1.5'], /whole number/],
    [['chat', 'm', '--message', 'x', '--temperature', '3'], /0 to 2/],
    [['chat', 'm', '--message', 'x', '--top-p', '0'], /above 0, up to 1/],
    [['chat', 'm', '--message', 'x', '--top-k', '-1'], /whole number/],
    [['chat', 'm', '--message', 'x', '--repetition-penalty', '0'], /above 0/],
    [['chat', 'm', '--message', 'x', '--presence-penalty', '-2.1'], /-2 to 2/],
    [['chat', 'm', '--message', 'x', '--max-num-seqs', '0'], /whole number/],
    [['chat', 'm', '--message', 'x', '--pool-memory', '2X'], /512M/],
    [['chat', 'm', '--message', 'x', '--heap-memory', '0'], /512M/],
    [['chat', 'm', '--message', 'x', '--store', ''], /empty/],
    [['chat', 'm', '--message', 'x', '--disk-memory', '1G'], /--disk-memory needs --store/],
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

test('the context’s length and why', async () => {
  const info = await fakeEngine().model();
  expect(contextLine(info, undefined)).toBe('context: 512 tokens (config)');
  expect(contextLine({ ...info, maxModelLength: 100 }, 100)).toContain('--max-model-len');
  expect(contextLine({ ...info, maxModelLength: 96 }, undefined)).toContain('pool');
});

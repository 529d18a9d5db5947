import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { BatchRecord } from '../../src/openai/batch.ts';
import { splitLines } from '../../src/server/cli-lines.ts';
import { main } from '../../src/server/cli-main.ts';
import { testHost } from './cli-harness.ts';

const folder = await mkdtemp(join(tmpdir(), 'weblora-cli-'));
afterAll(() => rm(folder, { recursive: true }));

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

import { describe, expect, test } from 'vitest';
import { runBatch } from '../../src/openai/batch.ts';
import type { BatchLine, BatchOptions, BatchRecord } from '../../src/openai/batch.ts';
import { fakeEngine } from './fake-engine.ts';
import type { FakeEngine } from './fake-engine.ts';

const URL = '/v1/completions';

function line(customId: unknown, prompt = 'Hi', more: object = {}): string {
  return JSON.stringify({ custom_id: customId, method: 'POST', url: URL, body: { model: 'base', prompt, temperature: 0, ...more } });
}

async function records(lines: readonly BatchLine[], engine: FakeEngine = fakeEngine(), options: BatchOptions = {}): Promise<BatchRecord[]> {
  const out: BatchRecord[] = [];
  for await (const record of runBatch(engine, lines, options)) out.push(record);
  return out;
}

describe('a batch file', () => {
  test('one record per line, in order, however long each takes', async () => {
    const out = await records([line('a', 'LATE'), line('b'), '', line('c', 'x', { temperature: 9 }), line('d', 'x', { model: 'nope' })]);
    expect(out.map((record) => record.custom_id)).toEqual(['a', 'b', 'c', 'd']);
    expect(out.map((record) => record.response?.status_code)).toEqual([200, 200, 400, 404]);
    expect(out.every((record) => record.error === null)).toBe(true);
    expect(out[0]?.id).toMatch(/^batch_req_/);
    expect(out[0]?.response?.request_id).toMatch(/^req_/);
    expect(out[2]?.response?.body).toMatchObject({ error: { param: 'temperature', code: 'invalid_value' } });
    expect(out[3]?.response?.body).toMatchObject({ error: { code: 'model_not_found' } });
  });

  test('brackets without end are refused like other wrong values, and the next line goes on', async () => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const good = line('a');
    const out = await records([good.replace('"a"', deep), line('b', 'x', { stop: 'DEEP' }).replace('"DEEP"', deep), line('c')]);
    expect(out.map(({ response, error }) => response?.status_code ?? error?.code)).toEqual(['missing_custom_id', 400, 200]);
  });

  test('the whole file is handed over before the first answer', async () => {
    const engine = fakeEngine();
    const controller = new AbortController();
    const running = records([line('a', 'HANG'), line('b', 'HANG'), line('c')], engine, { signal: controller.signal });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(engine.calls).toHaveLength(3);
    controller.abort();
    await expect(running).rejects.toMatchObject({ name: 'AbortError' });
    expect(engine.cancelled()).toBe(2);
  });

  describe('a long file', () => {
    /** An engine whose answers wait until they are let go, in any order. */
    function gated() {
      const open: (() => void)[] = [];
      const fake = fakeEngine();
      const generate: FakeEngine['generate'] = (prompt, options) => {
        const generation = fake.generate(prompt, options);
        const gate = new Promise<void>((resolve, reject) => {
          open.push(resolve);
          options?.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error));
        });
        return { ...generation, result: () => gate.then(() => generation.result()) };
      };
      return { engine: { ...fake, generate }, open };
    }
    const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

    test('is read on as answers end, so that no more are open than may be; the order stays', async () => {
      const { engine, open } = gated();
      const running = records(
        Array.from({ length: 7 }, (_, index) => line(`${index}`)),
        engine,
        { open: 3 },
      );
      await settle();
      expect(open).toHaveLength(3);
      open[2]!();
      open[1]!();
      await settle();
      expect(open).toHaveLength(5);
      for (let next = 0; next < 7; next++) {
        open[next]!();
        await settle();
      }
      expect((await running).map((record) => record.custom_id)).toEqual(['0', '1', '2', '3', '4', '5', '6']);
    });

    test('counts every answer that a line asks for, and lets one that asks for too many run alone', async () => {
      const { engine, open } = gated();
      const lines = [line('a', 'x', { n: 2 }), line('b'), line('c', 'x', { prompt: ['x', 'y'], n: 3 }), '{'];
      const running = records(lines, engine, { open: 3 });
      for (const [seen, next] of [
        [3, 0],
        [3, 1],
        [3, 2],
        [9, 3],
      ] as const) {
        await settle();
        expect(open).toHaveLength(seen);
        open[next]!();
      }
      for (const end of open) end();
      expect((await running).map(({ response, error }) => response?.status_code ?? error?.code)).toEqual([
        200,
        200,
        200,
        'invalid_json_line',
      ]);
    });

    test('does not wait for the answers of a request that will be refused', async () => {
      const { engine, open } = gated();
      const running = records([line('a'), line('b', 'x', { n: 1e9 }), line('c')], engine, { open: 3 });
      await settle();
      expect(open).toHaveLength(2);
      for (const end of open) end();
      expect((await running).map(({ response }) => response?.status_code)).toEqual([200, 400, 200]);
    });

    test('asks for some hundreds of answers at once', async () => {
      const { engine, open } = gated();
      const controller = new AbortController();
      const lines = Array.from({ length: 600 }, (_, index) => line(`${index}`));
      const running = records(lines, engine, { signal: controller.signal });
      await settle();
      expect(open).toHaveLength(512);
      controller.abort();
      await expect(running).rejects.toMatchObject({ name: 'AbortError' });
      await settle();
      expect(open).toHaveLength(512);
    });
  });

  test('a request that the engine has no room for is refused alone', async () => {
    const [full, next] = await records([line('a', 'FULL'), line('b')]);
    expect(full?.response).toMatchObject({ status_code: 503, body: { error: { code: 'overloaded', type: 'server_error' } } });
    expect(next?.response?.status_code).toBe(200);
  });

  test.each<[string, BatchLine, string, string | null]>([
    ['no JSON', '{', 'invalid_json_line', null],
    ['no object', '[1]', 'invalid_json_line', null],
    [
      'no UTF-8',
      Uint8Array.of(...new TextEncoder().encode('{"custom_id": "x'), 0xff, ...new TextEncoder().encode('"}')),
      'invalid_json_line',
      null,
    ],
    ['too long', { tooLong: 1e9 }, 'invalid_json_line', null],
    ['no custom_id', line(undefined), 'missing_custom_id', null],
    ['an empty custom_id', line(''), 'missing_custom_id', null],
    ['a number as custom_id', line(7), 'missing_custom_id', null],
    ['a repeated custom_id', line('a'), 'duplicate_custom_id', 'a'],
    ['another method', line('b').replace('POST', 'GET'), 'invalid_method', 'b'],
    ['another url', line('b').replace(URL, '/v1/embeddings'), 'invalid_url', 'b'],
  ])('%s is no request, and the others go on', async (_, wrong, code, customId) => {
    const [first, second, third] = await records([line('a'), wrong, line('z')]);
    expect(first?.response?.status_code).toBe(200);
    expect(second).toMatchObject({ custom_id: customId, response: null, error: { code } });
    expect(second?.error?.message).toContain('line 2');
    expect(third?.response?.status_code).toBe(200);
  });

  test('byte order mark, carriage returns, blanks, bytes', async () => {
    const bytes = new TextEncoder().encode(`\ufeff${line('a', 'naïve')}\r`);
    const out = await records([bytes, '   \r', '\ufeff', line('b')]);
    expect(out.map((record) => record.custom_id)).toEqual(['a', 'b']);
    expect(out[0]?.response?.body).toMatchObject({ choices: [{ text: 'base says naïve' }] });
  });

  test('a body that is no object, and stream: true, are refused as requests', async () => {
    const [noBody, stream] = await records([
      JSON.stringify({ custom_id: 'a', method: 'POST', url: URL }),
      line('b', 'x', { stream: true }),
    ]);
    expect(noBody?.response?.status_code).toBe(400);
    expect(stream?.response?.body).toMatchObject({ error: { param: 'stream' } });
  });

  test('a file that cannot be read to its end gives the records it has, then the error', async () => {
    const out: BatchRecord[] = [];
    async function* lines(): AsyncGenerator<string> {
      yield line('a', 'LATE');
      throw new Error('the disk is gone');
    }
    await expect(async () => {
      for await (const record of runBatch(fakeEngine(), lines())) out.push(record);
    }).rejects.toThrow('the disk is gone');
    expect(out).toHaveLength(1);
  });

  test('leaving the loop cancels what still runs', async () => {
    const engine = fakeEngine();
    for await (const record of runBatch(engine, [line('a'), line('b', 'HANG')])) {
      expect(record.custom_id).toBe('a');
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(engine.cancelled()).toBe(1);
  });

  test('progress counts lines read and requests ended', async () => {
    const seen: string[] = [];
    await records([line('a'), '', line('b')], fakeEngine(), { onProgress: ({ read, ended }) => seen.push(`${ended}/${read}`) });
    expect(seen.at(-1)).toBe('2/2');
  });
});

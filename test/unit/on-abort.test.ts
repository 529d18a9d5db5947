import { expect, test, vi } from 'vitest';
import { unlessAborted } from '../../src/formats/hub-turns.ts';
import { onAbort } from '../../src/formats/on-abort.ts';

test('everyone who waits hears of it, once, and nobody who has left', () => {
  const controller = new AbortController();
  const add = vi.spyOn(controller.signal, 'addEventListener');
  const heard: number[] = [];
  const forget = [0, 1, 2].map((each) => onAbort(controller.signal, () => void heard.push(each)));
  forget[1]!();
  forget[1]!();
  controller.abort();
  expect(heard).toEqual([0, 2]);
  expect(add).toHaveBeenCalledTimes(1);
});

test('a signal for which nobody waits has no listener, and gets one again', () => {
  const controller = new AbortController();
  const add = vi.spyOn(controller.signal, 'addEventListener');
  const remove = vi.spyOn(controller.signal, 'removeEventListener');
  const heard = vi.fn<() => void>();
  onAbort(controller.signal, heard)();
  expect([add.mock.calls.length, remove.mock.calls.length]).toEqual([1, 1]);
  const forget = onAbort(controller.signal, heard);
  controller.abort();
  forget();
  expect(heard).toHaveBeenCalledTimes(1);
});

test('files of a model of many parts wait on one signal', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const controller = new AbortController();
  const files = Array.from({ length: 30 }, () => unlessAborted(new Promise<void>(() => undefined), controller.signal));
  controller.abort('enough');
  for (const outcome of await Promise.allSettled(files)) expect(outcome).toEqual({ status: 'rejected', reason: 'enough' });
  expect(warned).not.toHaveBeenCalled();
  warned.mockRestore();
});

import { expect, test } from 'vitest';
import { defineKernel } from '../../src/gpu/kernel.ts';
import { createPipelines } from '../../src/gpu/pipelines.ts';

const kernel = defineKernel({ label: 'some', source: '', buffers: {}, constants: [] });
const SPECIALISATION = { constants: {}, libraries: [] };

/** A device whose compiler fails so often, and says why where it has words. */
function deviceThatFails(
  times: number,
  words: readonly string[] | undefined,
): { readonly device: GPUDevice; readonly asked: () => number } {
  let asked = 0;
  const device = {
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({
      getCompilationInfo: async () => {
        if (!words) throw new Error('the instance is gone');
        return { messages: words.map((message) => ({ lineNum: 3, linePos: 7, message })) };
      },
    }),
    createComputePipelineAsync: async () => {
      if (asked++ < times) throw new Error('no');
      return {};
    },
  };
  return { device: device as unknown as GPUDevice, asked: () => asked };
}

const on = (device: GPUDevice) => createPipelines(device, { uniform: () => ({}) as GPUBuffer });

test('what does not compile is told in the words of the compiler, and of a device that has none left', async () => {
  const told = on(deviceThatFails(1, ['no such name']).device).get(kernel, SPECIALISATION);
  await expect(told).rejects.toMatchObject({
    code: 'shader_invalid',
    message: expect.stringMatching(/^some\.wgsl .*no\n {2}3:7 no such name$/),
  });
  const silent = on(deviceThatFails(1, undefined).device).get(kernel, SPECIALISATION);
  await expect(silent).rejects.toMatchObject({ code: 'shader_invalid', message: expect.stringContaining('some.wgsl does not compile') });
});

test('a text is compiled once, and again where it failed', async () => {
  const { device, asked } = deviceThatFails(1, []);
  const pipelines = on(device);
  const both = await Promise.allSettled([pipelines.get(kernel, SPECIALISATION), pipelines.get(kernel, SPECIALISATION)]);
  expect([both.map(({ status }) => status), asked()]).toEqual([['rejected', 'rejected'], 1]);
  await pipelines.get(kernel, SPECIALISATION);
  await pipelines.get(kernel, SPECIALISATION);
  expect([asked(), pipelines.compiled().length]).toEqual([2, 1]);
});

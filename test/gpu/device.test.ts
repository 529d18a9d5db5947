import { expect, test } from 'vitest';
import { dawn } from '../../src/node.ts';
import { describeOwnGpu } from '../device.ts';

await describeOwnGpu('the device of the tests', (gpu) => {
  test('has the limits that every kernel is designed for', async () => {
    const adapter = (await gpu.requestAdapter()) as GPUAdapter;
    const device = await adapter.requestDevice();
    expect(device.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    expect(device.limits.maxStorageBufferBindingSize).toBeGreaterThanOrEqual(128 << 20);
    device.destroy();
  });

  test('software is told in one line, hardware in none, and a wish for software in none', async () => {
    const lines: string[] = [];
    const any = await dawn({ onNotice: (line) => lines.push(line) });
    const adapter = (await any.requestAdapter()) as GPUAdapter;
    expect(lines.map((line) => line.split('\n').length)).toEqual(adapter.info.isFallbackAdapter ? [1] : []);
    await dawn({ software: true, onNotice: () => expect.fail('a notice') });
  });

  test('is shared by calls that come together', async () => {
    const [first, second] = await Promise.all([dawn({ software: true }), dawn({ software: true })]);
    expect(first).toBe(second);
  });
});

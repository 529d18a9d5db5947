import source from '../../shaders/lora-expand.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

const SHAPE: readonly string[] = ['OUT4', 'Y_STRIDE4', 'SITE_FIRST', 'SITES', 'SPLITS'];
/** What every expand takes. */
export const EXPAND_CONSTANTS: readonly string[] = [...STEP_CONSTANTS, ...SHAPE, 'SITES_IN_MODEL'];

export const loraExpand = defineKernel({
  label: 'lora-expand',
  source,
  buffers: { step: 'read', descriptors: 'read', pool: 'read', v: 'read', y: 'read_write' },
  constants: [...EXPAND_CONSTANTS, 'ROWS'],
  runtime: SHAPE,
  workgroupSize: 16,
});

/** One thread per segment and 16 columns of the group's output. */
export const loraExpandThreads = (segments: number, out4: number): number => segments * Math.ceil(out4 / 4);

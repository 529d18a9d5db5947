import source from '../../shaders/lora-expand.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

const SHAPE: readonly string[] = ['OUT4', 'Y_STRIDE4', 'SITE_FIRST', 'SITES'];
/** What every expand takes: EVEN is `isEven` of the group's sites, FINISH whether some row's adapter has a gain or a bias. */
export const EXPAND_CONSTANTS: readonly string[] = [...STEP_CONSTANTS, ...SHAPE, 'SPLITS', 'SITES_IN_MODEL', 'EVEN', 'FINISH'];

/** Whether no 16 columns belong to two of these sites, which lie next to each other. */
export const isEven = (sites: readonly { readonly outWidth: number }[]): boolean => sites.every(({ outWidth }) => outWidth % 16 === 0);

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

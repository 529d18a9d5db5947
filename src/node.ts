export { dawn } from './node/dawn.ts';
export { folderStore } from './node/folder-store.ts';
export type { DawnOptions } from './node/dawn.ts';
export type { GpuProvider } from './engine/types.ts';

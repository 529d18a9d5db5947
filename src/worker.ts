export { serve } from './rpc/serve.ts';
export type { ServeOptions } from './rpc/calls.ts';

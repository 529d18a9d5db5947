import { measure } from './measure.ts';

/** What this file uses of Deno. */
declare const Deno: { readonly args: readonly string[]; exit(code: number): never };

const result = await measure((navigator as unknown as { gpu: never }).gpu, JSON.parse(Deno.args[0]!) as Parameters<typeof measure>[1]);
console.log(`result ${JSON.stringify(result)}`);
Deno.exit(0);

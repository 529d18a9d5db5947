// Runs in Deno: a case of the hub's suite for each line of standard input, an answer for each on standard output.
import { diskHubStore } from '../../src/formats/hub-disk.ts';
import { hubCases } from '../suites/hub.ts';
import { runCase, type Asked } from '../suites/run.ts';

/** What this file uses of Deno. */
declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array<ArrayBuffer>> };
};

const [endpoint, folder] = Deno.args as [string, string];
const suites = { hub: hubCases({ endpoint, store: (name) => diskHubStore(`${folder}/${name}`) }) };
let rest = '';
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split('\n');
  rest = lines.pop()!;
  for (const line of lines) console.log(`answer ${JSON.stringify({ failure: await runCase(suites, JSON.parse(line) as Asked) })}`);
}

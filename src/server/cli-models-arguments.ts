import type { Command } from 'commander';
import { filled } from './cli-values.ts';

/** `weblora models`: what the cache holds. */
export interface ModelsArguments {
  readonly command: 'models';
  readonly form: 'table' | 'json';
  readonly debug: boolean;
}

/** `weblora models rm`. */
export interface RemoveModelsArguments {
  readonly command: 'remove-models';
  /** `owner/name` or `owner/name@revision`, as typed. */
  readonly ids: readonly string[];
  readonly debug: boolean;
}

/** Adds the commands to the program. */
export function modelsCommand(program: Command, parsed: (args: ModelsArguments | RemoveModelsArguments) => void): void {
  const models = program
    .command('models')
    .description('list the models of the hub that this computer keeps, in the cache that Hugging Face’s own tools use')
    .option('--json', 'as JSON, all that is known')
    .option('--debug', 'print stack traces')
    .action(({ json = false, debug = false }: { json?: boolean; debug?: boolean }) => {
      parsed({ command: 'models', form: json ? 'json' : 'table', debug });
    });
  models
    .command('rm')
    .alias('remove')
    .description('remove models from the cache, or single revisions of them')
    .argument(
      '<id...>',
      'owner/name: all of it; owner/name@revision: what no other revision shares',
      (id: string, before: string[] = []) => [...before, filled(id)],
    )
    .option('--debug', 'print stack traces')
    .action((ids: readonly string[], { debug = false }: { debug?: boolean }) => parsed({ command: 'remove-models', ids, debug }));
}

import { WebLoraError } from '../errors.ts';
import type { CoreEngine } from '../engine/types.ts';
import type { Model, ModelList } from './types.ts';

/** What a request's `model` may be: the base under any of its names, or an adapter by its id. */
export interface ModelChoice {
  /** Absent: the base model. */
  readonly adapter?: string;
}

/**
 * The names of the base model, the one to show first. A `served` name is the only one; otherwise the last part of the path or
 * address it was read from, and that path or address as it was typed.
 */
export function baseNames(model: string, served?: string): readonly string[] {
  if (served !== undefined) return [served];
  const last = model.split(/[\\/]+/).findLast((part) => part !== '');
  return last === undefined || last === model ? [model] : [last, model];
}

/** Which model a name means. Whether an adapter of that id exists is the engine's to say (see `unknownModel`). */
export function chooseModel(name: string, bases: readonly string[]): ModelChoice {
  return bases.includes(name) ? {} : { adapter: name };
}

/** The error for a name that is neither the base nor an adapter, with the names that are; at most 8 adapters are listed. */
export async function unknownModel(engine: CoreEngine, name: string, bases: readonly string[], cause: unknown): Promise<WebLoraError> {
  const ids = (await engine.adapters.list()).map((adapter) => adapter.id);
  const more = ids.length > 8 ? ` and ${ids.length - 8} more` : '';
  const known = [...bases, ...ids.slice(0, 8)].join(', ');
  return new WebLoraError('adapter_unknown', `the model ${JSON.stringify(name)} does not exist; there are ${known}${more}`, {
    param: 'model',
    cause, // where a resolve callback failed, it says how
  });
}

/** The base model and every registered adapter; `created` in seconds since 1970. */
export async function listModels(engine: CoreEngine, created: number): Promise<ModelList> {
  const [{ name }, adapters] = await Promise.all([engine.model(), engine.adapters.list()]);
  const model = (id: string): Model => ({ id, object: 'model', created, owned_by: 'weblora' });
  return {
    object: 'list',
    data: [{ ...model(name), root: name }, ...adapters.map(({ id, source }) => ({ ...model(id), root: source, parent: name }))],
  };
}

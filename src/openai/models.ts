import { WebLoraError } from '../errors.ts';
import type { CoreEngine, GenerateOptions } from '../engine/types.ts';
import type { ParsedRequest } from './request.ts';
import type { Model, ModelList } from './types.ts';
import { invalid, shown } from './values.ts';

/**
 * The names of the base model, the one to show first. A `served` name is the only one; otherwise the last part of the path or
 * address it was read from, and that path or address as it was typed.
 */
export function baseNames(model: string, served?: string): readonly string[] {
  if (served !== undefined) return [served];
  const last = model.split(/[\\/]+/).findLast((part) => part !== '');
  return last === undefined || last === model ? [model] : [last, model];
}

/**
 * Which adapters a request means. Whether they exist is the engine's to say (see `unknownModel`).
 * Throws `request_invalid` with param `lora` where a blend stands beside a `model` that is not the base.
 */
export function chooseAdapter({ model, lora }: ParsedRequest, bases: readonly string[]): Pick<GenerateOptions, 'adapter'> {
  if (lora === undefined) return bases.includes(model) ? {} : { adapter: model };
  if (bases.includes(model)) return { adapter: lora };
  const why = `lora names all adapters of a blend, and model the base (${bases.join(', ')}); model was ${shown(model)}`;
  throw invalid('lora', `${why}: leave lora out for that adapter alone`);
}

/** The error for a name that is neither the base nor an adapter, with the names that are; at most 8 adapters are listed. */
export async function unknownModel(
  engine: CoreEngine,
  { model, lora }: ParsedRequest,
  bases: readonly string[],
  cause: unknown,
): Promise<WebLoraError> {
  const ids = (await engine.adapters.list()).map((adapter) => adapter.id);
  const more = ids.length > 8 ? ` and ${ids.length - 8} more` : '';
  const listed = ids.slice(0, 8);
  if (lora === undefined) {
    const known = [...bases, ...listed].join(', ');
    return new WebLoraError('adapter_unknown', `the model ${JSON.stringify(model)} does not exist; there are ${known}${more}`, {
      param: 'model',
      cause, // where a resolve callback failed, it says how
    });
  }
  const unlisted = lora.filter(({ id }) => !ids.includes(id));
  // All of them are listed where the missing one came back in the meantime.
  const missing = (unlisted.length > 0 ? unlisted : lora).map(({ id }) => JSON.stringify(id));
  const there = ids.length === 0 ? 'there is none' : `there are ${listed.join(', ')}${more}`;
  return new WebLoraError('adapter_unknown', `lora names ${missing.join(', ')}, and no such adapter exists; ${there}`, {
    param: 'lora',
    cause,
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

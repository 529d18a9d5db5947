import { OUTER } from './sites.ts';
import type { Site, SiteTable } from './sites.ts';

/** A module of the model by its name in checkpoints, and what it is in a site table. */
export interface Module {
  /** The whole name: `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  /** Its decoder layer; `SiteTable.layers` for what is outside of them. */
  readonly block: number;
  readonly kind: 'linear' | 'norm';
  /** Places in the table of its kind: several where checkpoints fuse linear layers, in the order of their rows. */
  readonly places: readonly number[];
  /** Whether transformers' model has it by this name, or another would that has the same linear layers. */
  readonly isOfBase: boolean;
}

/** Linear layers that some checkpoints have as one, whatever the base has: their rows follow one another. */
const FUSED: ReadonlyMap<string, readonly string[]> = new Map([
  ['self_attn.qkv_proj', ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']],
  ['mlp.gate_up_proj', ['mlp.gate_proj', 'mlp.up_proj']],
]);

/** The linear layer at a place of a block. */
export function siteAt(table: SiteTable, block: number, place: number): Site {
  return block === table.layers ? table.outer[place]! : table.sites[place]!;
}

/** Name of the linear layer at a place of a block: `model.layers.0.self_attn.q_proj`, `lm_head`. */
export function siteName(table: SiteTable, block: number, place: number): string {
  const { module } = siteAt(table, block, place);
  return block === table.layers ? module : `${table.prefix}${block}.${module}`;
}

/** The modules of a model that an adapter may name. */
export interface Modules {
  /** By the whole name; undefined for what the model has not. */
  find(name: string): Module | undefined;
  readonly all: readonly Module[];
}

export function modulesOf(table: SiteTable): Modules {
  const { sites, norms, prefix, layers, outer, finalNorm } = table;
  const fused = [...FUSED].filter(([, parts]) => parts.every((part) => sites.some(({ module }) => module === part)));
  const isPart = new Set(fused.flatMap(([, parts]) => parts));
  const placeOf = (part: string): number => sites.findIndex(({ module }) => module === part);
  const isFused = table.fused === 'yes';
  const linear = (name: string, places: readonly number[], isOfBase: boolean) => ({ name, kind: 'linear' as const, places, isOfBase });
  const norm = (name: string, place: number) => ({ name, kind: 'norm' as const, places: [place], isOfBase: true });
  const inLayer: readonly Omit<Module, 'block'>[] = [
    ...sites.map(({ module }, i) => linear(module, [i], !isFused || !isPart.has(module))),
    ...fused.map(([name, parts]) => linear(name, parts.map(placeOf), isFused)),
    ...norms.map(({ module }, i) => norm(module, i)),
  ];
  const all: Module[] = Array.from({ length: layers }, (_, block) =>
    inLayer.map((module) => ({ ...module, block, name: `${prefix}${block}.${module.name}` })),
  ).flat();
  for (const place of [OUTER.embedding, OUTER.head]) all.push({ ...linear(outer[place].module, [place], true), block: layers });
  all.push({ ...norm(finalNorm.module, 0), block: layers });
  const byName = new Map(all.map((module) => [module.name, module]));
  return { find: (name) => byName.get(name), all };
}

/** What the model has, for messages. */
export function describe({ sites, layers, prefix }: SiteTable): string {
  const modules = sites.map(({ module }) => module).join(', ');
  return `This model has ${layers} layers, ${prefix}0 to ${prefix}${layers - 1}, with ${modules}`;
}

/** How many names a message lists before it counts the rest. */
const LISTED = 8;

export function list(names: readonly string[]): string {
  const rest = names.length - LISTED;
  return names.slice(0, LISTED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

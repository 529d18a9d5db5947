import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'vite';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const src = join(root, 'src');

/** What each folder of src/ may import besides itself. `entry` is the files right in src/ but errors.ts and slices.ts. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  slices: [],
  formats: ['errors'],
  text: ['errors'],
  gpu: ['errors'],
  kernels: ['gpu', 'errors'],
  adapters: ['gpu', 'formats', 'slices', 'errors'],
  model: ['kernels', 'gpu', 'formats', 'slices', 'errors'],
  engine: ['model', 'adapters', 'kernels', 'gpu', 'formats', 'text', 'slices', 'errors'],
  openai: ['engine', 'text', 'errors'],
  // Node's GPU is no layer of its own: it shares the engine's types, its checks of options and the errors.
  node: ['engine', 'formats', 'errors'],
  rpc: ['openai', 'engine', 'formats', 'errors'],
  server: ['openai', 'engine', 'formats', 'text', 'errors', 'node', 'entry'],
  entry: ['rpc', 'openai', 'engine', 'model', 'adapters', 'formats', 'text', 'errors', 'node'],
};
/** Only this file of adapters/ knows the GPU. */
const ADAPTERS_TO_GPU = 'adapters/pool.ts';
/** Plain data that a model describes itself with; it imports nothing but a type. */
const SITE_TABLE = 'adapters/sites.ts';
const MOST_FILE_LINES = 300;
const MOST_FUNCTION_LINES = 60;
/** The forward pass reads best in one piece. */
const LONG_FILES = ['model/forward.ts'];

interface Module {
  readonly name: string;
  readonly lines: number;
  /** Specifiers of every import, re-export, dynamic import and import type. */
  readonly imports: readonly string[];
  /** Those that are left when types are erased. */
  readonly loads: readonly string[];
  /** Lines of their own: a function inside counts for itself, as a method does in a class. */
  readonly functions: readonly { readonly name: string; readonly lines: number }[];
}

const modules = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readModule(path.split('\\').join('/')));

function readModule(name: string): Module {
  const text = readFileSync(join(src, name), 'utf8');
  const { program, errors } = parseSync(name, text);
  if (errors.length > 0) throw new Error(`${name}: ${errors[0]?.message}`);
  const lineOf = lineIndex(text);
  const imports: string[] = [];
  const loads: string[] = [];
  const add = (node: { type: string; source?: unknown; importKind?: string; exportKind?: string }): void => {
    const source = node.source as { value?: unknown } | null | undefined;
    if (typeof source?.value !== 'string') return;
    imports.push(source.value);
    if (node.type !== 'TSImportType' && node.importKind !== 'type' && node.exportKind !== 'type') loads.push(source.value);
  };
  const functions: { name: string; lines: number }[] = [];
  const nested: number[] = [0];
  const enter = (): void => void nested.push(0);
  const leave = (node: { start: number; end: number }): void => {
    const lines = lineOf(node.end) - lineOf(node.start) + 1;
    functions.push({ name: `${name}:${lineOf(node.start)}`, lines: lines - (nested.pop() ?? 0) });
    if (lines > 1) nested.push((nested.pop() ?? 0) + lines);
  };
  new Visitor({
    ImportDeclaration: add,
    ExportNamedDeclaration: add,
    ExportAllDeclaration: add,
    ImportExpression: add,
    TSImportType: add,
    FunctionDeclaration: enter,
    'FunctionDeclaration:exit': leave,
    FunctionExpression: enter,
    'FunctionExpression:exit': leave,
    ArrowFunctionExpression: enter,
    'ArrowFunctionExpression:exit': leave,
  }).visit(program);
  return { name, lines: text.trimEnd().split('\n').length, imports, loads, functions };
}

function lineIndex(text: string): (offset: number) => number {
  const starts = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)];
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1;
}

/** Our own files that a module imports, as paths below src/; shaders and the like are left out. */
function ownImports(module: Module): string[] {
  return module.imports
    .filter((specifier) => specifier.startsWith('.') && specifier.endsWith('.ts'))
    .map((specifier) =>
      relative(src, resolve(src, dirname(module.name), specifier))
        .split('\\')
        .join('/'),
    );
}

function layerOf(name: string): string {
  if (name === 'errors.ts' || name === 'slices.ts') return name.slice(0, -'.ts'.length);
  const slash = name.indexOf('/');
  return slash < 0 ? 'entry' : name.slice(0, slash);
}

function mayImport(from: string, to: string): boolean {
  const layer = layerOf(from);
  if (layer === 'adapters' && layerOf(to) === 'gpu') return from === ADAPTERS_TO_GPU;
  if (layer === 'model' && to === SITE_TABLE) return true;
  return layer === layerOf(to) || (ALLOWED[layer] ?? []).includes(layerOf(to));
}

/** A path through `edges` that comes back to where it began, if there is one. */
function findCycle(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const walk = (name: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const next of edges.get(name) ?? []) {
      const cycle = walk(next, [...path, name]);
      if (cycle !== undefined) return cycle;
    }
    done.add(name);
    return undefined;
  };
  for (const name of edges.keys()) {
    const cycle = walk(name, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

describe('layers', () => {
  test('the source is found', () => {
    expect(modules.map((module) => module.name)).toContain('node/dawn.ts');
    expect(modules.flatMap(ownImports)).toContain('errors.ts');
  });

  test('imports go one way', () => {
    const wrong = modules.flatMap((module) =>
      ownImports(module)
        .filter((to) => !mayImport(module.name, to))
        .map((to) => `${module.name} → ${to}`),
    );
    expect(wrong).toEqual([]);
  });

  test('every folder has its place in the order', () => {
    expect([...new Set(modules.map((module) => layerOf(module.name)))].filter((layer) => !(layer in ALLOWED))).toEqual([]);
  });

  test('there is no cycle, type imports included', () => {
    const files = new Map(modules.map((module) => [module.name, ownImports(module)]));
    expect(findCycle(files)).toBeUndefined();
  });

  test('relative imports name their file', () => {
    const bare = modules.flatMap((module) =>
      module.imports
        .filter((specifier) => specifier.startsWith('.') && !/\.(ts|wgsl\?raw)$/.test(specifier))
        .map((to) => `${module.name} → ${to}`),
    );
    expect(bare).toEqual([]);
  });

  test('only Node’s own files load from node:', () => {
    const wrong = modules
      .filter((module) => module.name !== 'node.ts' && !/^(node|server)\//.test(module.name))
      .flatMap((module) => module.loads.filter((to) => to.startsWith('node:')).map((to) => `${module.name} → ${to}`));
    expect(wrong).toEqual([]);
  });

  test('only Node’s own files import webgpu', () => {
    const users = modules.filter((module) => module.imports.includes('webgpu')).map((module) => module.name);
    expect(users).toEqual(['node/dawn.ts']);
  });
});

describe('sizes', () => {
  test(`files have at most ${MOST_FILE_LINES} lines`, () => {
    const longest = modules.toSorted((a, b) => b.lines - a.lines).slice(0, 3);
    console.log(`longest files: ${longest.map((module) => `${module.name} ${module.lines}`).join(', ')}`);
    const wrong = modules.filter((module) => module.lines > MOST_FILE_LINES && !LONG_FILES.includes(module.name));
    expect(wrong.map((module) => `${module.name}: ${module.lines}`)).toEqual([]);
  });

  test(`functions have at most ${MOST_FUNCTION_LINES} lines`, () => {
    const all = modules.flatMap((module) => module.functions.map((each) => ({ ...each, file: module.name })));
    const longest = all.toSorted((a, b) => b.lines - a.lines);
    console.log(
      `longest functions: ${longest
        .slice(0, 3)
        .map((each) => `${each.name} ${each.lines}`)
        .join(', ')}`,
    );
    const wrong = longest.filter((each) => each.lines > MOST_FUNCTION_LINES && !LONG_FILES.includes(each.file));
    expect(wrong.map((each) => `${each.name}: ${each.lines}`)).toEqual([]);
  });
});

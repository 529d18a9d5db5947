import type { CoreEngine } from '../../src/engine/types.ts';
import { cancelCases } from './cancelling.ts';
import { openEngine } from './engine-bench.ts';
import { prefixCases } from './prefix-hits.ts';
import { queueCases } from './queueing.ts';
import { samplerCases } from './sampler-options.ts';
import type { Case, Environment } from './suite.ts';

/** What requests share, wait for, and leave behind. Most cases share an engine. */
export function servingCases(environment: Environment): Case[] {
  let opened: Promise<CoreEngine> | undefined;
  const engine = (): Promise<CoreEngine> => (opened ??= openEngine(environment));
  return [
    ...prefixCases(environment, engine),
    ...cancelCases(environment, engine),
    ...samplerCases(environment, engine),
    { name: 'closes', run: async () => (await engine()).close() },
    ...queueCases(environment),
  ];
}

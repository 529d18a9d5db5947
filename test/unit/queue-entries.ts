import { createWaitQueue } from '../../src/engine/queue.ts';
import type { Verdict, Waiting, WaitQueue } from '../../src/engine/queue.ts';
import type { Shares } from './queue-model.ts';

export const PATIENCE = 3000;
const weights: Readonly<Record<string, number>> = { heavy: 3, 'adapter 1': 2 };
export const shares: Shares = { patience: PATIENCE, weight: (name) => weights[name] ?? 1 };

export const makeQueue = ({ patience, weight }: Shares = shares): WaitQueue<Waiting> =>
  createWaitQueue({ tenantWeight: weight, flowWeight: weight, patience });

let lastId = 0;
/** A number that no entry has yet. */
export const nextId = (): number => (lastId += 1);

export const entry = (fields: Partial<Waiting> = {}): Waiting => ({
  id: nextId(),
  tenant: '',
  priority: 0,
  arrival: 0,
  flow: '',
  work: 100,
  ...fields,
});

export const admit = (): Verdict => 'admit';

export function filled(...entries: Waiting[]): WaitQueue<Waiting> {
  const queue = makeQueue();
  for (const one of entries) queue.add(one);
  return queue;
}

export function pickAll(queue: WaitQueue<Waiting>, now = 0): Waiting[] {
  const picked: Waiting[] = [];
  for (let next = queue.pick(now, admit); next !== undefined; next = queue.pick(now, admit)) picked.push(next);
  return picked;
}

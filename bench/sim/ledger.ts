import type { Move } from '../../src/adapters/lower-tiers.ts';
import type { Core } from '../../src/engine/core.ts';
import type { Turn } from '../../src/engine/scheduler.ts';
import { createSequence, type Sequence } from '../../src/engine/sequence.ts';
import type { Work } from '../../src/engine/step-budget.ts';
import type { Placed, Reading } from '../../src/engine/traffic.ts';
import type { Outcome, Run, Tiers } from './simulate.ts';
import type { Arrival } from './workload.ts';

/** Counts what moves between the tiers. */
export function createMoves() {
  const loads = { gpu: 0, heap: 0, disk: 0 };
  const evictions = { gpu: 0, heap: 0, disk: 0 };
  const reads = { disk: 0, origin: 0 };
  const written = new Set<string>();
  return {
    note: ({ tier, kind, content }: Move): void => {
      if (tier === 'gpu' && !written.delete(content)) return; // it was placed and displaced in one turn
      if (kind === 'load') loads[tier] += 1;
      if (kind === 'evict') evictions[tier] += 1;
    },
    /** What begins to move in a turn. */
    begin: (write: readonly Placed[], read: readonly Reading[]): void => {
      loads.gpu += write.length;
      for (const { content } of write) written.add(content);
      for (const { from } of read) reads[from] += 1;
    },
    result: ({ pages, lower }: Core): Tiers => {
      const tier = (name: 'gpu' | 'heap' | 'disk', bytes: number) => ({ loads: loads[name], evictions: evictions[name], bytes });
      return {
        gpu: tier('gpu', pages.counts().adapters),
        heap: tier('heap', lower.heap.bytes()),
        disk: tier('disk', lower.disk.bytes()),
        reads,
      };
    },
  };
}

/** Keeps the books of a run. */
export function createLedger({ scheduler, queue }: Core, { trace, deadlineMs, onStep }: Run) {
  const outcomes: Outcome[] = [];
  const uses: string[] = [];
  const isNew = new Set<Sequence>();
  let tokens = 0;
  const end = (sequence: Sequence, how: Outcome['end'], now: number): void => {
    scheduler.finish(sequence);
    isNew.delete(sequence);
    Object.assign(outcomes[sequence.id]!, { ended: now, end: how });
  };
  return {
    add: ({ prompt, answer, adapter, tenant }: Arrival, now: number): void => {
      const id = outcomes.length;
      const sequence = createSequence({
        id,
        prompt: [id, ...new Array<number>(prompt - 1).fill(0)], // no two prompts begin alike
        maxTokens: answer,
        parts: adapter === '' ? [] : [{ adapter, scale: 1 }],
        logits: 'sampled',
        arrival: now,
        tenant,
        deadline: deadlineMs === undefined ? undefined : now + deadlineMs,
      });
      outcomes.push({ arrival: now, firstToken: undefined, ended: undefined, end: undefined });
      isNew.add(sequence);
      scheduler.add(sequence);
    },
    note: ({ work, expired, unfit }: Turn, now: number): void => {
      for (const { sequence } of work) {
        if (isNew.delete(sequence)) for (const { adapter } of sequence.parts) uses.push(adapter);
      }
      for (const sequence of expired) end(sequence, 'expired', now);
      for (const sequence of unfit) end(sequence, 'unfit', now);
      onStep?.({ now, work, waiting: new Set(Array.from(queue.entries(), ({ tenant }) => tenant)) });
    },
    commit: (work: readonly Work[], now: number): void => {
      for (const item of work) {
        const { sequence } = item;
        if (sequence.phase === 'finished') continue;
        scheduler.commit(item, item.samples ? 0 : undefined);
        if (!item.samples) continue;
        tokens += 1;
        outcomes[sequence.id]!.firstToken ??= now;
        if (sequence.generated.length === sequence.maxTokens) end(sequence, 'finished', now);
      }
    },
    result: () => {
      const open = trace.length - outcomes.filter((outcome) => outcome.end !== undefined).length;
      if (open > 0) throw new Error(`The engine came to rest with ${open} of ${trace.length} requests open`);
      return { outcomes, tokens, uses, preemptions: scheduler.counts().preemptions };
    },
  };
}

import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { AdapterTiers } from './adapters.ts';
import type { Core } from './core.ts';
import type { CostEstimate, StepLoad } from './cost.ts';
import { ringDepth } from './depth.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import type { Request } from './request.ts';
import type { Sequence } from './sequence.ts';
import type { Work } from './step-budget.ts';
import { createStepItems } from './step-items.ts';
import type { Tally } from './tally.ts';

/** Runs steps while there is work: schedule, submit, and, a few steps later, commit. */
export interface Loop {
  /** Takes a new request; the next step may already have it. */
  add(request: Request): void;
  /** Ends a request now: its row and pages are free at once, because the queue orders later writes behind those in flight. */
  cancel(request: Request, error: unknown): void;
  /** Ends every open request with this error. */
  failAll(error: unknown): void;
  /** Something changed that may let a request run. */
  wake(): void;
  /** Adapters of open requests, running or waiting. */
  adaptersInUse(): ReadonlySet<string>;
  /** Open requests that do not run. */
  waiting(): number;
  /** Steps in flight at once. */
  depth(): number;
}

export interface LoopParts {
  readonly device: ServingDevice;
  readonly core: Core;
  readonly cost: CostEstimate;
  readonly tiers: AdapterTiers;
  readonly events: EventHub;
  readonly tally: Tally;
  /** The device cannot be brought back: nothing runs any more. */
  readonly onEnd: (error: unknown) => void;
}

interface Flight {
  readonly began: number;
  readonly work: readonly Work[];
  readonly load: StepLoad;
  readonly outputs: ReturnType<Model['submit']>;
}

/** Timers that are set for longer fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function createLoop({ device, core, cost, tiers, events, tally, onEnd }: LoopParts): Loop {
  const { scheduler, traffic } = core;
  const open = new Map<number, Request>();
  const items = createStepItems(() => device.model, tiers);
  /** Adapters that are on their way for requests. */
  const reads = new Map<string, AbortController>();
  let flights: Flight[] = [];
  let running = false;
  let over = false;
  let woken = false;
  let cameBack = 0;
  let alarm: ReturnType<typeof setTimeout> | undefined;

  const depth = (): number => ringDepth(device.readbackMs, tally.stepMs());
  const close = (request: Request, finish: string, end: (sequence: Sequence) => void): void => {
    const { id, generated } = request.sequence;
    events.request({ kind: 'end', request: id, adapter: request.adapterId, finish, tokens: generated.length });
    open.delete(id);
    end(request.sequence);
    for (const { adapter } of request.sequence.parts) {
      if (reads.has(adapter) && usersOf(adapter).length === 0) reads.get(adapter)!.abort();
    }
    tiers.sweep(adaptersInUse);
  };
  const fail = (request: Request, error: unknown): void => {
    if (!open.has(request.sequence.id)) return;
    const code = error instanceof WebLoraError ? error.code : 'cancelled';
    close(request, code, code === 'not_finite' ? scheduler.discard : scheduler.finish);
    request.stream.fail(error);
  };
  const failAll = (error: unknown): void => {
    clearTimeout(alarm);
    for (const request of [...open.values()]) fail(request, error);
  };
  const adaptersInUse = (): ReadonlySet<string> =>
    new Set([...open.values()].flatMap(({ sequence }) => sequence.parts.map(({ adapter }) => adapter)));

  const usersOf = (key: string): Request[] =>
    [...open.values()].filter(({ sequence }) => sequence.parts.some(({ adapter }) => adapter === key));
  /** Reads an adapter for the requests that wait for it, as long as there is one. */
  const readAdapter = async (key: string): Promise<void> => {
    const left = new AbortController();
    reads.set(key, left);
    try {
      await tiers.read(tiers.entry(key)!, left.signal);
    } catch (error) {
      traffic.failed(key);
      reads.delete(key); // before who ends asks who else waits for it
      if (!left.signal.aborted) for (const request of usersOf(key)) fail(request, error);
    }
    reads.delete(key);
    wake();
  };

  /** Moves adapters before a step: writes what goes to the GPU now, and begins reading, beside the steps, what is needed soon. */
  const moveAdapters = (now: number): void => {
    const { write, read } = traffic.turn(now);
    for (const { adapter, placement } of write) tiers.write(adapter, placement);
    for (const key of read) void readAdapter(key);
  };

  /** Schedules and submits one step; undefined where nobody can run now. */
  const launch = (): Flight | undefined => {
    for (;;) {
      const now = performance.now();
      moveAdapters(now);
      const { work, load, expired, unfit, preempted } = scheduler.schedule(now, depth());
      for (const { id, generated } of preempted) {
        events.request({ kind: 'preempt', request: id, adapter: open.get(id)!.adapterId, tokens: generated.length });
      }
      for (const { id } of expired) fail(open.get(id)!, tally.deadlineExceeded(now, open.get(id)!));
      for (const sequence of unfit) fail(open.get(sequence.id)!, neverFits(sequence, device.model));
      const live = work.filter(({ sequence }) => open.has(sequence.id));
      if (live.length === 0 && expired.length + unfit.length > 0) continue; // their places may let others in
      if (live.length === 0) return undefined;
      const outputs = device.model.submit(live.map((part) => items.of(part, open.get(part.sequence.id)!)));
      outputs.catch(() => undefined); // where a step before it fails, nobody else hears that this one did
      return { work: live, load, outputs, began: performance.now() };
    }
  };

  const commit = async ({ work, load, outputs, began }: Flight): Promise<void> => {
    const results = await outputs;
    device.worked();
    const now = performance.now();
    // a step that was submitted while another ran began when that one came back
    const isAlone = began > cameBack;
    const ms = Math.max(0, now - Math.max(cameBack, began) - (isAlone ? device.readbackMs : 0));
    cameBack = now;
    // a step whose time is not much more than its way back says little of what it costs
    if (!isAlone || now - began > 2 * device.readbackMs) cost.learn(load, ms);
    tally.step(work, ms);
    if (events.heard() === 'yes') events.step(ms, rowsByAdapter(work, open));
    for (const [i, part] of work.entries()) {
      const request = open.get(part.sequence.id);
      if (!request) continue; // cancelled or over: what its surplus rows computed is dropped
      try {
        const state = request.take(part.start, part.count, results[i]!, (token) => {
          scheduler.commit(part, token);
          if (token !== undefined) tally.token(now, request);
        });
        if (state !== 'open') close(request, state, scheduler.finish);
      } catch (error) {
        fail(request, error);
      }
    }
  };

  /** Everyone goes on from the tokens that came back, on a device built anew. */
  const recover = async (): Promise<void> => {
    flights = [];
    scheduler.reset();
    await device.rebuild();
    traffic.reset(); // only now: what callers had placed meanwhile went to the device that is gone
    cameBack = performance.now();
  };
  const steps = async (): Promise<void> => {
    for (;;) {
      if (device.gpu.failure()) throw device.gpu.failure()!;
      const flight = launch();
      if (flight) flights.push(flight);
      if (flights.length === 0) return;
      if (!flight || flights.length >= depth()) await commit(flights.shift()!);
    }
  };
  const run = async (): Promise<void> => {
    clearTimeout(alarm);
    tally.busy(performance.now());
    try {
      for (;;) {
        woken = false;
        try {
          await steps();
          if (!woken) break; // nobody came while this was on its way back from the last step
        } catch (error) {
          if (!(await device.isLost(error))) throw error;
          await recover();
        }
      }
      const next = scheduler.nextDeadline();
      if (next !== undefined) alarm = setTimeout(wake, Math.min(Math.max(1, next - performance.now()), LONGEST_TIMER_MS));
    } catch (error) {
      flights = [];
      over = true;
      onEnd(error);
      failAll(error);
    } finally {
      tally.idle(performance.now());
      running = false;
    }
  };
  const wake = (): void => {
    woken = true;
    if (running || over) return;
    running = true;
    void Promise.resolve().then(run);
  };
  device.onLost(wake);

  return {
    add: (request) => {
      const { sequence, adapterId, sampler } = request;
      open.set(sequence.id, request);
      events.request({ kind: 'begin', request: sequence.id, adapter: adapterId });
      tally.arrival(sequence.parts.length, sequence.parts.filter(({ adapter }) => core.cache.has(adapter)).length);
      const queue = (): void => {
        if (!open.has(sequence.id)) return;
        scheduler.add(sequence);
        wake();
      };
      if (sampler.adjusts === 'no') queue();
      else device.reserveAdjust().then(queue, (error: unknown) => fail(request, error));
    },
    cancel: (request, error) => {
      fail(request, error);
      wake(); // its pages may let another in
    },
    failAll,
    wake,
    adaptersInUse,
    waiting: () => open.size - scheduler.counts().running,
    depth,
  };
}

function rowsByAdapter(work: readonly Work[], open: ReadonlyMap<number, Request>): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const { sequence, count: more } of work) {
    const id = open.get(sequence.id)?.adapterId;
    if (id !== undefined) rows[id] = (rows[id] ?? 0) + more;
  }
  return rows;
}

function neverFits({ prompt, maxTokens, id }: Sequence, model: Model): WebLoraError {
  const tokens = `${prompt.length} prompt tokens and ${maxTokens} to generate`;
  const message = `Request ${id}, ${tokens}, does not fit beside its adapter in a pool of ${model.pool.pages} pages`;
  return new WebLoraError('out_of_memory', `${message}. Raise memory.pool (--pool-memory) or ask for fewer tokens.`);
}

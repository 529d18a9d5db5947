import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { AdapterEntry } from './adapter-entry.ts';
import type { AdapterTiers } from './adapter-tiers.ts';
import type { Core } from './core.ts';
import type { CostEstimate, StepLoad } from './cost.ts';
import { ringDepth } from './depth.ts';
import type { ServingDevice } from './device.ts';
import type { EventHub } from './events.ts';
import { neverFits } from './no-room.ts';
import type { Pace } from './pace.ts';
import type { Request } from './request.ts';
import type { Sequence } from './sequence.ts';
import type { Work } from './step-budget.ts';
import { nextTurn } from '../slices.ts';
import { createStepItems } from './step-items.ts';
import type { Tally } from './tally.ts';
import type { Reading } from './traffic.ts';

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
  /** Those of the requests that need a content end for which there is an error. */
  refuse(content: string, errorOf: (sequence: Sequence) => unknown): void;
  /** An adapter's bytes are others than those with which some of its requests began: these end. */
  changed(entry: AdapterEntry): void;
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
  readonly pace: Pace;
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

export function createLoop({ device, core, cost, tiers, events, tally, pace, onEnd }: LoopParts): Loop {
  const { scheduler, traffic, contents } = core;
  const open = new Map<number, Request>();
  const items = createStepItems(() => device.model, tiers);
  /** Adapters that are on their way for requests. */
  const reads = new Map<string, AbortController>();
  let flights: Flight[] = [];
  let running = false;
  let over = false;
  let woken = false;
  let uploads: ReturnType<AdapterTiers['upload']> = 'none';
  let cameBack = 0;
  let alarm: ReturnType<typeof setTimeout> | undefined;

  const depth = (): number => pace.depth(ringDepth(device.readbackMs, tally.stepMs()));
  const close = (request: Request, finish: string, end: (sequence: Sequence) => void): void => {
    const { id, generated } = request.sequence;
    events.request({ kind: 'end', request: id, adapter: request.adapterId, finish, tokens: generated.length });
    open.delete(id);
    end(request.sequence);
    for (const { adapter } of request.sequence.parts) {
      const content = contents.of(adapter);
      if (reads.has(content) && usersOf(content).length === 0) reads.get(content)!.abort();
    }
    tiers.sweep();
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

  const usersOf = (content: string): Request[] =>
    [...open.values()].filter(({ sequence }) => sequence.parts.some(({ adapter }) => contents.of(adapter) === content));
  /** Reads a content for the requests that wait for it, as long as there is one. */
  const readContent = async (content: string): Promise<void> => {
    const left = new AbortController();
    reads.set(content, left);
    const forget = (): void => {
      if (reads.get(content) !== left) return; // another read of it has begun
      reads.delete(content);
      traffic.failed(content);
    };
    try {
      await tiers.read(content, left.signal);
    } catch (error) {
      forget(); // before who ends asks who else waits for it
      if (!left.signal.aborted) for (const request of usersOf(content)) fail(request, error);
    }
    forget();
    wake();
  };

  /** Moves adapters before a step: writes what goes to the GPU now, and begins reading, beside the steps, what is needed soon. */
  const moveAdapters = (now: number): readonly Reading[] => {
    const { write, read } = traffic.turn(now);
    for (const { content, placement } of write) tiers.write(content, placement);
    uploads = tiers.upload(pace.uploadMs);
    for (const { content } of read) void readContent(content);
    return read;
  };

  /** Schedules and submits one step; undefined where nobody can run now. */
  const launch = (): Flight | undefined => {
    for (;;) {
      const now = pace.now();
      const read = moveAdapters(now);
      const { work, load, expired, unfit, preempted } = scheduler.schedule(now, depth());
      pace.decided(read, work.length > 0 ? load : undefined);
      for (const { id, generated } of preempted) {
        events.request({ kind: 'preempt', request: id, adapter: open.get(id)!.adapterId, tokens: generated.length });
      }
      for (const { id } of expired) fail(open.get(id)!, tally.deadlineExceeded(now, open.get(id)!));
      for (const sequence of unfit) fail(open.get(sequence.id)!, neverFits(sequence, device.model.pool.pages, traffic.pinned()));
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
    pace.returned();
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
          if (token !== undefined) tally.token(pace.now(), request);
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
    tiers.lost();
    cameBack = performance.now();
  };
  const steps = async (): Promise<void> => {
    for (;;) {
      if (device.gpu.failure()) throw device.gpu.failure()!;
      const held = pace.before();
      if (held) await held;
      const flight = launch();
      if (flight) flights.push(flight);
      if (flights.length === 0) {
        if (uploads === 'more') await nextTurn();
        else if (pace.idle() === 'rest' && uploads === 'none') return; // what was written leaves room for what is read next
        continue;
      }
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
      const next = Math.min(scheduler.nextDeadline() ?? Infinity, traffic.nextRead() ?? Infinity);
      if (next < Infinity) alarm = setTimeout(wake, Math.min(Math.max(1, next - pace.now()), LONGEST_TIMER_MS));
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
      for (const { adapter } of sequence.parts) tiers.meter.asked('gpu', traffic.residency(adapter) === 'resident' ? 'hit' : 'miss');
      const queue = (): void => {
        if (!open.has(sequence.id)) return;
        scheduler.add(sequence);
        wake();
      };
      if (sampler.adjusts === 'no') queue();
      else
        device
          .reserveAdjust()
          .then(queue)
          .catch((error: unknown) => fail(request, error));
    },
    cancel: (request, error) => {
      fail(request, error);
      wake(); // its pages may let another in
    },
    failAll,
    wake,
    refuse: (content, errorOf) => {
      for (const request of usersOf(content)) {
        const error = errorOf(request.sequence);
        if (error !== undefined) fail(request, error);
      }
    },
    changed: ({ id, key }) => {
      const begun = [...open.values()].filter(({ sequence }) => sequence.generated.length > 0);
      for (const request of begun) {
        if (request.sequence.parts.some(({ adapter }) => adapter === key)) fail(request, otherBytes(id));
      }
    },
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

function otherBytes(id: string): WebLoraError {
  const message = `"${id}" has changed at its origin, and the bytes with which this answer began are nowhere any more`;
  return new WebLoraError('adapter_changed', `${message}. Ask again; a store keeps what was read.`, { param: 'adapter' });
}

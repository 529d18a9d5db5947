import { WebLoraError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Part, StepItem } from '../model/plan.ts';
import type { AdapterTiers } from './adapters.ts';
import type { EventHub } from './events.ts';
import type { Request } from './request.ts';
import type { Blocked, Scheduler, Work } from './scheduler.ts';
import { shorten } from './sequence.ts';

/** Counters of what ran; all of them only grow. */
export interface LoopCounters {
  steps: number;
  promptRows: number;
  decodeRows: number;
  tokens: number;
  busyMs: number;
  maxBatch: { rows: number; sequences: number; adapters: number };
}

/** Runs steps while there is work: schedule, submit, and, a few steps later, commit. */
export interface Loop {
  /** Takes a new request; the next step may already have it. */
  add(request: Request): void;
  /** Ends a request now: its row and pages are free at once, because the queue orders later writes behind those in flight. */
  cancel(request: Request, error: unknown): void;
  /** Ends every open request with this error. */
  failAll(error: unknown): void;
  /** Adapters of open requests, running or waiting. */
  adaptersInUse(): ReadonlySet<string>;
  /** A copy, as of now. */
  counters(): Readonly<LoopCounters>;
}

interface Flight {
  readonly began: number;
  readonly work: readonly Work[];
  readonly outputs: ReturnType<Model['submit']>;
}

const NO_PARTS: readonly Part[] = [];

/** `depth`: steps in flight at once, so that the GPU never waits for JS to read a token back. */
export function createLoop(model: Model, scheduler: Scheduler, tiers: AdapterTiers, events: EventHub, depth: number): Loop {
  const open = new Map<number, Request>();
  const flights: Flight[] = [];
  const counters: LoopCounters = {
    steps: 0,
    promptRows: 0,
    decodeRows: 0,
    tokens: 0,
    busyMs: 0,
    maxBatch: { rows: 0, sequences: 0, adapters: 0 },
  };
  let running = false;
  let began = 0;

  const close = (request: Request, finish: string): void => {
    const { id, generated } = request.sequence;
    events.request({ kind: 'end', request: id, adapter: request.adapterId, finish, tokens: generated.length });
    open.delete(id);
    scheduler.finish(request.sequence);
    tiers.sweep(adaptersInUse());
  };
  const fail = (request: Request, error: unknown): void => {
    if (!open.has(request.sequence.id)) return;
    close(request, error instanceof WebLoraError ? error.code : 'cancelled');
    request.stream.fail(error);
  };
  const failAll = (error: unknown): void => {
    for (const request of [...open.values()]) fail(request, error);
  };
  const adaptersInUse = (): ReadonlySet<string> => {
    const keys = new Set<string>();
    for (const { sequence } of open.values()) if (sequence.adapter !== undefined) keys.add(sequence.adapter);
    return keys;
  };

  /** Brings waiting requests' adapters on their way to the GPU, beside the steps. */
  const fetchAdapters = (): void => {
    for (const key of scheduler.waitingAdapters()) {
      const entry = tiers.entry(key)!;
      if (tiers.isResident(key) || entry.bringing) continue;
      entry.bringing = bring(key)
        .catch((error: unknown) => {
          for (const request of [...open.values()]) if (request.sequence.adapter === key) fail(request, error);
        })
        .finally(() => {
          entry.bringing = undefined;
          wake(); // also where it found no room: whoever held it may have ended meanwhile
        });
    }
  };
  const bring = async (key: string): Promise<void> => {
    const entry = tiers.entry(key)!;
    await tiers.read(entry);
    await tiers.place(entry, () => neededBefore(key));
  };
  /** Adapters that may not make room for this one: those of running requests and of requests that wait further ahead. */
  const neededBefore = (key: string): ReadonlySet<string> => {
    const waiting = scheduler.waitingAdapters();
    return new Set([...scheduler.neededAdapters(), ...waiting.slice(0, waiting.indexOf(key))]);
  };

  /** Schedules and submits one step; undefined where nobody can run now. */
  const launch = (): Flight | undefined => {
    fetchAdapters();
    let work = scheduler.schedule(tiers, depth);
    while (work.length === 0) {
      const blocked = scheduler.blocked();
      if (!blocked) return undefined;
      if (!tiers.makeRoom(blocked, scheduler.neededAdapters())) {
        if (scheduler.counts().running > 0) return undefined; // their pages will be free in time
        const { sequence, missing } = blocked;
        if (!shorten(sequence, missing)) fail(open.get(sequence.id)!, neverFits(blocked, model));
      }
      work = scheduler.schedule(tiers, depth);
    }
    const items = work.map((part) => stepItem(part, open.get(part.sequence.id)!, tiers, model));
    count(counters, work);
    const outputs = model.submit(items);
    outputs.catch(() => undefined); // where a step before it fails, nobody else hears that this one did
    return { work, outputs, began: performance.now() };
  };

  const commit = async ({ work, outputs, began: submitted }: Flight): Promise<void> => {
    const results = await outputs;
    if (events.heard() === 'yes') events.step(performance.now() - submitted, rowsByAdapter(work, open));
    for (const [i, { sequence, start, count: rows }] of work.entries()) {
      const request = open.get(sequence.id);
      if (!request) continue; // cancelled or over: what its surplus rows computed is dropped
      try {
        const state = request.take(start, rows, results[i]!, (token) => scheduler.commit(sequence, token));
        if (results[i]!.token !== undefined) counters.tokens++;
        if (state !== 'open') close(request, state);
      } catch (error) {
        fail(request, error);
      }
    }
  };

  const run = async (): Promise<void> => {
    try {
      for (;;) {
        const flight = launch();
        if (flight) flights.push(flight);
        if (flights.length === 0) return;
        if (!flight || flights.length >= depth) await commit(flights.shift()!);
      }
    } catch (error) {
      flights.length = 0;
      failAll(error);
    } finally {
      counters.busyMs += performance.now() - began;
      running = false;
    }
  };
  const wake = (): void => {
    if (running) return;
    running = true;
    began = performance.now();
    void Promise.resolve().then(run);
  };

  return {
    add: (request) => {
      open.set(request.sequence.id, request);
      events.request({ kind: 'begin', request: request.sequence.id, adapter: request.adapterId });
      scheduler.add(request.sequence);
      wake();
    },
    cancel: (request, error) => {
      fail(request, error);
      wake(); // its pages may let another in
    },
    failAll,
    adaptersInUse,
    counters: () => ({
      ...counters,
      busyMs: counters.busyMs + (running ? performance.now() - began : 0),
      maxBatch: { ...counters.maxBatch },
    }),
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

function neverFits({ sequence, missing }: Blocked, model: Model): WebLoraError {
  const tokens = `${sequence.prompt.length} prompt tokens and ${sequence.maxTokens} to generate`;
  const message = `The request's ${tokens} lack ${missing} pages beside its adapter in a pool of ${model.pool.pages}`;
  return new WebLoraError('out_of_memory', `${message}. Raise memory.pool (--pool-memory) or ask for fewer tokens.`);
}

/** What the model is told of a piece of work; a sequence's first piece also tells the GPU its pages. */
function stepItem(work: Work, request: Request, tiers: AdapterTiers, model: Model): StepItem {
  const { sequence, start, count, kind, samples, logitRows } = work;
  const slot = sequence.row!;
  if (start === 0) model.setPages(slot, sequence.pages);
  return {
    slot,
    start,
    count,
    tokens: kind === 'prefill' ? sequence.prompt.slice(start, start + count) : undefined,
    parts: sequence.adapter === undefined ? NO_PARTS : [tiers.part(sequence.adapter)],
    logitRows,
    logits: request.logitsOf(kind, samples),
    sampler: samples ? request.sampler : undefined,
  };
}

function count(counters: LoopCounters, work: readonly Work[]): void {
  const adapters = new Set<string>();
  let rows = 0;
  for (const { kind, count: more, sequence } of work) {
    rows += more;
    if (kind === 'prefill') counters.promptRows += more;
    else counters.decodeRows += more;
    if (sequence.adapter !== undefined) adapters.add(sequence.adapter);
  }
  counters.steps++;
  const { maxBatch } = counters;
  maxBatch.rows = Math.max(maxBatch.rows, rows);
  maxBatch.sequences = Math.max(maxBatch.sequences, work.length);
  maxBatch.adapters = Math.max(maxBatch.adapters, adapters.size);
}

import { createSequence, type SequencePart, type SequenceRequest } from '../../src/engine/sequence.ts';
import { createModelRequest, VOCABULARY } from './core-device.ts';
import {
  checkAll,
  checkAnswers,
  checkEmpty,
  commitOldest,
  createHistory,
  endRequest,
  openOf,
  step,
  type History,
  type OpenRequest,
} from './core-history.ts';
import { check, createRandom } from './core-random.ts';
import type { Tally } from './core-settings.ts';

/** Texts that many prompts begin with. */
const DOCUMENTS = [1, 2, 3].map((seed) => {
  const random = createRandom(seed);
  return Array.from({ length: 100 }, () => random.below(VOCABULARY));
});

function promptOf({ random, limits, style }: History): number[] {
  const longest = style === 'crowded' ? 14 : limits.contextLength - 1;
  const document = style === 'alike' ? DOCUMENTS[0]! : random.pick(DOCUMENTS);
  const begin = random.chance(style === 'alike' ? 0.95 : 0.7) ? document.slice(0, random.pick([8, 16, 17, 32, 40, 64])) : [];
  const tail = Array.from({ length: random.below(random.chance(0.1) ? 60 : 6) }, () => random.below(VOCABULARY));
  const prompt = [...begin, ...tail].slice(0, longest);
  return prompt.length > 0 ? prompt : [random.below(VOCABULARY)];
}

function partsOf({ random, adapters, style }: History): SequencePart[] {
  if (random.chance(style === 'mixed' ? 0.4 : 0.7)) return [];
  const count = random.chance(0.25) ? random.between(2, 4) : 1;
  return Array.from({ length: count }, () => ({
    adapter: random.pick(adapters).key,
    scale: random.chance(0.8) ? 1 : random.pick([0.5, -2]),
  }));
}

function arrive(history: History): void {
  const { random, limits, style, core, requests, now, tally } = history;
  const prompt = promptOf(history);
  const room = limits.contextLength - prompt.length;
  const request: SequenceRequest = {
    id: requests.length,
    prompt,
    maxTokens: Math.min(room, random.between(1, style === 'crowded' ? 60 : 16)),
    length: random.chance(0.3) ? 'room' : 'asked',
    parts: partsOf(history),
    logits: random.chance(0.12) ? 'prompt' : 'sampled',
    arrival: now,
    tenant: random.pick(['', '', 'b', 'cc']),
    priority: random.chance(0.3) ? random.between(-1, 2) : 0,
    deadline: random.chance(0.12) ? now + random.below(3000) : undefined,
    cacheSalt: random.chance(0.1) ? 'salt' : '',
    slots: random.chance(0.2) ? 'adjusted' : 'any',
  };
  const sequence = createSequence(request);
  const endToken = random.chance(0.3) ? random.below(VOCABULARY) : undefined;
  const model = createModelRequest(sequence, random.chance(0.7) ? 0 : random.below(50), endToken);
  requests.push({ ...model, committed: [], admitted: 0, end: undefined, isPoisoned: false, mayBePoisoned: false });
  core.scheduler.add(sequence);
  tally.requests += 1;
  checkAll(history);
}

/** The reads that began some turns ago arrive, or fail for everyone who waits for them. */
function receive(history: History): void {
  const { random, reads, known, adapters, core } = history;
  for (const [key, turns] of reads) {
    reads.set(key, turns - 1);
    if (turns > 0) continue;
    reads.delete(key);
    if (random.chance(0.9)) {
      const { digest, pages } = adapters.find((each) => each.key === key)!;
      core.traffic.arrived(key, { digest, pages });
      known.add(key);
      continue;
    }
    core.traffic.failed(key);
    for (const request of openOf(history)) if (needs(request, key)) endRequest(history, request, 'failed');
  }
}

const needs = ({ sequence }: OpenRequest, key: string): boolean => sequence.parts.some(({ adapter }) => adapter === key);

/** What a caller may do to an adapter by hand. */
function handle(history: History): void {
  const { random, adapters, core, reads, known, device, tally } = history;
  const what = random.pick(['place', 'pin', 'unpin', 'evict', 'forget'] as const);
  const absent = adapters.filter((each) => known.has(each.key) && !core.cache.has(each.key));
  const adapter = random.pick(what === 'place' && absent.length > 0 ? absent : adapters);
  const { key } = adapter;
  if (what === 'place' && known.has(key)) {
    const was = core.cache.get(key);
    const placement = core.traffic.place(key);
    check(was === undefined || placement === was, 'placed again');
    if (placement && !was) {
      device.writeAdapter(adapter, placement);
      tally.handPlaced += 1;
    }
  }
  if (what === 'pin' && core.cache.has(key)) core.cache.pin(key);
  if (what === 'unpin') core.cache.unpin(key);
  if (what === 'evict' && core.cache.has(key) && !core.inUse(key)) core.traffic.evict(key);
  if (what === 'forget' && !core.inUse(key)) {
    core.traffic.forget(key);
    core.cache.unpin(key);
    reads.delete(key);
    known.delete(key);
    if (random.chance(0.5)) adapter.digest = `digest ${random.below(20)}`;
  }
  checkAll(history);
}

/** The device is lost: what was submitted never comes back, everyone goes on from what did. */
function reset(history: History): void {
  const { core, device, requests, flights, tally } = history;
  flights.length = 0;
  core.scheduler.reset();
  core.traffic.reset();
  device.lose();
  for (const request of requests) {
    request.text = [...request.sequence.prompt, ...request.sequence.generated];
    request.hashes.length = Math.min(request.hashes.length, request.text.length);
    Object.assign(request, { isDone: false, isPoisoned: false, mayBePoisoned: false });
  }
  const { kv, adapters } = core.pages.counts();
  check(kv + adapters === 0 && core.scheduler.counts().running === 0, 'something outlived the device');
  tally.resets += 1;
  checkAll(history);
}

/** What befalls the engine between two steps of a history's first part. */
function disturb(history: History, rates: Readonly<Record<'arrive' | 'cancel' | 'handle' | 'reset', number>>): void {
  const { random, cost } = history;
  while (random.chance(rates.arrive)) arrive(history);
  const open = openOf(history);
  if (open.length > 0 && random.chance(rates.cancel)) endRequest(history, random.pick(open), 'cancelled');
  if (random.chance(rates.handle)) handle(history);
  if (random.chance(rates.reset)) reset(history);
  if (random.chance(0.03)) cost.jump();
  if (random.chance(0.02)) history.now += random.below(4000);
}

/** Runs one history to its end and checks everything on the way; returns a hash of all decisions. */
export function runHistory(seed: number, tally: Tally): number {
  const history = createHistory(seed, tally);
  const { random, flights } = history;
  const rate = (most: number): number => (random.below(4) * most) / 3;
  const rates = { arrive: 0.2 + rate(0.4), cancel: rate(0.12), handle: rate(0.3), reset: rate(0.08) };
  const rounds = random.between(4, 16);
  arrive(history);
  for (let round = 0; round < rounds || openOf(history).length > 0; round++) {
    check(round < 20_000, 'a history without end');
    receive(history);
    if (round < rounds) disturb(history, rates);
    const depth = random.between(1, 8);
    const { work } = step(history, depth);
    while (flights.length > (work.length > 0 ? random.below(depth) : 0)) commitOldest(history);
    history.now += random.below(80);
  }
  while (flights.length > 0) commitOldest(history);
  checkAnswers(history);
  checkEmpty(history);
  return history.log;
}

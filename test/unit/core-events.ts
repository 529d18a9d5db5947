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
import { dropUploads } from './core-tiers.ts';

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

function partsOf({ random, tiers, style }: History): SequencePart[] {
  if (random.chance(style === 'mixed' ? 0.4 : 0.7)) return [];
  const count = random.chance(0.25) ? random.between(2, 4) : 1;
  return Array.from({ length: count }, () => ({
    adapter: random.pick(tiers.adapters).key,
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
  const { random, tiers, core } = history;
  for (const [content, read] of tiers.reads) {
    read.turns -= 1;
    if (read.turns >= 0) continue;
    tiers.reads.delete(content);
    const [name] = core.contents.names(content);
    const adapter = tiers.adapters.find(({ key }) => key === name);
    if (!adapter) core.traffic.failed(content); // nobody asks for it any more
    else if (random.chance(0.9)) arrived(history, adapter.key, read.from === 'disk' ? content : adapter.digest, read.from);
    else {
      core.traffic.failed(content);
      for (const request of openOf(history)) if (contentsOf(history, request).includes(content)) endRequest(history, request, 'failed');
    }
  }
}

/** An adapter's bytes are in memory, and may be others than before: who began with those cannot go on. */
function arrived(history: History, key: string, digest: string, from: 'disk' | 'origin'): void {
  const { core, tiers, tally, random } = history;
  const before = tiers.standsFor.get(key);
  for (const content of [key, before ?? key, digest]) tiers.reads.delete(content); // these reads were for the same bytes, or for old ones
  core.traffic.arrived(key, tiers.facts(digest), from, random.chance(0.1) ? 'copy' : undefined);
  if (before !== undefined && before !== digest) {
    tally.changed += 1;
    for (const request of openOf(history)) {
      if (request.sequence.admissions > 0 && needs(request, key)) endRequest(history, request, 'failed');
    }
  }
  tiers.standsFor.set(key, digest);
}

const needs = ({ sequence }: OpenRequest, key: string): boolean => sequence.parts.some(({ adapter }) => adapter === key);

const contentsOf = ({ core }: History, { sequence }: OpenRequest): readonly string[] =>
  sequence.parts.map(({ adapter }) => core.contents.of(adapter));

/** What a caller may do to an adapter by hand, and what may happen at its origin. */
function handle(history: History): void {
  const { random, core, tiers, tally } = history;
  const { cache, contents, traffic, lower } = core;
  const what = random.pick(['place', 'pin', 'unpin', 'evict', 'forget', 'change', 'change'] as const);
  const absent = tiers.adapters.filter(({ key }) => lower.heap.has(contents.of(key)) && !cache.has(contents.of(key)));
  const adapter = random.pick(what === 'place' && absent.length > 0 ? absent : tiers.adapters);
  const { key } = adapter;
  const content = contents.of(key);
  tiers.asker = 'caller';
  if (what === 'place' && lower.heap.has(content)) {
    const was = cache.get(content);
    const placement = traffic.place(content);
    check(was === undefined || placement === was, 'placed again');
    if (placement && !was) {
      tiers.uploads.set(content, { turns: random.below(3), placement });
      tally.handPlaced += 1;
    }
  }
  if (what === 'pin' && cache.has(content)) cache.pin(content);
  if (what === 'unpin') cache.unpin(content);
  if (what === 'evict' && cache.has(content) && !core.inUse(content)) traffic.evict(content);
  if (what === 'forget' && !openOf(history).some((request) => request.sequence.phase === 'running' && needs(request, key))) {
    traffic.forget(key);
    tiers.standsFor.delete(key);
    if ([...contents.names(content)].includes(content)) {
      tiers.reads.delete(content);
      cache.unpin(content);
    }
  }
  if (what === 'change' || (what === 'forget' && random.chance(0.5))) adapter.digest = `digest ${random.below(20)}`;
  tiers.asker = 'core';
  dropUploads(core, tiers);
  checkAll(history);
}

/** The device is lost: what was submitted never comes back, everyone goes on from what did. */
function reset(history: History): void {
  const { core, device, tiers, requests, flights, tally } = history;
  flights.length = 0;
  tiers.uploads.clear();
  core.scheduler.reset();
  tiers.asker = 'caller';
  core.traffic.reset();
  tiers.asker = 'core';
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

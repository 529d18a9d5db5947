import { createLogUpdate } from 'log-update';
import type { CoreEngine } from '../engine/types.ts';
import type { ChatArguments } from './cli-arguments.ts';
import { say, writeText } from './cli-host.ts';
import type { Host } from './cli-host.ts';
import { liveFrame, painter, plainAnswer, summaryLine, wholeAnswers } from './cli-render.ts';
import type { Voice } from './cli-render.ts';
import { startEngine } from './cli-start.ts';
import { sayStats } from './cli-stats.ts';

/** Milliseconds between two frames. */
const FRAME = 40;

/** An answer that is on its way. */
interface Listener {
  readonly voice: Voice;
  /** Tokens generated; rejects with the request's error. */
  readonly ended: Promise<number>;
}

/**
 * `weblora chat`: one message to the base model and every adapter, at once. Returns the exit code: 1 where an answer failed.
 * Throws what starting the engine throws, and the signal's reason where the user interrupts.
 */
export async function runChat(args: ChatArguments, host: Host): Promise<number> {
  const engine = await startEngine(args, host);
  try {
    const start = performance.now();
    const draw = { frame: (): void => undefined };
    const listeners = listenToAll(engine, args, host.signal, () => draw.frame());
    const show = host.stdout.isTTY === true && host.terminal === 'cursor' ? showLive(listeners, host, draw) : showPlain(listeners, host);
    await show;
    const outcomes = await Promise.allSettled(listeners.map((listener) => listener.ended));
    host.signal.throwIfAborted();
    const seconds = (performance.now() - start) / 1000;
    const tokens = outcomes.reduce((sum, outcome) => sum + (outcome.status === 'fulfilled' ? outcome.value : 0), 0);
    const stats = await engine.stats();
    const { sequences, adapters } = stats.maxBatch;
    await writeText(host.stdout, `${summaryLine({ tokens, seconds, batch: sequences, adapters })}\n`);
    sayStats(stats, args, host);
    return reportFailures(listeners, outcomes, host);
  } finally {
    await engine.close();
  }
}

function listenToAll(engine: CoreEngine, args: ChatArguments, signal: AbortSignal, changed: () => void): readonly Listener[] {
  const [base = args.model] = args.baseNames;
  const models = [{ name: base }, ...args.modules.map(({ name }) => ({ name, adapter: name }))];
  return models.map(({ name, ...model }) => {
    const voice: Voice = { name, text: '', state: 'waiting' };
    const ended = listen(engine, args, { ...model, signal }, voice, changed);
    // It is awaited in turn: until then a failure is nobody's.
    ended.catch(() => undefined);
    return { voice, ended };
  });
}

async function listen(
  engine: CoreEngine,
  args: ChatArguments,
  options: { readonly adapter?: string; readonly signal: AbortSignal },
  voice: Voice,
  changed: () => void,
): Promise<number> {
  let tokens = 0;
  try {
    const generation = engine.generate([{ role: 'user', content: args.message }], {
      ...options,
      ...args.options,
    });
    for await (const chunk of generation) {
      voice.text += chunk.text;
      voice.state = 'writing';
      tokens += chunk.tokens.length;
      changed();
    }
    return tokens;
  } finally {
    voice.state = 'ended';
    changed();
  }
}

/** Whole answers in the order of the models, each as soon as it and those before it are there. */
async function showPlain(listeners: readonly Listener[], host: Host): Promise<void> {
  for (const { voice, ended } of listeners) {
    const [outcome] = await Promise.allSettled([ended]);
    host.signal.throwIfAborted();
    if (outcome.status === 'fulfilled') await writeText(host.stdout, plainAnswer(voice.name, voice.text));
  }
}

/** All answers while they grow; when they have ended, in full. */
async function showLive(listeners: readonly Listener[], host: Host, draw: { frame: () => void }): Promise<void> {
  const voices = listeners.map((listener) => listener.voice);
  const { stdout } = host;
  const paint = painter(stdout.hasColors?.() === true ? 'colours' : 'plain');
  const screen = createLogUpdate(stdout);
  let drawn = Number.NEGATIVE_INFINITY;
  draw.frame = () => {
    const now = performance.now();
    if (now - drawn < FRAME) return;
    drawn = now;
    screen(liveFrame(voices, { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 }, paint));
  };
  try {
    await Promise.allSettled(listeners.map((listener) => listener.ended));
    host.signal.throwIfAborted();
    screen.clear();
  } finally {
    draw.frame = () => undefined;
    screen.done();
  }
  await writeText(stdout, wholeAnswers(voices, stdout.columns ?? 80, paint));
}

function reportFailures(listeners: readonly Listener[], outcomes: readonly PromiseSettledResult<number>[], host: Host): number {
  const failures = new Map<string, string[]>();
  outcomes.forEach((outcome, index) => {
    if (outcome.status === 'fulfilled') return;
    const reason: unknown = outcome.reason;
    const message = reason instanceof Error ? reason.message : String(reason);
    const names = failures.get(message) ?? [];
    failures.set(message, [...names, listeners[index]?.voice.name ?? '']);
  });
  for (const [message, names] of failures) say(host, `weblora: no answer of ${names.join(', ')}: ${message}`);
  return failures.size === 0 ? 0 : 1;
}

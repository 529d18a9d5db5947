import { GGUF_SUBJECTS, type GgufName, type GgufSubject } from './gguf-subject.ts';
import { openOursGguf, type OursGguf } from './ours-gguf.ts';
import { openOurs, type Ours } from './ours.ts';
import type { Counts, Setting, Subject, SubjectName } from './subject.ts';
import { openTransformers } from './transformers.ts';
import { openWllama } from './wllama.ts';

/** What a page offers to the process that opened it. */
export interface PeerPage {
  /** Milliseconds from nothing to a subject that can be asked. */
  open(name: SubjectName, setting: Setting): Promise<number>;
  /** Throws `Error` before `open`. */
  subject(): Subject & Partial<Ours>;
  /** The same for the subjects that read a GGUF. */
  openGguf(name: GgufName, setting: Setting): Promise<number>;
  /** Throws `Error` before `openGguf`. */
  ggufSubject(): GgufSubject & Partial<OursGguf>;
  /** What its GPU does for each token of an answer after the first. */
  count(prompt: readonly number[], tokens: number): Promise<Counts>;
}

let opened: Subject | undefined;
let openedGguf: GgufSubject | undefined;

const page: PeerPage = {
  open: async (name, setting) => {
    const began = performance.now();
    opened = await (name === 'ours' ? openOurs() : openTransformers(name, setting));
    return performance.now() - began;
  },
  subject: () => {
    if (!opened) throw new Error('The page has opened nobody');
    return opened;
  },
  openGguf: async (name, setting) => {
    const began = performance.now();
    openedGguf = await (name === GGUF_SUBJECTS[0] ? openOursGguf() : openWllama(name, setting));
    return performance.now() - began;
  },
  ggufSubject: () => {
    if (!openedGguf) throw new Error('The page has opened nobody');
    return openedGguf;
  },
  count: async (prompt, tokens) => {
    await page.subject().answer(prompt, tokens); // what is done once is done
    const one = await counted(() => page.subject().answer(prompt, 1));
    const all = await counted(() => page.subject().answer(prompt, tokens));
    const perToken = (of: (counts: Counts) => number): number => (of(all) - of(one)) / (tokens - 1);
    return { dispatches: perToken((counts) => counts.dispatches), submits: perToken((counts) => counts.submits) };
  },
};
Object.assign(globalThis, { page });

/** Calls on the GPU while something runs; what is timed runs without. */
async function counted(run: () => Promise<unknown>): Promise<Counts> {
  const passes = GPUComputePassEncoder.prototype;
  const queues = GPUQueue.prototype;
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = passes;
  const { submit } = queues;
  let dispatches = 0;
  let submits = 0;
  passes.dispatchWorkgroups = function (...args) {
    dispatches++;
    dispatchWorkgroups.apply(this, args);
  };
  passes.dispatchWorkgroupsIndirect = function (...args) {
    dispatches++;
    dispatchWorkgroupsIndirect.apply(this, args);
  };
  queues.submit = function (...args) {
    submits++;
    submit.apply(this, args);
  };
  try {
    await run();
    return { dispatches, submits };
  } finally {
    Object.assign(passes, { dispatchWorkgroups, dispatchWorkgroupsIndirect });
    Object.assign(queues, { submit });
  }
}

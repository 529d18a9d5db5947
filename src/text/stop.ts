/** What may be shown after a push: `text` is safe, `stop` is the stop string that ended the answer. */
export interface StopMatch {
  /** Text that cannot be part of a stop string, or that comes before the one that was found. */
  readonly text: string;
  /** The stop string found; from then on no more text comes. */
  readonly stop: string | undefined;
}

export interface StopMatcher {
  /** Takes the next piece of an answer, of any length. */
  push(text: string): StopMatch;
  /** Ends the answer: gives what was held back, or the stop string that was waiting for an earlier one to complete. */
  flush(): StopMatch;
}

interface Node {
  readonly next: Map<number, Node>;
  readonly depth: number;
  /** The node of the longest proper suffix of this node's text. */
  fail: Node | undefined;
  /** Length of the longest stop string that ends here, 0 for none. */
  ends: number;
}

/**
 * Finds stop strings in an answer that comes in pieces. The match that begins first in the text wins; of those that begin at the same
 * place, the shortest. How the text is cut into pieces makes no difference. Each character costs amortised constant time
 * (Aho-Corasick), and no more than the longest stop string is held back, plus what an earlier match still needs to be decided.
 *
 * @param stops The stop strings; none is allowed.
 * @throws RangeError for an empty stop string.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  const root = buildAutomaton(stops);
  let state = root;
  let held = '';
  // Positions count UTF-16 units from the start of `held`.
  let match: { readonly start: number; readonly end: number } | undefined;
  let stopped: string | undefined;

  const finish = (found: { readonly start: number; readonly end: number }): StopMatch => {
    stopped = held.slice(found.start, found.end);
    const text = held.slice(0, found.start);
    held = '';
    return { text, stop: stopped };
  };

  return {
    push(text) {
      if (stopped !== undefined) return { text: '', stop: stopped };
      let position = held.length;
      held += text;
      for (; position < held.length; position++) {
        state = step(state, held.charCodeAt(position));
        const end = position + 1;
        const start = end - state.ends;
        if (state.ends > 0 && (match === undefined || start < match.start)) match = { start, end };
        // The state is the longest live beginning: once it begins no earlier than the match, nothing can.
        if (match !== undefined && end - state.depth >= match.start) return finish(match);
      }
      const safe = held.length - state.depth;
      const shown = held.slice(0, safe);
      held = held.slice(safe);
      if (match !== undefined) match = { start: match.start - safe, end: match.end - safe };
      return { text: shown, stop: undefined };
    },
    flush() {
      if (stopped !== undefined) return { text: '', stop: stopped };
      if (match !== undefined) return finish(match);
      const text = held;
      held = '';
      state = root;
      return { text, stop: undefined };
    },
  };
}

function step(from: Node, unit: number): Node {
  let node: Node = from;
  for (;;) {
    const next = node.next.get(unit);
    if (next !== undefined) return next;
    if (node.fail === undefined) return node;
    node = node.fail;
  }
}

function buildAutomaton(stops: readonly string[]): Node {
  const root: Node = { next: new Map(), depth: 0, fail: undefined, ends: 0 };
  for (const stop of stops) {
    if (stop === '') throw new RangeError('a stop string is empty: it would end every answer before it begins');
    let node = root;
    for (let i = 0; i < stop.length; i++) {
      const unit = stop.charCodeAt(i);
      let next = node.next.get(unit);
      if (next === undefined) node.next.set(unit, (next = { next: new Map(), depth: i + 1, fail: undefined, ends: 0 }));
      node = next;
    }
    node.ends = stop.length;
  }
  // Breadth first: a node's suffix is shorter, so its own links are already set.
  const queue = [root];
  for (const node of queue) {
    for (const [unit, next] of node.next) {
      next.fail = node.fail === undefined ? root : step(node.fail, unit);
      if (next.ends === 0) next.ends = next.fail.ends;
      queue.push(next);
    }
  }
  return root;
}

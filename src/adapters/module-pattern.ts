/** Tells whether the name of a module (`model.layers.0.self_attn.q_proj`) matches. */
export type ModulePattern = (name: string) => boolean;

/** One step of a match: a test of the next character, an anchor, or two ways on. Targets are indices of states. */
type State =
  | { readonly kind: 'character'; readonly test: (character: string) => boolean; next: number }
  | { readonly kind: 'start' | 'end'; next: number }
  | { readonly kind: 'split'; next: number; other: number }
  | { readonly kind: 'accept' };

/** A piece of the automaton under construction: its first state, and the links that lead out of it. */
interface Piece {
  readonly first: number;
  readonly out: readonly ((target: number) => void)[];
}

const CLASSES: Readonly<Record<string, RegExp>> = { d: /^[0-9]$/, w: /^[A-Za-z0-9_]$/, D: /^[^0-9]$/, W: /^[^A-Za-z0-9_]$/ };

class PatternParser {
  readonly states: State[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The whole pattern; undefined where it leaves the subset. */
  parse(): Piece | undefined {
    const piece = this.#alternatives();
    return this.#at === this.#text.length ? piece : undefined;
  }

  #add(state: State): number {
    return this.states.push(state) - 1;
  }

  #join(first: Piece, second: Piece): Piece {
    for (const link of first.out) link(second.first);
    return { first: first.first, out: second.out };
  }

  #split(next: number): { readonly state: number; readonly link: (target: number) => void } {
    const state: State = { kind: 'split', next, other: -1 };
    return { state: this.#add(state), link: (target) => (state.other = target) };
  }

  #alternatives(): Piece | undefined {
    let piece = this.#sequence();
    while (piece && this.#text[this.#at] === '|') {
      this.#at++;
      const right = this.#sequence();
      if (!right) return undefined;
      const { state, link } = this.#split(piece.first);
      link(right.first);
      piece = { first: state, out: [...piece.out, ...right.out] };
    }
    return piece;
  }

  #sequence(): Piece | undefined {
    let piece: Piece | undefined;
    while (this.#at < this.#text.length && this.#text[this.#at] !== '|' && this.#text[this.#at] !== ')') {
      const next = this.#repeated();
      if (!next) return undefined;
      piece = piece ? this.#join(piece, next) : next;
    }
    return piece; // an empty alternative is outside of the subset
  }

  #repeated(): Piece | undefined {
    const isAnchor = this.#text[this.#at] === '^' || this.#text[this.#at] === '$';
    const piece = this.#atom();
    const quantifier = this.#text[this.#at];
    if (!piece || (quantifier !== '*' && quantifier !== '+' && quantifier !== '?')) return piece;
    this.#at++;
    const follow = this.#text[this.#at];
    if (follow === '?') this.#at++; // lazy: the same names match
    else if (follow === '*' || follow === '+') return undefined;
    if (isAnchor) return undefined;
    const { state, link } = this.#split(piece.first);
    if (quantifier === '?') return { first: state, out: [...piece.out, link] };
    for (const back of piece.out) back(state);
    return { first: quantifier === '*' ? state : piece.first, out: [link] };
  }

  #character(test: (character: string) => boolean): Piece {
    const state: State = { kind: 'character', test, next: -1 };
    return { first: this.#add(state), out: [(target) => (state.next = target)] };
  }

  #anchor(kind: 'start' | 'end'): Piece {
    const state: State = { kind, next: -1 };
    return { first: this.#add(state), out: [(target) => (state.next = target)] };
  }

  #atom(): Piece | undefined {
    const character = this.#text[this.#at++]!;
    if (character === '(') return this.#group();
    if (character === '[') return this.#set();
    if (character === '^') return this.#anchor('start');
    if (character === '$') return this.#anchor('end');
    if (character === '.') return this.#character((other) => other !== '\n');
    if (character === '\\') return this.#escape();
    if ('*+?{}]'.includes(character)) return undefined;
    return this.#character((other) => other === character);
  }

  #group(): Piece | undefined {
    if (this.#text.startsWith('?:', this.#at)) this.#at += 2;
    else if (this.#text[this.#at] === '?') return undefined;
    const piece = this.#alternatives();
    return piece && this.#text[this.#at++] === ')' ? piece : undefined;
  }

  #escape(): Piece | undefined {
    const character = this.#text[this.#at++];
    if (character === undefined) return undefined;
    const set = CLASSES[character];
    if (set) return this.#character((other) => set.test(other));
    return /[A-Za-z0-9]/.test(character) ? undefined : this.#character((other) => other === character);
  }

  /** `[a-z_]`: letters, digits, `_`, `.`, ranges of them and `\d`; anything else has meanings of its own in Python. */
  #set(): Piece | undefined {
    const match = /^(\^?)((?:[A-Za-z0-9](?:-[A-Za-z0-9])?|[_.]|\\[d.])+)\]/.exec(this.#text.slice(this.#at, this.#at + 200));
    if (!match) return undefined;
    const [whole, negation, body] = match;
    if ([...body!.matchAll(/([A-Za-z0-9])-([A-Za-z0-9])/g)].some(([, from, to]) => from! > to!)) return undefined;
    this.#at += whole.length;
    const set = new RegExp(`^[${negation}${body}]$`);
    return this.#character((other) => set.test(other));
  }
}

/** Adds a state and all that it reaches without reading a character. */
function reach(states: readonly State[], from: number, position: 'first' | 'inside' | 'last' | 'only', into: Set<number>): void {
  const pending = [from];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (into.has(at)) continue;
    into.add(at);
    const state = states[at]!;
    if (state.kind === 'split') pending.push(state.next, state.other);
    if (state.kind === 'start' && (position === 'first' || position === 'only')) pending.push(state.next);
    if (state.kind === 'end' && (position === 'last' || position === 'only')) pending.push(state.next);
  }
}

/** All states at once, a character at a time: time is the product of the two lengths, whatever the pattern. */
function run(states: readonly State[], first: number, accept: number, name: string): boolean {
  const position = (at: number): 'first' | 'inside' | 'last' | 'only' =>
    name.length === 0 ? 'only' : at === 0 ? 'first' : at === name.length ? 'last' : 'inside';
  let current = new Set<number>();
  reach(states, first, position(0), current);
  for (let at = 0; at < name.length && current.size > 0; at++) {
    const next = new Set<number>();
    for (const index of current) {
      const state = states[index]!;
      if (state.kind === 'character' && state.test(name[at]!)) reach(states, state.next, position(at + 1), next);
    }
    current = next;
  }
  return current.has(accept);
}

/** A pattern without operators but `.` (any character): compared with the end of the name, where the start of a part must be. */
function literal(pattern: string): ModulePattern {
  return (name) => {
    const start = name.length - pattern.length;
    if (start < 0 || (start > 0 && name[start - 1] !== '.')) return false;
    for (let i = pattern.length - 1; i >= 0; i--) {
      if (pattern[i] !== '.' && pattern[i] !== name[start + i]) return false;
    }
    return true;
  };
}

/** True for a pattern that is compared without an automaton. */
export function isLiteralPattern(pattern: string): boolean {
  return /^[\w.-]+$/.test(pattern);
}

/**
 * A key of PEFT's `rank_pattern` or `alpha_pattern`: a regular expression that must match a module's name from the start of one of its
 * dotted parts to its end, as Python's `re.match(rf"(.*\.)?({key})$", name)` does.
 *
 * Adapters come from strangers, so matching never backtracks; and only what means the same here and in Python is taken: characters,
 * `.`, `\.` and other escaped punctuation, `\d \w \D \W`, sets of letters and digits as `[0-9_]`, groups `(a|b)` and `(?:a|b)`,
 * `* + ?` (lazy too), `^` and `$`. Returns undefined for any other pattern (`{m,n}`, look-around, back references, flags, `\b` …).
 */
export function modulePattern(pattern: string): ModulePattern | undefined {
  if (isLiteralPattern(pattern)) return literal(pattern);
  const parser = new PatternParser(`(.*\\.)?(${pattern})`);
  // The key alone must be whole: `a)|(b` would take the brackets around it apart.
  if (!new PatternParser(pattern).parse()) return undefined;
  const piece = parser.parse();
  if (!piece) return undefined;
  const accept = parser.states.push({ kind: 'accept' }) - 1;
  for (const link of piece.out) link(accept);
  return (name) => run(parser.states, piece.first, accept, name);
}

import { median, ratios } from '../pairs.ts';
import type { Row } from '../report.ts';
import { ANSWER, type GgufFound, type GgufRound, type GgufTimes } from './gguf-rounds.ts';
import { GGUF_SUBJECTS, type GgufName, type GgufPeer } from './gguf-subject.ts';

const MEASURES = [
  ['first', 'first token'],
  ['rest', 'decode'],
  ['prefill', 'prefill'],
] as const;

const PEERS = GGUF_SUBJECTS.slice(1) as readonly GgufPeer[];

/** Times and rates of each, how their answers compare, and how many times as fast as each peer we are. */
export function ggufRowsOf(found: GgufFound): Row[] {
  return [...comparisonRows(found), ...GGUF_SUBJECTS.flatMap((name) => rateRows(found, name)), ...ratioRows(found.rounds)];
}

function comparisonRows({ compared, failed }: GgufFound): Row[] {
  return PEERS.flatMap((name): Row[] => {
    const one = compared[name];
    if (!one || failed[name] !== undefined) return [{ name: `gguf/${name}`, value: undefined, unit: 'tokens', note: failed[name] ?? '' }];
    const { tokens, parted, largest } = one;
    return [{ name: `gguf/${name}: tokens as ours`, value: tokens, unit: 'tokens', parted, 'largest difference': largest }];
  });
}

function rateRows({ rounds, about, loads }: GgufFound, name: GgufName): Row[] {
  const times = rounds.flatMap((round): GgufTimes[] => {
    const one = name === 'ours' ? round.ours : round.peers[name];
    return one ? [one] : [];
  });
  if (times.length === 0) return [];
  const of = (measure: keyof GgufTimes): number => median(times.map((each) => each[measure]));
  return [
    { name: `gguf/${name}: load`, value: loads[name], unit: 'ms', note: about[name] ?? '' },
    { name: `gguf/${name}: first token`, value: of('first'), unit: 'ms' },
    { name: `gguf/${name}: decode`, value: ((ANSWER - 1) * 1000) / of('rest'), unit: 'tokens/s' },
    { name: `gguf/${name}: prefill`, value: (of('long') * 1000) / of('prefill'), unit: 'tokens/s' },
  ];
}

function ratioRows(rounds: readonly GgufRound[]): Row[] {
  const row = (name: string, of: (round: GgufRound) => number | undefined, to: (round: GgufRound) => number): Row[] => {
    const pairs = rounds.flatMap((round) => (of(round) === undefined ? [] : { of: of(round)!, to: to(round) }));
    if (pairs.length === 0) return [];
    const { median: value, ...spread } = ratios(pairs);
    return [{ name, value, unit: 'ratio', ...spread }];
  };
  return MEASURES.flatMap(([measure, label]) => [
    ...row(
      `gguf/${label}: ours of ours (A/A)`,
      (round) => round.again[measure],
      (round) => round.ours[measure],
    ),
    ...PEERS.flatMap((name) =>
      row(
        `gguf/${label}: ours of that of ${name}`,
        (round) => round.peers[name]?.[measure],
        (round) => round.ours[measure],
      ),
    ),
  ]);
}

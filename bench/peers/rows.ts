import { median, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { EIGHT, LONG_PROMPT, SIZES, type Found, type Round, type Times } from './rounds.ts';
import { SUBJECTS, type Peer } from './subject.ts';

const PEERS = ['webgpu', 'wasm'] as const;
const MEASURES = ['first', 'decode', 'prefill', 'eight', 'base'] as const;

const NAMES: Readonly<Record<keyof Times, string>> = {
  first: 'first token',
  decode: 'decode',
  prefill: 'prefill',
  eight: 'eight with adapters',
  base: 'eight of the base',
};

const IN_TURN = 'it has no adapters: the base, one request after another';

/** Everything as rows: times and rates of each, then how many times as fast as each peer we are. */
export function rowsOf(found: Found): Row[] {
  const compared: Row = { name: 'peers/answers compared', value: found.compared, unit: 'answers', note: 'token for token' };
  return [compared, ...loadRows(found), ...countRows(found), ...rateRows(found), ...ratioRows(found.rounds)];
}

function loadRows({ loads }: Found): Row[] {
  if (loads.length === 0) return [];
  return SUBJECTS.flatMap((name): Row[] => [
    { name: `peers/${name}: load`, value: median(loads.map((load) => load[name].open)), unit: 'ms' },
    { name: `peers/${name}: first answer`, value: median(loads.map((load) => load[name].firstAnswer)), unit: 'ms' },
  ]);
}

function countRows({ counts }: Found): Row[] {
  return (['ours', 'webgpu'] as const).map((name) => {
    const { dispatches, submits } = counts[name];
    return { name: `peers/${name}: dispatches per token`, value: dispatches, unit: 'dispatches', submits };
  });
}

/** Of ours, what was found beside the WebAssembly backend: longer answers are told more exactly. */
function rateRows({ rounds, about }: Found): Row[] {
  return SUBJECTS.flatMap((name): Row[] => {
    const peer = name === 'ours' ? 'wasm' : name;
    const of = (measure: keyof Times): number => median(rounds.map((round) => round[peer][name === 'ours' ? 'ours' : 'peer'][measure]));
    const perSecond = (count: number, measure: keyof Times): number => (count * 1000) / of(measure);
    const row = (measure: keyof Times, value: number, unit: string): Row => ({ name: `peers/${name}: ${NAMES[measure]}`, value, unit });
    const tokens = EIGHT * SIZES[peer].eight;
    return [
      row('first', of('first'), 'ms'),
      { ...row('decode', perSecond(1, 'decode'), 'tokens/s'), note: about[name] },
      row('prefill', perSecond(LONG_PROMPT, 'prefill'), 'tokens/s'),
      { ...row('eight', perSecond(tokens, 'eight'), 'tokens/s'), ...(name === 'ours' ? {} : { note: IN_TURN }) },
      row('base', perSecond(tokens, 'base'), 'tokens/s'),
    ];
  });
}

function ratioRows(rounds: readonly Round[]): Row[] {
  const row = (name: string, of: (round: Round) => number, to: (round: Round) => number): Row => {
    const { median: value, ...spread } = ratios(rounds.map((round) => ({ of: of(round), to: to(round) })));
    return { name, value, unit: 'ratio', ...spread };
  };
  const against = (peer: Peer, measure: keyof Times): Row => {
    const found = row(
      `peers/${NAMES[measure]}: ours of ${peer}'s`,
      (round) => round[peer].peer[measure],
      (round) => round[peer].ours[measure],
    );
    const noted = measure === 'eight' ? { ...found, note: IN_TURN } : found;
    // on one GPU we are to be no slower; WebAssembly computes on the CPU's own vector units, which no GPU in software can
    return peer === 'webgpu' ? gate(noted, '>= 1') : noted;
  };
  const again = (measure: keyof Times): Row =>
    row(
      `peers/${NAMES[measure]}: ours of ours (A/A)`,
      (round) => round.again[measure],
      (round) => round.wasm.ours[measure],
    );
  return MEASURES.flatMap((measure) => [again(measure), ...PEERS.map((peer) => against(peer, measure))]);
}

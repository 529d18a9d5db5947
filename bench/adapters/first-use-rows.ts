import { median, ratios } from '../pairs.ts';
import { gate, type Row } from '../report.ts';
import { SOURCES, type FirstUse, type Round } from './first-use.ts';
import { PLACES } from './stage.ts';

/** The table of some adapters' first uses; `where` is the runtime. */
export function firstUseRows(where: string, found: readonly FirstUse[]): Row[] {
  return found.flatMap((one) => rowsOf(`first-use/${where}, ${one.id}`, one));
}

function rowsOf(name: string, { bytes, rounds }: FirstUse): Row[] {
  const ms = (what: string, of: (round: Round) => number): Row => {
    const times = rounds.map(of);
    return { name: `${name}: ${what}`, value: median(times), unit: 'ms', fastest: Math.min(...times) };
  };
  const ratio = (what: string, of: (round: Round) => number, to: (round: Round) => number): Row => {
    const { median: value, ...spread } = ratios(rounds.map((round) => ({ of: of(round), to: to(round) })));
    return { name: `${name}: ${what}`, value, unit: 'ratio', ...spread };
  };
  const resident = ({ use }: Round): number => use.resident;
  return [
    { ...ms('resident', resident), bytes },
    ...PLACES.slice(1).map((place) => ms(place, ({ use }) => use[place])),
    ratio('resident of resident (A/A)', ({ use }) => use.again, resident),
    ...PLACES.slice(1).map((place) => {
      const row = ratio(`${place} of resident`, ({ use }) => use[place], resident);
      return place === 'disk' ? gate(row, '<= 1.5') : row;
    }),
    ...SOURCES.map((source) => ms(`load from ${source}`, ({ loads }) => loads[source].load)),
    ...SOURCES.map((source) =>
      ratio(
        `load from ${source} of raw copy`,
        ({ loads }) => loads[source].load,
        ({ loads }) => loads[source].raw,
      ),
    ),
  ];
}

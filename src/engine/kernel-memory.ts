import { sha256 } from '../adapters/digest.ts';
import { answered, type Store } from '../adapters/store.ts';
import type { Gpu } from '../gpu/device.ts';
import { specialise } from '../gpu/kernel.ts';
import { KERNEL_ROLES, type KernelCase } from './kernel-data.ts';
import type { Family, Verdict } from './kernel-check.ts';
import { candidatesOf, runsOf, specialisationOf } from './kernel-runs.ts';

/** Which check it was: the same shaders on the same device under the same runtime are not checked again. */
export interface CheckKey {
  readonly device: string;
  /** SHA-256 of every text that was compiled, and of the order of the families. */
  readonly shaders: string;
}

/** What checks found out, for as long as the process lives, and in a store where there is one. */
export interface CheckMemory {
  recall(key: CheckKey): Promise<readonly Verdict[] | undefined>;
  /** Never throws: a check that is forgotten is made again. */
  keep(key: CheckKey, verdicts: readonly Verdict[]): Promise<void>;
}

/** The one record in a store; sweeping the adapters' tier looks at keys that begin with `b:`, `m:b:` and `m:a:` only. */
export const CHECKS_RECORD = 'm:kernels';
/** Of the latest checks so many are kept: devices, runtimes and number types that one store sees. */
const MOST_CHECKS = 16;
const VERSION = 1;
/** A start waits no longer than this for a store: a check takes less. */
const SILENCE_MS = 3000;

interface Kept extends CheckKey {
  readonly verdicts: readonly Verdict[];
}

const inProcess = new Map<string, readonly Verdict[]>();
const nameOf = ({ device, shaders }: CheckKey): string => `${shaders} ${device}`;

export function checkMemory(store: Store | undefined): CheckMemory {
  return {
    recall: async (key) => {
      const known = inProcess.get(nameOf(key));
      if (known || !store) return known;
      const kept = (await readChecks(store)).find((check) => nameOf(check) === nameOf(key));
      if (kept) inProcess.set(nameOf(key), kept.verdicts);
      return kept?.verdicts;
    },
    keep: async (key, verdicts) => {
      inProcess.set(nameOf(key), verdicts);
      if (!store) return;
      const others = (await readChecks(store)).filter((check) => check.device !== key.device || check.shaders !== key.shaders);
      const checks = [{ ...key, verdicts }, ...others].slice(0, MOST_CHECKS);
      const bytes = new TextEncoder().encode(JSON.stringify({ version: VERSION, checks }));
      await answered(store.put([[CHECKS_RECORD, bytes]]), SILENCE_MS).catch(() => undefined);
    },
  };
}

/** What this process remembers is forgotten. */
export function forgetChecks(): void {
  inProcess.clear();
}

async function readChecks(store: Store): Promise<readonly Kept[]> {
  try {
    const bytes = await answered(store.get(CHECKS_RECORD), SILENCE_MS);
    const record = bytes && (JSON.parse(new TextDecoder().decode(bytes)) as { version?: unknown; checks?: unknown });
    return record?.version === VERSION && Array.isArray(record.checks) ? record.checks.filter(isKept) : [];
  } catch {
    return []; // a store that does not answer, or a record that is none
  }
}

function isKept(value: unknown): value is Kept {
  const { device, shaders, verdicts } = (value ?? {}) as Partial<Record<keyof Kept, unknown>>;
  return typeof device === 'string' && typeof shaders === 'string' && Array.isArray(verdicts) && verdicts.every(isVerdict);
}

function isVerdict(value: unknown): value is Verdict {
  const { family, role, variant, wrong } = (value ?? {}) as Partial<Record<keyof Verdict, unknown>>;
  return [family, role, variant].every((word) => typeof word === 'string') && (wrong === undefined || typeof wrong === 'string');
}

/** The key of a check of these families, in this order, on these cases. */
export async function checkKey({ info, features }: Gpu, families: readonly Family[], cases: readonly KernelCase[]): Promise<CheckKey> {
  const texts = families.flatMap(({ name, set }) =>
    KERNEL_ROLES.flatMap((role) =>
      runsOf(candidatesOf(set, role), cases).map(({ candidate, of }) => {
        return [
          name,
          role,
          candidate.name,
          String(candidate.mostRows),
          ...candidate.stages.map(({ kernel }) => specialise(kernel, specialisationOf(kernel, of))),
        ];
      }),
    ),
  );
  const bytes = new TextEncoder().encode(JSON.stringify(texts));
  return { device: JSON.stringify([info, features, runtimeName()]), shaders: await sha256(bytes) };
}

/** The browser's or the runtime's name and version: with another one comes another compiler. */
export function runtimeName(): string {
  const { navigator, process } = globalThis as {
    readonly navigator?: { readonly userAgent?: string };
    readonly process?: { readonly version?: string; readonly platform?: string };
  };
  const words = [navigator?.userAgent, process?.version, process?.platform];
  return words.filter((word) => word !== undefined).join(' ');
}

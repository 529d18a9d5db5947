import { readAdapter } from '../../src/adapters/adapter.ts';
import { openAdapterDisk, type AdapterDisk, type DiskChange, type HeldBlob, type KnownAdapter } from '../../src/adapters/disk.ts';
import type { PackedAdapter } from '../../src/adapters/sites.ts';
import type { Store } from '../../src/adapters/store.ts';
import { TABLE, memoryFolder, pair, randomNumbers, safetensors } from './files.ts';

type Precision = 'exact' | 'half';

/** An adapter of `TABLE`; another seed is another adapter. */
export function packedAdapter(seed: number, precision: Precision = 'half'): Promise<PackedAdapter> {
  const random = randomNumbers(seed);
  const tensors = pair(0, 'self_attn.q_proj', 4, () => random() - 0.5);
  const config = { peft_type: 'LORA', r: 4, lora_alpha: 4, target_modules: ['q_proj'] };
  const folder = memoryFolder({ 'adapter_config.json': config, 'adapter_model.safetensors': safetensors(tensors) });
  return readAdapter(folder, TABLE, precision);
}

export function knownAs(id: string, { digest }: PackedAdapter): KnownAdapter {
  const source = `https://example.org/${id}`;
  return { id, source, name: source, digest, stamp: undefined, checkedAt: 1000 };
}

/** What was dropped or came from a program: its bytes are nowhere else. */
export function droppedAs(id: string, packed: PackedAdapter): KnownAdapter {
  return { ...knownAs(id, packed), source: undefined };
}

export interface OpenDisk {
  readonly disk: AdapterDisk;
  /** What the owner was told, in order. */
  readonly changes: readonly DiskChange[];
  /** Sizes for which room was asked. */
  readonly asked: readonly number[];
}

export interface DiskOptions {
  readonly location?: string;
  readonly precision?: Precision;
  readonly shrink?: (bytes: number) => readonly string[];
}

export async function openDisk(store: Store, { location = 'm', precision = 'half', shrink }: DiskOptions = {}): Promise<OpenDisk> {
  const changes: DiskChange[] = [];
  const asked: number[] = [];
  const disk = await openAdapterDisk(
    store,
    { table: TABLE, location, precision },
    {
      change: (change) => void changes.push(change),
      shrink: (bytes) => {
        asked.push(bytes);
        return shrink?.(bytes) ?? [];
      },
    },
  );
  return { disk, changes, asked };
}

export function digestsOf(blobs: readonly HeldBlob[]): string[] {
  return blobs.map(({ digest }) => digest);
}

/** Changes one byte of what is stored under a key. */
export async function flipByte(store: Store, key: string, at: number): Promise<void> {
  const bytes = (await store.get(key))!;
  bytes[(at + bytes.length) % bytes.length]! ^= 1;
  await store.put([[key, bytes]]);
}

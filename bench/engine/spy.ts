import type { GpuProvider } from 'weblora';

/** A call on a native object, to be made again. */
interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** What was done in one compute pass or, for a copy, between two. */
interface Command {
  readonly kind: 'pass' | 'copy';
  readonly calls: Call[];
}

/** One dispatch with the pipeline and the bind groups that were set for it. */
export interface Launch {
  readonly label: string;
  readonly setup: readonly Call[];
  readonly dispatch: Call;
}

/** One submit: its commands, and what was written to buffers since the submit before it. */
export interface Submitted {
  readonly commands: readonly Command[];
  readonly launches: readonly Launch[];
  readonly writes: readonly { readonly buffer: GPUBuffer; readonly offset: number; readonly bytes: Uint8Array<ArrayBuffer> }[];
  /** Bytes that it copied to buffers which JS can map: 0 where the step gave no token. */
  readonly bytesBack: number;
}

/** A provider whose device tells what is submitted to it. */
export interface Spy extends GpuProvider {
  /** The last device that was opened. Throws `Error` before. */
  device(): GPUDevice;
  /** Notes every submit from now on; `stop` gives them, oldest first. One recording at a time. */
  record(): { readonly submits: readonly Submitted[]; stop(): readonly Submitted[] };
}

const MAP_READ = 0x1;
const COPY_DST = 0x8;

interface Recording {
  readonly submits: Submitted[];
  writes: Submitted['writes'][number][];
}

/** Watches the devices of a provider. The product knows nothing of it; outside of a recording calls pass through. */
export function spyOn(provider: GpuProvider): Spy {
  let opened: GPUDevice | undefined;
  let recording: Recording | undefined;
  const commandsOf = new WeakMap<object, Command[]>();

  const watchDevice = (device: GPUDevice): void => {
    opened = device;
    const { queue } = device;
    Object.defineProperty(device, 'queue', { value: queue, configurable: true });
    after(device, 'createCommandEncoder', (_, encoder) => {
      if (recording) commandsOf.set(encoder as object, watchEncoder(encoder as GPUCommandEncoder, commandsOf));
    });
    after(queue, 'writeBuffer', (args) => void recording?.writes.push(written(args)));
    after(queue, 'submit', ([buffers]) => {
      if (!recording) return;
      const commands = [...(buffers as Iterable<object>)].flatMap((buffer) => commandsOf.get(buffer) ?? []);
      recording.submits.push({ commands, launches: commands.flatMap(launches), writes: recording.writes, bytesBack: bytesBack(commands) });
      recording.writes = [];
    });
  };

  return {
    device: () => {
      if (!opened) throw new Error('No device was opened');
      return opened;
    },
    record: () => {
      if (recording) throw new Error('Submits are being recorded already');
      const own: Recording = { submits: [], writes: [] };
      recording = own;
      return {
        submits: own.submits,
        stop: () => {
          if (recording === own) recording = undefined;
          return own.submits;
        },
      };
    },
    requestAdapter: async (options) => {
      const adapter = (await provider.requestAdapter(options)) as GPUAdapter | null;
      if (adapter) after(adapter, 'requestDevice', (_, device) => void (device as Promise<GPUDevice>).then(watchDevice, () => undefined));
      return adapter;
    },
  };
}

/** Calls `seen` after each call of a method of one native object, which stays what it is. */
function after<T extends object>(target: T, method: keyof T & string, seen: (args: readonly unknown[], result: unknown) => void): void {
  const original = target[method] as unknown as (...args: unknown[]) => unknown;
  const value = (...args: unknown[]): unknown => {
    const result = original.apply(target, args);
    seen(args, result);
    return result;
  };
  Object.defineProperty(target, method, { value, configurable: true, writable: true });
}

function watchEncoder(encoder: GPUCommandEncoder, commandsOf: WeakMap<object, Command[]>): Command[] {
  const commands: Command[] = [];
  after(encoder, 'beginComputePass', (_, pass) => {
    const calls: Call[] = [];
    commands.push({ kind: 'pass', calls });
    for (const method of ['setPipeline', 'setBindGroup', 'dispatchWorkgroups', 'dispatchWorkgroupsIndirect'] as const) {
      after(pass as GPUComputePassEncoder, method, (args) => void calls.push({ method, args }));
    }
  });
  for (const method of ['copyBufferToBuffer', 'clearBuffer'] as const) {
    after(encoder, method, (args) => void commands.push({ kind: 'copy', calls: [{ method, args }] }));
  }
  after(encoder, 'finish', (_, buffer) => void commandsOf.set(buffer as object, commands));
  return commands;
}

function launches({ kind, calls }: Command): Launch[] {
  if (kind === 'copy') return [];
  const found: Launch[] = [];
  let pipeline: Call | undefined;
  const groups = new Map<unknown, Call>();
  for (const call of calls) {
    if (call.method === 'setPipeline') pipeline = call;
    else if (call.method === 'setBindGroup') groups.set(call.args[0], call);
    else found.push({ label: (pipeline!.args[0] as GPUComputePipeline).label, setup: [pipeline!, ...groups.values()], dispatch: call });
  }
  return found;
}

/** What a step copies to buffers that JS can map. */
function bytesBack(commands: readonly Command[]): number {
  return commands.flatMap(readBack).reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The buffer of a copy to JS is the second object among (source, target, size) or (source, offset, target, offset, size). */
function readBack({ kind, calls: [call] }: Command): { readonly target: GPUBuffer; readonly bytes: number }[] {
  if (kind !== 'copy' || call?.method !== 'copyBufferToBuffer') return [];
  const target = call.args.slice(1).find((arg) => typeof arg === 'object') as GPUBuffer;
  return (target.usage & MAP_READ) === 0 ? [] : [{ target, bytes: (call.args.at(-1) as number | undefined) ?? target.size }];
}

/** The same submit with buffers of its own for what goes to JS: the engine's may be mapped when it is made again. */
export function withoutReadBack(device: GPUDevice, submitted: Submitted): Submitted {
  const commands = submitted.commands.map((command) => {
    const [found] = readBack(command);
    if (!found) return command;
    const own = device.createBuffer({ label: 'bench', size: found.target.size, usage: COPY_DST });
    const calls = command.calls.map(({ method, args }) => ({ method, args: args.map((arg) => (arg === found.target ? own : arg)) }));
    return { ...command, calls };
  });
  return { ...submitted, commands };
}

/** A copy of what a `writeBuffer` wrote: engines use their arrays again. */
function written(args: readonly unknown[]): Submitted['writes'][number] {
  const [buffer, offset, data, start = 0, size] = args as [GPUBuffer, number, ArrayBuffer | ArrayBufferView<ArrayBuffer>, number?, number?];
  const isView = ArrayBuffer.isView(data);
  // of a typed array, start and size count elements
  const unit = isView && 'BYTES_PER_ELEMENT' in data ? (data.BYTES_PER_ELEMENT as number) : 1;
  const all = isView ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  return { buffer, offset, bytes: all.slice(start * unit, size === undefined ? undefined : (start + size) * unit) };
}

/** Records calls again into a pass or an encoder. */
export function repeat(target: GPUComputePassEncoder | GPUCommandEncoder, calls: readonly Call[]): void {
  const methods = target as unknown as Record<string, (...args: unknown[]) => void>;
  for (const { method, args } of calls) methods[method]!(...args);
}

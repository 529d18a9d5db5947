import { resolve } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { baseNames } from '../openai/models.ts';
import { doctorArguments, doctorCommand, type DoctorArguments, type DoctorOptions, type ProfileArguments } from './cli-doctor-arguments.ts';
import { modelsCommand, type ModelsArguments, type RemoveModelsArguments } from './cli-models-arguments.ts';
import { between, byteCount, filled, integer, loraModule, positive, type LoraModule } from './cli-values.ts';

export type { DoctorArguments, ProfileArguments } from './cli-doctor-arguments.ts';
export type { LoraModule } from './cli-values.ts';

/** See `EngineOptions.kernels`. */
export type KernelFamily = 'auto' | 'narrow' | 'wide' | 'plain';

/** What both commands need to start an engine. */
export interface ModelArguments {
  /** As it was typed. */
  readonly model: string;
  readonly modules: readonly LoraModule[];
  /** The names of the base model, the one to show first. */
  readonly baseNames: readonly string[];
  readonly maxModelLength: number | undefined;
  readonly precision: 'exact' | 'half' | undefined;
  readonly quantize: 'q8' | 'q4' | undefined;
  readonly kernels: KernelFamily | undefined;
  readonly deterministic: boolean;
  /** Bytes. */
  readonly memory: { readonly pool?: number; readonly heap?: number; readonly disk?: number };
  /** The folder that keeps adapters between runs. */
  readonly store: string | undefined;
  /** Requests that run at once, rows of one step, and distinct adapters among the requests. */
  readonly limits: { readonly sequences?: number; readonly batchRows?: number; readonly adapters?: number };
  readonly prefixCache: boolean;
  readonly software: boolean;
  readonly stats: boolean;
  readonly debug: boolean;
}

/** `weblora chat`. */
export interface ChatArguments extends ModelArguments {
  readonly command: 'chat';
  readonly message: string;
  /** What was asked for of `generate`. */
  readonly options: ChatSampling;
}

/** How `weblora chat` draws tokens; all of it may be left out. */
export interface ChatSampling {
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly seed?: number;
}

/** `weblora run-batch`; `-` is standard input or output. */
export interface BatchArguments extends ModelArguments {
  readonly command: 'run-batch';
  readonly input: string;
  readonly output: string;
}

/** Nothing to run: help was printed (0), or what is wrong with the words (2). */
export interface Ended {
  readonly command: 'ended';
  readonly exitCode: 0 | 2;
}

/** What any command asks for. */
export type Arguments =
  | ChatArguments
  | BatchArguments
  | DoctorArguments
  | ProfileArguments
  | ModelsArguments
  | RemoveModelsArguments
  | Ended;

/** Where help and usage errors are written. */
export interface UsageOutput {
  /** What `--version` says. */
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The command that the words behind `weblora` ask for. Help and usage errors are written to `output`; nothing is thrown. */
export function parseArguments(words: readonly string[], output: UsageOutput): Arguments {
  let parsed: Arguments | undefined;
  const program = new Command('weblora')
    .description('One base language model and many LoRA adapters in shared batches on one WebGPU device.')
    .version(output.version)
    .exitOverride()
    .configureOutput({ writeOut: output.out, writeErr: output.err });
  chatCommand(program).action((model: string, options: ChatOptions, command: Command) => {
    const { message } = options;
    parsed = { command: 'chat', ...modelArguments(model, options, command), message, options: pick(options, SAMPLING) };
  });
  batchCommand(program).action((options: BatchOptions, command: Command) => {
    const { model, input, output: target } = options;
    parsed = { command: 'run-batch', ...modelArguments(model, options, command), input, output: target };
  });
  doctorCommand(program).action((options: DoctorOptions, command: Command) => {
    parsed = doctorArguments(options, command);
  });
  modelsCommand(program, (args) => (parsed = args));
  try {
    program.parse(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { command: 'ended', exitCode: error.exitCode === 0 ? 0 : 2 };
  }
  return parsed ?? { command: 'ended', exitCode: 2 };
}

interface ModelOptions {
  readonly loraModules?: readonly LoraModule[];
  readonly servedModelName?: string;
  readonly maxModelLen?: number;
  readonly precision?: 'exact' | 'half';
  readonly quantize?: 'q8' | 'q4';
  readonly kernels?: KernelFamily;
  readonly deterministic?: boolean;
  readonly poolMemory?: number;
  readonly heapMemory?: number;
  readonly diskMemory?: number;
  readonly store?: string;
  readonly maxNumSeqs?: number;
  readonly maxNumBatchedTokens?: number;
  readonly maxLoras?: number;
  readonly enablePrefixCaching: boolean;
  readonly software?: boolean;
  readonly stats?: boolean;
  readonly debug?: boolean;
}

interface ChatOptions extends ModelOptions, ChatSampling {
  readonly message: string;
}

const SAMPLING = [
  'maxTokens',
  'temperature',
  'topP',
  'topK',
  'minP',
  'repetitionPenalty',
  'presencePenalty',
  'frequencyPenalty',
  'seed',
] as const;

/** Of an object those of these fields that are there. */
function pick<T extends object, Name extends keyof T>(given: T, names: readonly Name[]): Pick<T, Name> {
  return Object.fromEntries(names.filter((name) => given[name] !== undefined).map((name) => [name, given[name]])) as Pick<T, Name>;
}

interface BatchOptions extends ModelOptions {
  readonly model: string;
  readonly input: string;
  readonly output: string;
}

/** What a model is given by. */
const MODEL = 'folder, .gguf, address or hub id (owner/name, owner/name:Q4_K_M, owner/name/file.gguf; @revision behind it)';

function chatCommand(program: Command): Command {
  const command = program
    .command('chat')
    .description('ask the base model and every adapter the same message, all in one batch')
    .argument('<model>', MODEL, filled)
    .requiredOption('--message <text>', 'the message', filled)
    .option('--max-tokens <n>', 'tokens of each answer (default: the rest of the context)', integer(1))
    .option('--temperature <t>', '0 is greedy, the default', between(0, 2))
    .option('--top-p <p>', 'with --temperature: only the likeliest tokens that sum to this probability', positive(1))
    .option('--top-k <n>', 'with --temperature: only the n likeliest tokens (0: all)', integer(0))
    .option('--min-p <p>', 'with --temperature: only tokens this times as likely as the likeliest', between(0, 1))
    .option('--repetition-penalty <r>', 'above 1: tokens of prompt and answer again are less likely', positive())
    .option('--presence-penalty <p>', 'taken from the logits of tokens in the answer so far', between(-2, 2))
    .option('--frequency-penalty <p>', 'the same, times how often', between(-2, 2))
    .option('--seed <n>', 'with --temperature: the same seed gives the same answers', integer(0));
  return withModelOptions(command);
}

function batchCommand(program: Command): Command {
  const command = program
    .command('run-batch')
    .description('run a file of OpenAI requests, one JSON object a line, as one continuously batched load')
    .requiredOption('-i, --input <file>', 'requests ("-": standard input)', filled)
    .requiredOption('-o, --output <file>', 'where the records go ("-": standard output)', filled)
    .requiredOption('--model <model>', MODEL, filled);
  return withModelOptions(command);
}

function withModelOptions(command: Command): Command {
  return command
    .option(
      '--lora-modules <name=dir...>',
      'adapters: the name requests use, and a folder, address or hub id (owner/name@revision)',
      loraModule,
    )
    .option('--store <folder>', 'keep adapters here between runs, packed: the next one need not ask their origin', filled)
    .option('--served-model-name <name>', 'the base model’s only name (default: its folder’s name, and the path as typed)', filled)
    .option('--max-model-len <n>', 'context: tokens of prompt and answer together', integer(1))
    .addOption(new Option('--precision <kind>', 'exact: weights as stored, 32-bit cache and adapters').choices(['exact', 'half']))
    .addOption(new Option('--quantize <type>', 'round the base’s weights to 8 or 4 bits as they are loaded').choices(['q8', 'q4']))
    .addOption(
      new Option(
        '--kernels <family>',
        'narrow: for processors, wide: for GPUs, plain: one loop an output; what a device computes wrongly is never taken',
      ).choices(['auto', 'narrow', 'wide', 'plain']),
    )
    .option('--deterministic', 'the same answer, bit for bit, in any batch')
    .option('--pool-memory <bytes>', 'on the GPU, for cache and adapters together, as 512M or 2G', byteCount)
    .option('--heap-memory <bytes>', 'for adapters in memory, packed (default: 256M)', byteCount)
    .option('--disk-memory <bytes>', 'what the folder of --store may hold (default: 4G)', byteCount)
    .option('--max-num-seqs <n>', 'requests that run at once (default: 64)', integer(1))
    .option('--max-num-batched-tokens <n>', 'tokens of one step, prompts and answers together (default: 128)', integer(1))
    .option('--max-loras <n>', 'distinct adapters among the requests that run at once (default: 32)', integer(1))
    .option('--no-enable-prefix-caching', 'compute every prompt whole, even where it begins as an earlier one')
    .option('--software', 'compute on the processor even where there is a GPU')
    .option('--stats', 'print what the engine counted on standard error at the end; the last line is JSON')
    .option('--debug', 'print stack traces');
}

function modelArguments(model: string, options: ModelOptions, command: Command): ModelArguments {
  const modules = options.loraModules ?? [];
  const names = namesOf(model, options.servedModelName);
  if (options.diskMemory !== undefined && options.store === undefined) command.error('error: --disk-memory needs --store');
  const seen = new Set<string>();
  for (const { name } of modules) {
    if (names.includes(name)) {
      const advice =
        options.servedModelName === undefined ? 'rename the adapter, or the model with --served-model-name' : 'rename one of them';
      command.error(`error: --lora-modules: '${name}' is also a name of the base model: ${advice}`);
    }
    if (seen.has(name)) command.error(`error: --lora-modules: the name '${name}' is given twice`);
    seen.add(name);
  }
  return {
    model,
    modules,
    baseNames: names,
    maxModelLength: options.maxModelLen,
    precision: options.precision,
    quantize: options.quantize,
    kernels: options.kernels,
    deterministic: options.deterministic ?? false,
    memory: given({ pool: options.poolMemory, heap: options.heapMemory, disk: options.diskMemory }),
    store: options.store,
    limits: given({ sequences: options.maxNumSeqs, batchRows: options.maxNumBatchedTokens, adapters: options.maxLoras }),
    prefixCache: options.enablePrefixCaching,
    software: options.software ?? false,
    stats: options.stats ?? false,
    debug: options.debug ?? false,
  };
}

/** What was given of these. */
function given<Name extends string>(values: Readonly<Record<Name, number | undefined>>): { readonly [name in Name]?: number } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { readonly [name in Name]?: number };
}

/** The base's names; a path that ends in `.` or `..` is named by the folder that it means. */
function namesOf(model: string, served: string | undefined): readonly string[] {
  const [name, ...others] = baseNames(/(^|[\\/])\.{1,2}[\\/]*$/.test(model) ? resolve(model) : model, served);
  return served !== undefined || name === undefined ? baseNames(model, served) : [...new Set([name, model, ...others])];
}

import { Option, type Command } from 'commander';
import type { EngineOptions } from '../engine/types.ts';
import { byteCount, filled, integer, loraModule, type LoraModule } from './cli-values.ts';

/** `weblora doctor`. */
export interface DoctorArguments {
  readonly command: 'doctor';
  /** Where the report goes as JSON; `-` is standard output. */
  readonly json: string | undefined;
  readonly software: boolean;
  readonly debug: boolean;
}

/** `weblora doctor --profile`: a model's steps taken apart. */
export interface ProfileArguments extends Omit<DoctorArguments, 'command'> {
  readonly command: 'profile';
  /** As it was typed. */
  readonly model: string;
  readonly modules: readonly LoraModule[];
  readonly precision: EngineOptions['precision'];
  readonly quantize: EngineOptions['quantize'];
  readonly kernels: EngineOptions['kernels'];
  /** Sequences of the decode step, keys of each, and tokens of a prompt's chunk. */
  readonly rows: number | undefined;
  readonly context: number | undefined;
  readonly promptRows: number | undefined;
  /** Bytes. */
  readonly poolMemory: number | undefined;
}

/** What is typed behind `weblora doctor`. */
export interface DoctorOptions {
  readonly json?: string;
  readonly software?: boolean;
  readonly debug?: boolean;
  readonly profile?: string;
  readonly loraModules?: readonly LoraModule[];
  readonly rows?: number;
  readonly context?: number;
  readonly promptRows?: number;
  readonly precision?: 'exact' | 'half';
  readonly quantize?: 'q8' | 'q4';
  readonly kernels?: 'auto' | 'narrow' | 'wide' | 'plain';
  readonly poolMemory?: number;
}

/** What only a profile takes. */
const OF_PROFILE = ['loraModules', 'rows', 'context', 'promptRows', 'precision', 'quantize', 'kernels', 'poolMemory'] as const;

/** Adds the command to the program. */
export function doctorCommand(program: Command): Command {
  return program
    .command('doctor')
    .description('check every kernel on this device against plain loops, time them, and report; or take a model’s steps apart')
    .option('--json <file>', 'the report, to be sent to us ("-": standard output, in place of the text)', filled)
    .option(
      '--profile <model>',
      'where the time of this model’s steps goes, in place of the examination: folder, address or hub id',
      filled,
    )
    .option('--lora-modules <name=dir...>', 'with --profile: adapters, which the rows of a step have in turns', loraModule)
    .option('--rows <n>', 'with --profile: sequences of the step that decodes (default: 8)', integer(1))
    .option('--context <n>', 'with --profile: keys that each of them attends to (default: 128)', integer(1))
    .option('--prompt-rows <n>', 'with --profile: tokens of the chunk of a prompt (default: 64)', integer(1))
    .addOption(new Option('--precision <kind>', 'with --profile: as in chat').choices(['exact', 'half']))
    .addOption(new Option('--quantize <type>', 'with --profile: as in chat').choices(['q8', 'q4']))
    .addOption(new Option('--kernels <family>', 'with --profile: as in chat').choices(['auto', 'narrow', 'wide', 'plain']))
    .option('--pool-memory <bytes>', 'with --profile: on the GPU, for cache and adapters together, as 512M or 2G', byteCount)
    .option('--software', 'look at the processor even where there is a GPU')
    .option('--debug', 'print stack traces');
}

/** What is asked for. Ends the command with a usage error for what needs `--profile` and came without. */
export function doctorArguments(options: DoctorOptions, command: Command): DoctorArguments | ProfileArguments {
  const { json, software = false, debug = false, profile, loraModules = [] } = options;
  const common = { json, software, debug };
  if (profile === undefined) {
    const needing = OF_PROFILE.find((name) => options[name] !== undefined);
    const typed = needing?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (typed !== undefined) command.error(`error: --${typed} needs --profile`);
    return { command: 'doctor', ...common };
  }
  const { precision, quantize, kernels, rows, context, promptRows, poolMemory } = options;
  const steps = { rows, context, promptRows, poolMemory };
  return { command: 'profile', model: profile, modules: loraModules, ...common, ...{ precision, quantize, kernels }, ...steps };
}

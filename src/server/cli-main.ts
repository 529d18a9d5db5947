import { WebLoraError } from '../errors.ts';
import { parseArguments } from './cli-arguments.ts';
import { runBatchFile } from './cli-batch.ts';
import { runChat } from './cli-chat.ts';
import { runDoctor } from './cli-doctor.ts';
import { runModels, runRemoveModels } from './cli-models.ts';
import { runProfile } from './cli-profile.ts';
import { say } from './cli-host.ts';
import type { Host } from './cli-host.ts';

/** What a shell reports for a program that wrote to a pipe nobody reads. */
const PIPE_CLOSED = 141;
/** What a shell reports for a program that was interrupted. */
const INTERRUPTED = 130;

/**
 * Runs the words behind `weblora` and returns the exit code: 0; 1 where something failed, with one message on standard error; 2 for
 * words it does not understand; 130 where the user interrupted; 141 where the reader of standard output has gone.
 */
export async function main(words: readonly string[], host: Host): Promise<number> {
  const args = parseArguments(words, {
    version: host.version,
    out: (text) => void host.stdout.write(text),
    err: (text) => void host.stderr.write(text),
  });
  if (args.command === 'ended') return args.exitCode;
  try {
    if (args.command === 'doctor') return await runDoctor(args, host);
    if (args.command === 'profile') return await runProfile(args, host);
    if (args.command === 'models') return await runModels(args, host);
    if (args.command === 'remove-models') return await runRemoveModels(args, host);
    return args.command === 'chat' ? await runChat(args, host) : await runBatchFile(args, host);
  } catch (error) {
    if (host.signal.aborted) return INTERRUPTED;
    if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return PIPE_CLOSED;
    say(host, failureText(error, args.debug ? 'stack' : 'message'));
    return 1;
  }
}

function failureText(error: unknown, detail: 'stack' | 'message'): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = error instanceof WebLoraError ? `weblora: ${message}` : `weblora: internal error: ${message} (--debug shows where)`;
  return detail === 'message' ? line : `${line}\n${stackOf(error)}`;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by: ${stackOf(error.cause)}`;
}

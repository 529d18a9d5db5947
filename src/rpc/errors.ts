import { WebLoraError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';

/** An error as structured clone carries it; what was thrown and is no error crosses as it is, or in words where it cannot be cloned. */
export type WireError =
  | {
      readonly kind: 'weblora' | 'dom' | 'error';
      readonly name: string;
      readonly message: string;
      readonly code: string | undefined;
      readonly param: string | undefined;
      readonly stack: string | undefined;
      readonly cause: WireError | undefined;
    }
  | { readonly kind: 'value'; readonly value: string | number | boolean | bigint | null | undefined };

/** Causes are followed so far: a chain that leads back to itself ends. */
const DEEPEST_CAUSE = 8;

const NATIVE: Readonly<Record<string, new (message: string, options?: ErrorOptions) => Error>> = {
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
};

/** What was thrown, ready to cross. */
export function toWire(error: unknown, depth = 0): WireError {
  if (error instanceof Error) {
    const { name, message, stack, cause } = error;
    const { code, param } = error as { code?: unknown; param?: unknown };
    return {
      kind: error instanceof WebLoraError ? 'weblora' : error instanceof DOMException ? 'dom' : 'error',
      name,
      message,
      code: typeof code === 'string' ? code : undefined,
      param: typeof param === 'string' ? param : undefined,
      stack: typeof stack === 'string' ? stack : undefined,
      cause: cause === undefined || depth === DEEPEST_CAUSE ? undefined : toWire(cause, depth + 1),
    };
  }
  const plain = error === null || !/^(object|function|symbol)$/.test(typeof error);
  return { kind: 'value', value: plain ? (error as string) : String(error) };
}

/** What was thrown on the other side: of the same class where it is ours, a DOMException or one of JavaScript's own. */
export function fromWire(wire: WireError): unknown {
  if (wire.kind === 'value') return wire.value;
  const { kind, name, message, code, param, stack } = wire;
  const cause = wire.cause && fromWire(wire.cause);
  const options = cause === undefined ? {} : { cause };
  let error: Error;
  if (kind === 'weblora') error = new WebLoraError(code as ErrorCode, message, param === undefined ? options : { ...options, param });
  else if (kind === 'dom') error = new DOMException(message, name);
  else {
    error = new (NATIVE[name] ?? Error)(message, options);
    if (error.name !== name) set(error, 'name', name);
    if (code !== undefined) set(error, 'code', code);
  }
  if (stack !== undefined) set(error, 'stack', stack);
  return error;
}

function set(error: Error, key: string, value: string): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true });
}

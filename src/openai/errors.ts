import { WebLoraError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';

/** OpenAI's error body. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: 'invalid_request_error' | 'server_error';
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** An error as an HTTP answer: a status and OpenAI's error body. */
export interface ErrorResponse {
  readonly status: number;
  readonly body: ErrorBody;
}

/** Codes that are the request's own fault, or that pass; every other one is a server error with status 500 under its own name. */
const ANSWERS: Partial<Record<ErrorCode, { readonly status: number; readonly code: string }>> = {
  request_invalid: { status: 400, code: 'invalid_value' },
  context_length_exceeded: { status: 400, code: 'context_length_exceeded' },
  tokenizer_missing: { status: 400, code: 'tokenizer_missing' },
  adapter_unknown: { status: 404, code: 'model_not_found' },
  adapter_busy: { status: 503, code: 'adapter_busy' },
  out_of_memory: { status: 503, code: 'out_of_memory' },
  device_lost: { status: 503, code: 'device_lost' },
  overloaded: { status: 503, code: 'overloaded' },
  deadline_exceeded: { status: 503, code: 'deadline_exceeded' },
  closed: { status: 503, code: 'closed' },
};

/** Any error as an HTTP answer. A cancelled request has status 499, as proxies log it. */
export function errorResponse(error: unknown): ErrorResponse {
  if (error instanceof WebLoraError) {
    const { status, code } = ANSWERS[error.code] ?? { status: 500, code: error.code };
    return answer(status, error.message, code, error.param);
  }
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && error.name === 'AbortError') return answer(499, message, 'cancelled');
  return answer(500, `internal error: ${message}`, 'internal_error');
}

function answer(status: number, message: string, code: string, param?: string): ErrorResponse {
  const type = status < 500 ? 'invalid_request_error' : 'server_error';
  return { status, body: { error: { message, type, param: param === undefined ? null : wireName(param), code } } };
}

/** `maxTokens` of our own options is `max_tokens` in a request. */
function wireName(param: string): string {
  return param.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What went wrong, as a word that programs can compare. Each names one cause; `message` names the value and what to do. */
export type ErrorCode =
  // files
  | 'file_missing' // no such file in the folder, or no such folder
  | 'file_unreadable' // the file is there and cannot be read (permission, network, HTTP status)
  | 'file_truncated' // fewer bytes than the file's own header promises
  | 'file_corrupt' // it arrived whole, twice, and its hash is not the one that the hub gives
  | 'file_invalid' // not in the format its name says: JSON that does not parse, a field of the wrong type
  | 'safetensors_header' // the header is too long, is no JSON, or an entry of it is malformed
  | 'safetensors_offsets' // offsets overlap, leave holes, leave the file, or contradict shape and type
  | 'gguf_header' // no GGUF of a version that is read, or an entry of its header is malformed
  | 'gguf_offsets' // tensors overlap, lie askew, or are larger than can be counted
  | 'gguf_split' // parts that do not belong together
  | 'gguf_ambiguous' // several .gguf could be meant; the message lists them
  | 'gguf_metadata' // a key is missing, or its value is not what it must be
  | 'tensor_dtype' // an unknown number type, or one that this tensor cannot have
  | 'tensor_shape' // a shape that contradicts the config
  | 'tensor_missing' // the config asks for a tensor that no file has
  | 'tensor_not_finite' // NaN or infinity among the values
  // models and adapters
  | 'model_unsupported' // an architecture or a setting that would compute something else
  | 'tokenizer_unsupported'
  | 'tokenizer_missing' // text was given to a model that came without a tokenizer
  | 'adapter_type' // not LoRA: another PEFT type
  | 'adapter_setting' // a key of adapter_config.json that changes the mathematics and is not served
  | 'adapter_rank' // rank 0, or a rank that contradicts the config
  | 'adapter_target' // tensors that match nothing in this model, or only in part
  | 'adapter_format' // weights in a format that is not read (adapter_model.bin)
  | 'adapter_unknown' // an id nobody registered
  | 'adapter_changed' // its origin has other bytes than those with which the answer began, which are nowhere any more
  | 'adapter_exists' // the id is registered with another source
  | 'adapter_busy' // removed or unloaded while requests use it
  | 'adapter_too_large' // more than the pool can ever hold
  | 'store_failed' // the store refused to read, keep or delete, or lost an adapter that has no other origin
  // requests
  | 'request_invalid' // a value out of its range; `param` names the field
  | 'context_length_exceeded'
  | 'overloaded' // the queue is full
  | 'deadline_exceeded' // the first token could no longer come by the request's own deadline
  // devices
  | 'gpu_missing'
  | 'gpu_limit' // the device cannot bind or hold what the model needs
  | 'out_of_memory'
  | 'shader_invalid' // a kernel did not compile on this device: always our bug
  | 'device_lost'
  | 'not_deterministic' // this device's arithmetic depends on the batch
  | 'not_finite' // a request's own logits were NaN or infinite
  | 'worker_lost' // the worker that runs the engine ended, or its script did not load
  | 'closed'; // the engine was closed

/** The one error class of WebLoRA. `cause` holds what was caught; `param` the field of a request that was wrong. */
export class WebLoraError extends Error {
  override readonly name = 'WebLoraError';
  readonly code: ErrorCode;
  readonly param: string | undefined;

  constructor(code: ErrorCode, message: string, options: { readonly cause?: unknown; readonly param?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param;
  }
}

/**
 * Loads a part of the library that most apps never need: bundlers make a file of its own from it.
 * @throws WebLoraError `file_unreadable` where that file does not come.
 */
export async function loadPart<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    const message = `A part of WebLoRA's own code could not be loaded; are all files of the build served? ${words}`;
    throw new WebLoraError('file_unreadable', message, { cause });
  }
}

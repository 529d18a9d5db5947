export { createEngine } from './engine/engine.ts';
export { WebLoraError } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export type {
  AdapterInfo,
  Adapters,
  Chunk,
  CoreEngine,
  EngineEvent,
  EngineOptions,
  Finish,
  GenerateOptions,
  Generation,
  GpuProvider,
  Message,
  ModelInfo,
  ModelText,
  Progress,
  Prompt,
  RequestEvent,
  Result,
  Source,
  Stats,
  TokenLogprob,
  Usage,
} from './engine/types.ts';
export type { Folder } from './formats/folder.ts';
export type { ModelConfig } from './model/config.ts';
export type { ChatTemplate } from './text/chat-template.ts';
export type { Tokenizer } from './text/tokenizer.ts';

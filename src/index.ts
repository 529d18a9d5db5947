export { createEngine } from './openai/create.ts';
export { diagnose } from './engine/diagnose.ts';
export type { DiagnoseOptions, DoctorCheck, DoctorReport, DoctorTiming } from './engine/doctor-report.ts';
export { profile } from './engine/profile.ts';
export type { ProfiledKernel, ProfiledStep, ProfileOptions, ProfileReport } from './engine/profile-report.ts';
export { connectEngine } from './rpc/connect.ts';
export { indexedDbStore } from './adapters/store-idb.ts';
export { WebLoraError } from './errors.ts';
export type { ErrorCode } from './errors.ts';
export { fromTransformers } from './text/from-transformers.ts';
export type { TransformersTokenizer } from './text/from-transformers.ts';
export type {
  AdapterEvent,
  AdapterInfo,
  AdapterPart,
  Adapters,
  Chunk,
  CoreEngine,
  DiskStats,
  EngineEvent,
  EngineOptions,
  Finish,
  GenerateOptions,
  Generation,
  GpuProvider,
  KernelStats,
  LoadOptions,
  Message,
  ModelInfo,
  ModelText,
  Progress,
  Prompt,
  RequestEvent,
  Result,
  Source,
  Spread,
  Stats,
  Store,
  Tier,
  TierStats,
  TokenLogprob,
  Usage,
} from './engine/types.ts';
export type { Folder } from './formats/folder.ts';
export type { ModelConfig } from './model/config.ts';
export type { ChatTemplate } from './text/chat-template.ts';
export type { Tokenizer } from './text/tokenizer.ts';
export type {
  ChatChoice,
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatCompletions,
  ChatContentPart,
  ChatLogprobs,
  ChatMessage,
  ChatToken,
  Completion,
  CompletionChoice,
  CompletionChunk,
  CompletionChunkChoice,
  CompletionLogprobs,
  CompletionRequest,
  Completions,
  CompletionUsage,
  CreateOptions,
  Engine,
  LoraPart,
  Model,
  ModelList,
  Models,
  PromptLogprobs,
  StreamOptions,
} from './openai/types.ts';
export type { ConnectOptions, WorkerLike } from './rpc/types.ts';

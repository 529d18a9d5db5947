/** What happened between an engine and its store so far. */
export interface StoreStats {
  /** Adapters that were read from the store in place of their origin. */
  readonly reads: number;
  /** Adapters whose bytes in the store were missing or damaged: read from their origin again where they have one. */
  readonly misses: number;
  readonly writes: number;
  /** Calls that the store refused; the adapters were served all the same where they have an origin. */
  readonly failures: number;
  /** What the last of them said. */
  readonly lastFailure?: string;
}

/** Of the latest values, at most 1024 of them; zeros where there is none yet. Milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** Plain JSON; `version` rises when a field changes its meaning. */
export interface Stats {
  readonly version: 1;
  readonly device: string;
  readonly software: boolean;
  readonly precision: 'exact' | 'half';
  readonly steps: number;
  /** Rows computed, prompt and decode. */
  readonly promptRows: number;
  readonly decodeRows: number;
  /** Tokens given to requests. */
  readonly tokens: number;
  /** The largest step so far: its rows, sequences and distinct adapters. */
  readonly maxBatch: { readonly rows: number; readonly sequences: number; readonly adapters: number };
  readonly running: number;
  readonly waiting: number;
  /** Milliseconds that the oldest request that waits has waited; 0 where none does. */
  readonly oldestWaitMs: number;
  /** Mean of the latest steps: rows of prompts and of answers, sequences, distinct adapters. */
  readonly batch: { readonly promptRows: number; readonly decodeRows: number; readonly sequences: number; readonly adapters: number };
  /** Tokens given to requests per second, over the last 10 s in which anything ran. */
  readonly tokensPerSecond: number;
  /** From the call to the first token, and between two tokens of a request. */
  readonly firstTokenMs: Spread;
  readonly betweenTokensMs: Spread;
  /** A step on the device. */
  readonly stepMs: Spread;
  /** Steps in flight at once, by the measured time of a read-back. */
  readonly depth: number;
  readonly readbackMs: number;
  /** `kv`: pages of running requests and of beginnings that are kept; `idle`: those of them that nobody runs on. */
  readonly pages: { readonly total: number; readonly kv: number; readonly idle: number; readonly adapters: number };
  /** Prompt tokens that were looked up among computed beginnings, and those that were found. */
  readonly prefix: { readonly lookedUp: number; readonly found: number };
  /** Uses of adapters by requests: those that were on the GPU when the request came, those that were not; and moves. */
  readonly adapters: { readonly hits: number; readonly misses: number; readonly loads: number; readonly evictions: number };
  /** Requests whose pages were taken for others; they compute again and lose nothing. */
  readonly preemptions: number;
  /** Requests refused because the queue was full, and those that ended because of their deadline. */
  readonly overloaded: number;
  readonly deadlineExceeded: number;
  /** Devices that were lost and rebuilt. */
  readonly deviceLosses: number;
  /** Milliseconds in which there was work: steps in flight, or a device being built again. */
  readonly busyMs: number;
  readonly gpuBytes: number;
  /** Where the engine has a store. */
  readonly store?: StoreStats;
}

/** What happened since the event before it; at most 10 a second, and nothing is lost between two. Plain JSON. */
export interface EngineEvent {
  readonly version: 1;
  /** Milliseconds since the engine started. */
  readonly at: number;
  /** Steps that came back, oldest first: milliseconds on the device, and rows by adapter id (the base under '', blends as `a+b`). */
  readonly steps: readonly { readonly ms: number; readonly rows: Readonly<Record<string, number>> }[];
  readonly adapters: readonly AdapterEvent[];
  readonly requests: readonly RequestEvent[];
}

/** An adapter that moved: `load` onto the GPU, `evict` from it; `store`: its bytes were kept, `store_failed`: they could not be. */
export interface AdapterEvent {
  readonly kind: 'load' | 'evict' | 'store' | 'store_failed';
  readonly id: string;
  readonly bytes: number;
  /** Why the store failed. */
  readonly message?: string;
}

/** `preempt`: its pages were taken; it waits to compute again. */
export interface RequestEvent {
  readonly kind: 'begin' | 'preempt' | 'end';
  /** Counts up over the engine's life. */
  readonly request: number;
  /** '' is the base, a blend is `a+b`. */
  readonly adapter: string;
  /** At the end: how it finished, or the code of what failed it (`cancelled` where the caller left). */
  readonly finish?: string;
  readonly tokens?: number;
}

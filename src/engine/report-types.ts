/** Where an adapter's bytes can be, nearest first. */
export type Tier = 'gpu' | 'heap' | 'disk' | 'origin';

/** What one tier of adapters did so far. */
export interface TierStats {
  /**
   * Times that an adapter was asked of it and was there, and was not. `gpu` is asked by each request as it comes, `heap` by each load onto
   * the GPU, `disk` and `origin` by each read; a miss of `origin` is a read that failed.
   */
  readonly hits: number;
  readonly misses: number;
  /** Adapters that came into it, and those that left to make room. `origin`: adapters read from there; none leaves. */
  readonly loads: number;
  readonly evictions: number;
  /** Bytes that lie in it, and the most that may. `gpu`: whole pages, and the pool that they share with keys and values. `origin`: read from there so far. */
  readonly bytes: number;
  readonly budget: number;
  /** Milliseconds in which an adapter's bytes came out of it: `heap`: onto the GPU; `disk` and `origin`: into memory, checked and packed. `gpu`: from being asked for to being there, the whole way. */
  readonly loadMs: Spread;
}

/** The store's tier; all zeros where the engine has no store. */
export interface DiskStats extends TierStats {
  /** Calls that the store refused; adapters that have an origin were served all the same. */
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

/** Which kernels compute on this device, and why these. */
export interface KernelStats {
  /** The family that was asked for; `auto` is `narrow` on software devices and `wide` on others. */
  readonly wish: 'auto' | 'narrow' | 'wide' | 'plain';
  /** What computes each hot kernel, as `wide tile`; where there are several, each up to so many rows. */
  readonly serving: Readonly<Record<'matmul' | 'shrink' | 'expand' | 'attention' | 'norm' | 'sampler', readonly string[]>>;
  /** Variants that did not compute on this device what their plain loop computes: others serve in their place. */
  readonly quarantined: readonly { readonly kernel: string; readonly family: string; readonly variant: string; readonly why: string }[];
  /** `remembered`: the same shaders were checked on the same device before. */
  readonly check: 'made' | 'remembered';
  /** Milliseconds that the check took, pipelines included. */
  readonly checkMs: number;
  /** By kernel, milliseconds until the slowest of its pipelines was compiled; several are compiled at once. */
  readonly compileMs: Readonly<Record<string, number>>;
}

/** Plain JSON; `version` rises when a field changes its meaning. */
export interface Stats {
  readonly version: 1;
  readonly device: string;
  readonly software: boolean;
  readonly precision: 'exact' | 'half';
  /** What the base's weights were rounded to; absent where they were not. */
  readonly quantize?: 'q8' | 'q4';
  readonly kernels: KernelStats;
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
  readonly tiers: { readonly gpu: TierStats; readonly heap: TierStats; readonly disk: DiskStats; readonly origin: TierStats };
  /** Adapters that are registered. */
  readonly registered: number;
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

/**
 * `load`: its bytes came into a tier; `evict`: they left it to make room; `fail`: the store could not keep them, its origin could not
 * be asked whether it changed, or what is pinned could not be brought back onto the GPU; `renew` (`origin`): it changed, and requests from now on use the new bytes.
 */
export interface AdapterEvent {
  readonly kind: 'load' | 'evict' | 'fail' | 'renew';
  readonly tier: Tier;
  readonly id: string;
  readonly bytes: number;
  /** Of a load into the heap: where from. */
  readonly from?: 'disk' | 'origin';
  /** Why it failed. */
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

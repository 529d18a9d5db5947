/** What is wrong with a model, and what to do. */
interface ModelWords {
  readonly title: string;
  readonly text: string;
  readonly steps: readonly string[];
}

const FETCH: ModelWords = {
  title: 'The model could not be fetched',
  text: 'It, or one of its files, did not arrive.',
  steps: [
    'Check the name of the model and the connection, and try again. What has arrived is kept.',
    'This page sends no token, which private and gated models need: fetch such a model yourself, and drop its files here.',
  ],
};

const BROKEN: ModelWords = {
  title: 'The model cannot be read',
  text: 'One of its files is damaged, or not what its name says.',
  steps: ['Fetch or copy the file again.', 'If it is the same elsewhere, tell whoever published it.'],
};

const UNSERVED: ModelWords = {
  title: 'A model that is not served',
  text: 'Something in it would be computed in another way than it was trained, so it is refused.',
  steps: ['Choose another model: Llama, Mistral, Qwen, Gemma, Phi and SmolLM are served.'],
};

const TOO_LARGE: ModelWords = {
  title: 'Not enough memory for the model',
  text: 'The GPU cannot hold its weights beside what answers need.',
  steps: ['Choose a smaller model, or one that is quantised: owner/name:Q4_K_M.', 'Close other pages that use the GPU.'],
};

const WORDS: Readonly<Record<string, ModelWords>> = {
  file_missing: FETCH,
  file_unreadable: FETCH,
  file_truncated: FETCH,
  file_corrupt: {
    title: 'The model arrived damaged',
    text: 'A file came twice with other bytes than the hub says, so nothing of it was kept.',
    steps: ['Try again later, or from another network: something on the way changes what is fetched.'],
  },
  file_invalid: BROKEN,
  safetensors_header: BROKEN,
  safetensors_offsets: BROKEN,
  gguf_header: BROKEN,
  gguf_offsets: BROKEN,
  gguf_split: {
    title: 'Parts of the model are missing',
    text: 'It was split into several files, and they do not belong together.',
    steps: ['Choose all parts at once, under the names they came with.'],
  },
  gguf_metadata: BROKEN,
  gguf_ambiguous: {
    title: 'Which of its files?',
    text: 'The model is there in several forms.',
    steps: ['Choose it again, with the word of one of them behind its name: owner/name:Q4_K_M.'],
  },
  tensor_shape: BROKEN,
  tensor_missing: BROKEN,
  tensor_not_finite: BROKEN,
  tensor_dtype: UNSERVED,
  model_unsupported: UNSERVED,
  tokenizer_unsupported: UNSERVED,
  tokenizer_missing: UNSERVED,
  store_failed: {
    title: 'This browser could not keep the model',
    text: 'Models are kept in this browser, so that they are fetched once.',
    steps: ['Make room on the disk, or clear what other pages keep.', 'Private windows keep little; try an ordinary one.'],
  },
  out_of_memory: TOO_LARGE,
};

/** Words for an error's code where it is about the model; undefined for others. */
export function modelTrouble(code: string | undefined): ModelWords | undefined {
  return code !== undefined && Object.hasOwn(WORDS, code) ? WORDS[code] : undefined;
}

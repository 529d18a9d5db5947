import type { ModelConfig } from '../model/config.ts';
import type { parseGenerationConfig } from '../model/generation-config.ts';
import type { ModelTensors } from '../model/tensors.ts';

/** What a model's files say, whatever they are. */
export interface ModelFiles {
  readonly config: ModelConfig;
  readonly tensors: ModelTensors;
  readonly generation: ReturnType<typeof parseGenerationConfig>;
  readonly text: TextFiles;
  /** Where the model was opened, whole: two models may end in the same name. */
  readonly location: string;
  readonly name: string;
}

/** What is known of a model's tokens, as Hugging Face's files have it. */
export interface TextFiles {
  /** The parsed tokenizer.json; undefined: there is none. */
  readonly tokenizerJson: (() => Promise<unknown>) | undefined;
  /** The parsed tokenizer_config.json. */
  readonly tokenizerConfig: unknown;
  /** chat_template.jinja */
  readonly jinja: string | undefined;
  /** For messages. */
  readonly location: string;
}

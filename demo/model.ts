import { base, baseName, chooseBase } from './base.ts';
import { find, on, setText } from './dom.ts';
import type { DroppedFolder } from './dropped.ts';
import { onSubmit } from './field.ts';
import { nextFrame } from './frame.ts';
import { checkHubId } from './hub-address.ts';
import { keepFiles } from './kept-files.ts';
import { bytesInWords, errorInWords } from './words.ts';

/** The dialog in which the base model is chosen. */
export interface ModelDialog {
  /** Keeps what was dropped and starts the page with it. */
  take(folder: DroppedFolder): void;
}

export function createModelDialog(): ModelDialog {
  const dialog = find('model', HTMLDialogElement);
  const field = find('model-id', HTMLInputElement);
  const error = find('model-id-error', HTMLElement);
  const own = find('model-own', HTMLButtonElement);
  setText(find('model-name', HTMLElement), baseName);
  find('model-open', HTMLButtonElement).setAttribute('aria-label', `${baseName}: choose the base model`);
  setText(find('model-now', HTMLElement), baseName);
  own.hidden = base.kind === 'frontdesk';
  if (base.kind === 'hub') field.value = base.id;
  const say = (words: string): void => {
    setText(error, words);
    field.setAttribute('aria-invalid', String(words !== ''));
  };
  const copy = createCopy();
  const open = (): void => {
    if (dialog.open) return;
    say('');
    copy.clear();
    dialog.showModal();
  };
  // Whoever closes it does not expect the page to start anew later.
  on(dialog, 'close', copy.clear);
  on(find('model-open', HTMLButtonElement), 'click', open);
  on(find('model-close', HTMLButtonElement), 'click', () => dialog.close());
  on<MouseEvent>(dialog, 'click', ({ target }) => {
    if (target === dialog) dialog.close();
  });
  on(own, 'click', () => chooseBase({ kind: 'frontdesk' }));
  onSubmit(find('model-form', HTMLFormElement), () => {
    const found = checkHubId(field.value);
    if ('trouble' in found) return say(found.trouble);
    copy.say(`Starting with ${found.id}`);
    chooseBase({ kind: 'hub', id: found.id });
  });
  const take = ({ name, files }: DroppedFolder): void => {
    open();
    say('');
    void copy.make(name, files);
  };
  const input = find('model-file', HTMLInputElement);
  on(input, 'change', () => {
    const files = [...(input.files ?? [])];
    input.value = '';
    if (files.length > 0) take(modelOf(files));
  });
  return { take };
}

/** What is told of a copy that this browser makes of a model's files, below the dialog's fields. */
interface Copy {
  /** Makes one in place of one that is being made, and starts the page with it. */
  make(name: string, files: readonly File[]): Promise<void>;
  say(words: string): void;
  /** Ends what is being made. */
  clear(): void;
}

function createCopy(): Copy {
  const what = find('model-kept', HTMLElement);
  const box = find('model-keeping', HTMLElement);
  const bar = find('model-kept-bar', HTMLProgressElement);
  const figures = find('model-kept-bytes', HTMLElement);
  const error = find('model-kept-error', HTMLElement);
  let making: AbortController | undefined;
  const say = (words: string): void => {
    making?.abort();
    making = undefined;
    box.hidden = true;
    setText(what, words);
    setText(error, '');
  };
  const make = async (name: string, files: readonly File[]): Promise<void> => {
    say(`Keeping a copy of ${name} in this browser`);
    const control = new AbortController();
    making = control;
    bar.value = 0;
    setText(figures, '');
    box.hidden = false;
    const onBytes = (bytes: number, total: number): void =>
      nextFrame(() => {
        if (making !== control) return;
        bar.value = bytes / total;
        setText(figures, `${bytesInWords(bytes)} of ${bytesInWords(total)}`);
      });
    try {
      const folder = await keepFiles(files, { onBytes, signal: control.signal });
      control.signal.throwIfAborted();
      chooseBase({ kind: 'files', name, folder });
    } catch (caught) {
      if (making !== control) return;
      say('');
      setText(error, errorInWords(caught));
    }
  };
  return { make, say, clear: () => say('') };
}

/** Chosen or dropped files as one model, by the name of its .gguf; those of a folder do not say what they are of. */
export function modelOf(files: readonly File[]): DroppedFolder {
  const gguf = files.find(({ name }) => /\.gguf$/i.test(name));
  return { name: gguf?.name.replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '') ?? 'Your files', files };
}

/** Whether dropped files are a base model rather than an adapter. */
export async function isModel({ files }: DroppedFolder): Promise<boolean> {
  const named = (name: RegExp): File | undefined => files.find((file) => name.test(file.name));
  if (named(/(^|\/)adapter_config\.json$/)) return false;
  const gguf = named(/\.gguf$/i);
  // GGUF says of itself that it is an adapter, near its beginning.
  if (gguf) return !new TextDecoder('latin1').decode(await gguf.slice(0, 4096).arrayBuffer()).includes('adapter.type');
  return named(/(^|\/)config\.json$/) !== undefined;
}

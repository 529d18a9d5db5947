import { base, baseName, checkHubId, chooseBase } from './base.ts';
import { find, on, setText } from './dom.ts';
import type { DroppedFolder } from './dropped.ts';
import { announce, onSubmit } from './field.ts';
import { nextFrame } from './frame.ts';
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
  const kept = find('model-kept', HTMLElement);
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
  const open = (): void => {
    if (dialog.open) return;
    say('');
    setText(kept, '');
    dialog.showModal();
  };
  on(find('model-open', HTMLButtonElement), 'click', open);
  on(find('model-close', HTMLButtonElement), 'click', () => dialog.close());
  on<MouseEvent>(dialog, 'click', ({ target }) => {
    if (target === dialog) dialog.close();
  });
  on(own, 'click', () => chooseBase({ kind: 'frontdesk' }));
  onSubmit(find('model-form', HTMLFormElement), () => {
    const found = checkHubId(field.value);
    if ('trouble' in found) return say(found.trouble);
    setText(kept, `Starting with ${found.id}`);
    chooseBase({ kind: 'hub', id: found.id });
  });
  const take = async ({ name, files }: DroppedFolder): Promise<void> => {
    open();
    kept.classList.remove('error');
    announce(`Keeping a copy of ${name}`);
    const tell = (bytes: number, total: number): void =>
      nextFrame(() => setText(kept, `Keeping a copy of ${name} in this browser: ${bytesInWords(bytes)} of ${bytesInWords(total)}`));
    try {
      await keepFiles(files, tell);
      chooseBase({ kind: 'files', name });
    } catch (caught) {
      nextFrame(() => {
        kept.classList.add('error');
        setText(kept, errorInWords(caught));
      });
    }
  };
  const input = find('model-file', HTMLInputElement);
  on(input, 'change', () => {
    const files = [...(input.files ?? [])];
    input.value = '';
    if (files.length > 0) void take(modelOf(files));
  });
  return { take: (folder) => void take(folder) };
}

/** Chosen or dropped files as one model, by the name of its .gguf. */
export function modelOf(files: readonly File[]): DroppedFolder {
  const [first] = files.filter(({ name }) => /\.gguf$/i.test(name));
  return { name: (first ?? files[0]!).name.replace(/\.gguf$/i, ''), files };
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

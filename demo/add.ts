import type { Catalogue } from './catalogue.ts';
import { find, make, on, setText } from './dom.ts';
import { chosenFolder, entriesOf, readFolders, type DroppedFolder, type UnreadFolder } from './dropped.ts';
import { announce, onSubmit } from './field.ts';
import { measured } from './frame.ts';
import { checkAddress, nameFrom } from './address.ts';
import { isModel, modelOf, type ModelDialog } from './model.ts';
import { freeName, type Roster } from './roster.ts';
import { errorInWords } from './words.ts';

/** The dialog in which adapters are added by address or by folder. */
export interface AddDialog {
  start(catalogue: Catalogue): void;
  open(): void;
}

interface Dialog {
  readonly roster: Roster;
  readonly dialog: HTMLDialogElement;
  readonly form: HTMLFormElement;
  readonly address: HTMLInputElement;
  readonly name: HTMLInputElement;
  readonly send: HTMLButtonElement;
  readonly error: HTMLElement;
  readonly attempts: HTMLElement;
  catalogue: Catalogue | undefined;
  busy: 'yes' | 'no';
}

/** @param model takes the base models among what is dropped. */
export function createAddDialog(roster: Roster, model: ModelDialog): AddDialog {
  const dialog: Dialog = {
    roster,
    dialog: find('add', HTMLDialogElement),
    form: find('add-form', HTMLFormElement),
    address: find('add-url', HTMLInputElement),
    name: find('add-name', HTMLInputElement),
    send: find('add-send', HTMLButtonElement),
    error: find('add-url-error', HTMLElement),
    attempts: find('attempts', HTMLElement),
    catalogue: undefined,
    busy: 'no',
  };
  const open = (): void => {
    if (dialog.dialog.open) return;
    dialog.attempts.replaceChildren();
    setText(dialog.error, '');
    dialog.dialog.showModal();
  };
  on(find('add-open', HTMLButtonElement), 'click', open);
  on(find('add-close', HTMLButtonElement), 'click', () => dialog.dialog.close());
  // A click on the backdrop is one on the dialog itself: its contents cover all of it.
  on<MouseEvent>(dialog.dialog, 'click', ({ target }) => {
    if (target === dialog.dialog) dialog.dialog.close();
  });
  onSubmit(dialog.form, () => void addByAddress(dialog));
  acceptFolders(dialog, open, model);
  return {
    start: (catalogue) => {
      dialog.catalogue = catalogue;
    },
    open,
  };
}

async function addByAddress(dialog: Dialog): Promise<void> {
  const { address, name, send, error, roster, catalogue } = dialog;
  if (dialog.busy === 'yes') return;
  const say = (words: string): void => {
    setText(error, words);
    address.setAttribute('aria-invalid', String(words !== ''));
  };
  const found = checkAddress(address.value);
  if ('trouble' in found) return say(found.trouble);
  const id = name.value.trim() || nameFrom(found.url);
  if (roster.get(id)) return say(`There is an adapter called “${id}” already. Give this one another name.`);
  if (!catalogue) return say('The base model is still loading. Try again in a moment.');
  say('');
  dialog.busy = 'yes';
  setText(send, 'Adding');
  try {
    await catalogue.add(id, found.url.href);
    dialog.form.reset();
    dialog.dialog.close();
    announce(`${id} was added`);
  } catch (caught) {
    say(errorInWords(caught));
  } finally {
    dialog.busy = 'no';
    setText(send, 'Add');
  }
}

/** Folders may be dropped anywhere on the page; what came of it is told in the dialog. */
function acceptFolders(dialog: Dialog, open: () => void, model: ModelDialog): void {
  const veil = find('veil', HTMLElement);
  const receive = async (folders: readonly (DroppedFolder | UnreadFolder)[]): Promise<void> => {
    const looked = await Promise.all(folders.map(lookAt));
    const [only] = looked;
    if (only && 'kind' in only && only.kind === 'model' && looked.length === 1) {
      dialog.dialog.close();
      return model.take(only);
    }
    open();
    measured('folders', () => addFolders(dialog, looked));
  };
  const carriesFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;
  on<DragEvent>(window, 'dragover', (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    veil.classList.add('shown');
  });
  on<DragEvent>(window, 'dragleave', (event) => {
    // Leaving for another element of the page is no leaving.
    if (event.relatedTarget === null) veil.classList.remove('shown');
  });
  on<DragEvent>(window, 'drop', (event) => {
    veil.classList.remove('shown');
    if (!event.dataTransfer || !carriesFiles(event)) return;
    event.preventDefault();
    void readFolders(entriesOf(event.dataTransfer)).then(receive);
  });
  const input = find('add-folder', HTMLInputElement);
  on(input, 'change', () => {
    try {
      const folder = input.files && chosenFolder(input.files);
      if (folder) void receive([folder]);
    } catch (error) {
      void receive([{ name: 'The folder', error: error as Error }]);
    }
    input.value = '';
  });
}

/** What was dropped, once it is known whether it is a base model. */
type Looked = UnreadFolder | (DroppedFolder & { readonly kind: 'model' | 'other' });

async function lookAt(folder: DroppedFolder | UnreadFolder): Promise<Looked> {
  if ('error' in folder) return folder;
  try {
    if (!(await isModel(folder))) return { ...folder, kind: 'other' };
  } catch (error) {
    return { name: folder.name, error: error as Error };
  }
  const whole = folder.files.some(({ name }) => name.includes('/')) ? folder : modelOf(folder.files);
  return { ...whole, kind: 'model' };
}

function addFolders(dialog: Dialog, folders: readonly Looked[]): void {
  dialog.attempts.replaceChildren();
  if (folders.length === 0) showAttempt(dialog, 'Nothing').fail('There was no folder in what you dropped.');
  const added = folders.map((folder) => {
    const attempt = showAttempt(dialog, folder.name);
    if ('error' in folder) return attempt.fail(folder.error.message);
    if (folder.kind === 'model') return attempt.fail('This is a base model: drop it by itself. Adapters are added once it is there.');
    if (!dialog.catalogue) return attempt.fail('The base model is still loading. Drop the folder again in a moment.');
    return addFolder(dialog, dialog.catalogue, folder, attempt);
  });
  void Promise.all(added).then((outcomes) => {
    if (outcomes.every((outcome) => outcome === 'added')) dialog.dialog.close();
  });
}

async function addFolder({ roster }: Dialog, catalogue: Catalogue, { name, files }: DroppedFolder, attempt: Attempt): Promise<Outcome> {
  const id = freeName(roster, name);
  try {
    await catalogue.add(id, files);
    announce(`${id} was added`);
    return 'added';
  } catch (error) {
    return attempt.fail(errorInWords(error));
  }
}

type Outcome = 'added' | 'failed';

interface Attempt {
  fail(words: string): Outcome;
}

function showAttempt({ attempts }: Dialog, name: string): Attempt {
  const words = make('p', 'said', 'Reading');
  words.setAttribute('role', 'alert');
  attempts.append(make('li', '', make('strong', '', name), words));
  return {
    fail: (text) => {
      words.classList.add('error');
      setText(words, text);
      return 'failed';
    },
  };
}

/** A folder that someone dropped or chose. */
export interface DroppedFolder {
  readonly name: string;
  readonly files: readonly File[];
}

/** A folder that could not be read, and why in words. */
export interface UnreadFolder {
  readonly name: string;
  readonly error: Error;
}

/** More is no adapter's folder but somebody's disk. */
const MOST_FILES = 1000;
const MOST_DEPTH = 4;

/** The files under a name with their path in it: that is how the engine tells `a/config.json` from `b/config.json`. Copies no bytes. */
const named = (file: File, path: string): File => new File([file], path, { type: file.type, lastModified: file.lastModified });

const tooMany = (name: string): Error =>
  new Error(`“${name}” holds more than ${MOST_FILES} files. Choose the adapter’s own folder: the one with adapter_config.json in it.`);

/** What was dropped; to be called inside the drop's handler, after which the browser forgets it. */
export function entriesOf(transfer: DataTransfer): readonly FileSystemEntry[] {
  return [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
}

/**
 * The folders among what was dropped; loose files are one folder without a name of their own.
 * @returns for each folder its files, or why it could not be read.
 */
export async function readFolders(entries: readonly FileSystemEntry[]): Promise<readonly (DroppedFolder | UnreadFolder)[]> {
  const folders = entries.filter((entry) => entry.isDirectory) as FileSystemDirectoryEntry[];
  const loose = entries.filter((entry) => entry.isFile) as FileSystemFileEntry[];
  const found = folders.map((folder) =>
    attempt(folder.name, async () => {
      const files: File[] = [];
      await collect(folder, folder.name, 0, files);
      return files;
    }),
  );
  const rest = loose.length > 0 ? [attempt(nameOf(loose), () => Promise.all(loose.map(fileOf)))] : [];
  return Promise.all([...found, ...rest]);
}

/** Of loose files: a GGUF LoRA's own, as `adapter_model.safetensors` says nothing. */
function nameOf(loose: readonly FileSystemEntry[]): string {
  return loose.length === 1 ? loose[0]!.name.replace(/\.gguf$/i, '') : 'adapter';
}

async function attempt(name: string, read: () => Promise<readonly File[]>): Promise<DroppedFolder | UnreadFolder> {
  try {
    return { name, files: await read() };
  } catch (error) {
    return { name, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** The folder chosen in an input with `webkitdirectory`. Throws an Error in words where it is too large. */
export function chosenFolder(files: FileList): DroppedFolder | undefined {
  const [first] = files;
  if (!first) return undefined;
  const name = first.webkitRelativePath.split('/')[0] || 'adapter';
  if (files.length > MOST_FILES) throw tooMany(name);
  return { name, files: [...files].map((file) => named(file, file.webkitRelativePath || file.name)) };
}

async function collect(folder: FileSystemDirectoryEntry, path: string, depth: number, into: File[]): Promise<void> {
  const reader = folder.createReader();
  for (;;) {
    // The browser gives at most a hundred entries at a time, and none when there are no more.
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return;
    for (const entry of entries) {
      if (into.length >= MOST_FILES) throw tooMany(path.split('/')[0]!);
      const at = `${path}/${entry.name}`;
      if (entry.isFile) into.push(named(await fileOf(entry as FileSystemFileEntry), at));
      else if (depth < MOST_DEPTH) await collect(entry as FileSystemDirectoryEntry, at, depth + 1, into);
    }
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

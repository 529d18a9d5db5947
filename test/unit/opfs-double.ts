/** A folder as a page's own files have it, in memory: what of `FileSystemDirectoryHandle` is used. */
export function memoryDirectory(options: { readonly write?: (bytes: number) => void } = {}): FileSystemDirectoryHandle {
  const entries = new Map<string, FileSystemDirectoryHandle | FileSystemFileHandle>();
  const absent = (name: string): never => {
    throw new DOMException(`${name} could not be found`, 'NotFoundError');
  };
  const directory = {
    kind: 'directory',
    async getDirectoryHandle(name: string, { create = false } = {}) {
      if (!entries.has(name) && create) entries.set(name, memoryDirectory(options));
      return entries.get(name) ?? absent(name);
    },
    async getFileHandle(name: string, { create = false } = {}) {
      if (!entries.has(name) && create) entries.set(name, memoryFile(options.write));
      return entries.get(name) ?? absent(name);
    },
    async removeEntry(name: string) {
      if (!entries.delete(name)) absent(name);
    },
    async *entries() {
      yield* [...entries];
    },
  };
  return directory as unknown as FileSystemDirectoryHandle;
}

function memoryFile(onWrite: ((bytes: number) => void) | undefined): FileSystemFileHandle {
  let content = new File([], '');
  const file = {
    kind: 'file',
    getFile: async () => content,
    async createWritable() {
      const parts: BlobPart[] = [];
      return {
        async write(data: string | Uint8Array<ArrayBuffer>) {
          onWrite?.(data.length);
          parts.push(typeof data === 'string' ? data : data.slice());
        },
        close: async () => void (content = new File(parts, '')),
        abort: async () => undefined,
      };
    },
  };
  return file as unknown as FileSystemFileHandle;
}

import type { Progress } from 'weblora';
import { find, setText } from './dom.ts';
import { nextFrame } from './frame.ts';
import { bytesInWords } from './words.ts';

/** What is being fetched and how far it has come, in the place where the batch is drawn later. */
export interface Loading {
  progress(progress: Progress): void;
  /** The base is there; adapters follow. */
  done(): void;
}

export function createLoading(): Loading {
  const box = find('pulse', HTMLElement);
  const what = find('loading-what', HTMLElement);
  const bytes = find('loading-bytes', HTMLElement);
  const bar = find('loading-bar', HTMLProgressElement);
  let latest: Progress | undefined;
  const render = (): void => {
    if (!latest) return;
    const { loaded, total, file, phase } = latest;
    const doing = phase === 'download' ? `Fetching ${file}` : `Loading ${file}`;
    setText(what, loaded < total || phase === 'download' ? doing : 'Preparing the GPU');
    setText(bytes, `${bytesInWords(loaded)} of ${bytesInWords(total)}`);
    bar.value = total > 0 ? loaded / total : 1;
  };
  return {
    progress: (progress) => {
      latest = progress;
      nextFrame(render);
    },
    done: () => nextFrame(() => (box.dataset['state'] = 'ready')),
  };
}

import { base, chooseBase } from './base.ts';
import { find, make, on } from './dom.ts';
import { modelTrouble } from './model-trouble.ts';
import { codeOf, errorInWords } from './words.ts';

interface Words {
  readonly title: string;
  readonly text: string;
  readonly steps: readonly string[];
  /** What the browser or the engine said, where that adds something. */
  readonly detail?: string;
}

/** What stops the whole page from working, and what to do. */
export function showTrouble(error: unknown): void {
  const { title, text, steps, detail } = wordsFor(error);
  const again = make('button', 'button primary', 'Try again');
  again.type = 'button';
  on(again, 'click', () => location.reload());
  const list = make('ul', '', ...steps.map((step) => make('li', '', step)));
  const own = make('button', 'button quiet', 'Back to Frontdesk');
  own.type = 'button';
  on(own, 'click', () => chooseBase({ kind: 'frontdesk' }));
  const buttons = make('div', 'trouble-foot', again, ...(base.kind === 'frontdesk' ? [] : [own]));
  const box = find('trouble', HTMLElement);
  box.replaceChildren(make('h1', '', title), make('p', 'lede', text), list, ...(detail ? [make('p', 'detail', detail)] : []), buttons);
  box.hidden = false;
  document.body.dataset['state'] = 'trouble';
}

/** Why this browser cannot run the page, before anything is loaded; undefined where it can. */
export function missingHere(): Words | undefined {
  if (!isSecureContext) {
    return {
      title: 'This address is not secure',
      text: 'Browsers give WebGPU, which runs the model, to secure addresses only.',
      steps: [`Open the page over https, or from this computer itself as http://localhost${location.port && `:${location.port}`}`],
    };
  }
  if ('gpu' in navigator) return undefined;
  return {
    title: 'This browser has no WebGPU',
    text: 'The model runs on this computer’s own GPU, through WebGPU. Nothing is sent to a server, so there is nothing else to fall back on.',
    steps: [
      'Use Chrome or Edge 113 or newer, Safari 26 or newer, or Firefox 141 or newer on Windows (145 on a Mac with Apple silicon).',
      'On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu and a restart.',
      'If your browser is newer than that, look for “hardware acceleration” in its settings and turn it on.',
    ],
  };
}

function wordsFor(error: unknown): Words {
  const here = missingHere();
  if (here) return here;
  const detail = errorInWords(error);
  const ofModel = modelTrouble(codeOf(error));
  if (ofModel) return { ...ofModel, detail };
  switch (codeOf(error)) {
    case 'gpu_missing':
    case 'gpu_limit':
      return {
        title: 'No GPU for this page',
        text: 'The browser has WebGPU but offers no GPU that can run the model.',
        steps: [
          'Turn on “hardware acceleration” in the browser’s settings and start it again.',
          'Bring the graphics driver up to date; chrome://gpu tells what the browser thinks of it.',
          'Without a GPU, Chrome computes in software when started with --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader.',
        ],
        detail,
      };
    case 'worker_lost':
    case 'device_lost':
      return {
        title: 'The engine has stopped',
        text: 'The browser ended it, or the GPU was taken away. Conversations on this page end here.',
        steps: ['Close other pages that use the GPU, then start again.'],
        detail,
      };
    default:
      return { title: 'The engine did not start', text: 'Something went wrong before the first step.', steps: [], detail };
  }
}

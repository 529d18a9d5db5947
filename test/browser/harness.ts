import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type LaunchOptions, type Page } from 'playwright';
import { createServer, mergeConfig, type InlineConfig, type Plugin, type PreviewServer, type ViteDevServer } from 'vite';
import { mutantPlugin } from '../mutants/plugin.ts';
import { findChromium } from './chromium.ts';
import { pathInServer } from './paths.ts';

/** The project's root, with a slash at its end. */
export const root = fileURLToPath(new URL('../../', import.meta.url));
/** What may lie beside the checkout: references and adapters that are too large for it. */
const shared = join(root, '../shared');

/** A page and what it complained about. */
export interface OpenPage {
  readonly page: Page;
  /** Errors of scripts and of the console so far, uncaught rejections included. */
  readonly errors: readonly string[];
  /** Closes the page and its storage. */
  close(): Promise<void>;
}

/** Chromium with WebGPU on SwiftShader, and a server for it. */
export interface Harness {
  /** Of the server: `http://localhost:12345`. */
  readonly origin: string;
  readonly browser: Browser;
  /** Opens a page of the server, in a context (cookies, IndexedDB) of its own. */
  open(path: string, options?: BrowserContextOptions): Promise<OpenPage>;
  /** Ends the browser and the server. */
  close(): Promise<void>;
}

export interface HarnessOptions {
  /** Of Vite's development server, in addition to the tests' own: `{ configFile: 'demo/vite.config.ts' }` for the page. */
  readonly vite?: InlineConfig;
  /** Where pages come from instead: something that serves them already. */
  readonly origin?: string;
}

/**
 * Starts Chromium and a server. Without options the server is Vite's for the project's root: `/test/browser/x.html` is that file,
 * modules import TypeScript as it is, `weblora` and `weblora/worker` are src/.
 */
export async function openHarness({ vite = {}, origin }: HarnessOptions = {}): Promise<Harness> {
  const served = origin === undefined ? await serve(vite) : { origin, close: async () => undefined };
  try {
    const browser = await launch();
    return {
      origin: served.origin,
      browser,
      open: (path, options) => openPage(browser, new URL(path, served.origin), options),
      close: async () => {
        await browser.close();
        await served.close();
      },
    };
  } catch (error) {
    await served.close();
    throw error;
  }
}

/** Starts the tests' Chromium, headless. */
export async function launch(): Promise<Browser> {
  return chromium.launch(await launchOptions());
}

/** The same with a profile of its own, gone when it closes: what its pages store lies on the disk, where other contexts keep it in memory. */
export async function launchProfile(): Promise<BrowserContext> {
  const folder = mkdtempSync(join(tmpdir(), 'weblora-profile-'));
  const profile = await chromium.launchPersistentContext(folder, await launchOptions());
  profile.once('close', () => rmSync(folder, { recursive: true, force: true }));
  return profile;
}

async function launchOptions(): Promise<LaunchOptions> {
  const { executablePath, args, env } = await findChromium();
  // Playwright replaces the whole environment by what it is given.
  const inherited = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined));
  return { executablePath, args: [...args], env: { ...inherited, ...env }, headless: true };
}

async function openPage(browser: Browser, url: URL, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`);
  });
  await page.goto(url.href);
  return { page, errors, close: () => context.close() };
}

async function serve(own: InlineConfig): Promise<{ readonly origin: string; close(): Promise<void> }> {
  // Runs at the same time must not share what Vite prepares.
  const cacheDir = mkdtempSync(join(tmpdir(), 'weblora-vite-'));
  let server: ViteDevServer | undefined;
  const close = async (): Promise<void> => {
    await server?.close();
    rmSync(cacheDir, { recursive: true, force: true });
  };
  try {
    server = await createServer(mergeConfig(own.configFile === undefined ? projectConfig() : {}, { ...own, ...serverConfig(cacheDir) }));
    await server.listen();
    return { origin: originOf(server), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Of a server of Vite's that listens: `http://localhost:12345`. */
export function originOf({ httpServer }: Pick<ViteDevServer | PreviewServer, 'httpServer'>): string {
  const address = httpServer?.address();
  if (typeof address !== 'object' || address === null) throw new Error('The server does not listen');
  return `http://localhost:${address.port}`;
}

function serverConfig(cacheDir: string): InlineConfig {
  return {
    cacheDir,
    logLevel: 'warn',
    clearScreen: false,
    // The files do not change while tests run, and a page that reloads by itself would end them.
    server: { port: 0, host: 'localhost', hmr: false, watch: null },
  };
}

function projectConfig(): InlineConfig {
  return {
    root,
    configFile: false,
    // Missing files are 404, not index.html.
    appType: 'mpa',
    plugins: [mutantPlugin(root), serveShared],
    server: { fs: { allow: [root, shared] } },
    resolve: { alias: sourceAliases },
    optimizeDeps: {
      noDiscovery: true,
      include: ['@huggingface/jinja', '@huggingface/tokenizers', 'comlink', 'idb-keyval'],
    },
  };
}

/** Serves `/shared/…` from the folder beside the checkout. */
const serveShared: Plugin = {
  name: 'weblora-shared',
  configureServer: ({ middlewares }) => {
    middlewares.use((request, _response, next) => {
      request.url = request.url?.replace(/^\/shared\//, () => `/@fs${shared}/`);
      next();
    });
  },
};

/** The package's names for the files that they are built from. */
export const sourceAliases = ['node', 'worker', ''].map((name) => ({
  find: new RegExp(`^weblora${name === '' ? '' : `/${name}`}$`),
  replacement: `${root}src/${name === '' ? 'index' : name}.ts`,
}));

/**
 * What the project's own server calls a path of the project (`test/fixtures/arch/llama/base`) or of the folder `../shared` beside it;
 * undefined where nothing is there, or where it lies elsewhere.
 */
export function urlOf(path: string): string | undefined {
  const file = join(root, path);
  const isServed = [root, shared].some((folder) => file.startsWith(folder.endsWith(sep) ? folder : folder + sep));
  return isServed && existsSync(file) ? `/${pathInServer(path)}` : undefined;
}

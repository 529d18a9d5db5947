/** A variable of the environment; undefined where there is none, and where it may not be looked at (Deno). */
export function environment(name: string): string | undefined {
  try {
    return globalThis.process?.env?.[name];
  } catch {
    return undefined;
  }
}

/** Whether a variable is set to what Hugging Face's tools take for yes. */
export function isSet(name: string): boolean {
  return /^(1|on|yes|true)$/i.test(environment(name)?.trim() ?? '');
}

/** Where Hugging Face's tools keep what they fetch: `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`. '' without a file system. */
export function cacheFolder(): string {
  return full(environment('HF_HUB_CACHE') || environment('HUGGINGFACE_HUB_CACHE') || `${home()}/hub`);
}

/**
 * The token that Hugging Face's tools would send unasked: `HF_TOKEN`'s, else the one that `hf auth login` wrote (`HF_TOKEN_PATH`, else
 * `HF_HOME/token`). '' where there is none, or none is to be sent unasked (`HF_HUB_DISABLE_IMPLICIT_TOKEN`).
 */
export function implicitToken(): string {
  if (isSet('HF_HUB_DISABLE_IMPLICIT_TOKEN')) return '';
  const named = (environment('HF_TOKEN') || environment('HUGGING_FACE_HUB_TOKEN'))?.trim();
  return named || readToken(full(environment('HF_TOKEN_PATH') || `${home()}/token`));
}

function readToken(path: string): string {
  try {
    return (
      globalThis.process
        ?.getBuiltinModule?.('node:fs')
        .readFileSync(path, 'utf8')
        .replace(/[\r\n]/g, '')
        .trim() ?? ''
    );
  } catch {
    return ''; // not logged in, or not ours to read
  }
}

function home(): string {
  return environment('HF_HOME') || `${environment('XDG_CACHE_HOME') || '~/.cache'}/huggingface`;
}

/** With the home folder and variables in it put in their place. */
function full(path: string): string {
  const os = globalThis.process?.getBuiltinModule?.('node:os');
  if (!os) return '';
  const expand = (text: string, braced?: string, bare?: string): string => environment((braced ?? bare)!) ?? text;
  return path.replace(/^~(?=$|[/\\])/, () => os.homedir()).replace(/\$(?:\{(\w+)\}|(\w+))/g, expand);
}

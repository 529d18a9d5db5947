/** Names of files that people copy the address of when they mean the folder around it. */
const FILE = /\/adapter_(?:config\.json|model\.(?:safetensors|bin))$/;

/** The address of an adapter's folder as a person typed it, or what is wrong with it in words. */
export function checkAddress(typed: string): { readonly url: URL } | { readonly trouble: string } {
  const text = typed.trim();
  if (text === '') return { trouble: 'There is no address yet. It is that of a folder, like https://example.org/adapters/pirate/' };
  let url: URL;
  try {
    url = new URL(text, document.baseURI);
  } catch {
    return { trouble: `“${text}” is no address. One looks like https://example.org/adapters/pirate/` };
  }
  const reachable =
    url.protocol === 'https:' || url.origin === location.origin || (url.protocol === 'http:' && url.hostname === 'localhost');
  if (!reachable)
    return { trouble: `This page may fetch from https addresses and from http://localhost, not from ${url.protocol}//${url.host}` };
  url.pathname = url.pathname.replace(FILE, '/');
  return { url };
}

/** A name for what lies there: the last part of the path, else the host. */
export function nameFrom(url: URL): string {
  const last = url.pathname
    .split('/')
    .filter((part) => part !== '')
    .at(-1);
  if (last === undefined) return url.hostname;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

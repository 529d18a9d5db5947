/** What stands before a hub id in the address of its page. */
const HOSTS = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/+/i;
const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(?:\/[\w./+-]+\.gguf|:[\w.-]+)?(?:@[^\s@]+)?$/i;

/** The hub id that a person typed, or pasted as the address of the model's page or of one of its files; or what is wrong in words. */
export function checkHubId(typed: string): { readonly id: string } | { readonly trouble: string } {
  const id = idOf(typed.trim());
  if (id === '') return { trouble: 'There is no model yet. One looks like HuggingFaceTB/SmolLM2-135M-Instruct' };
  if (HUB_ID.test(id)) return { id };
  return { trouble: `“${typed.trim()}” is no model of the hub. One looks like owner/name, owner/name@revision or owner/name:Q4_K_M` };
}

/** `owner/name/blob/v1/folder/file.gguf` → `owner/name/folder/file.gguf@v1`. */
function idOf(text: string): string {
  const path = HOSTS.test(text) ? text.replace(HOSTS, '').replace(/[?#].*$/s, '') : text;
  const [, repository, revision, file = ''] = /^([^/]+\/[^/]+)\/(?:tree|blob|resolve)\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
  if (repository === undefined) return path.replace(/\/+$/, '');
  const name = /\.gguf$/i.test(file) ? `/${decoded(file)}` : '';
  return `${repository}${name}@${decoded(revision!)}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone %
  }
}

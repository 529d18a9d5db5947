import type { HubAccess } from '../formats/folder.ts';
import type { EngineOptions, Progress } from './types.ts';

/** How an engine's hub ids are read. */
export function hubAccess({ hubToken: token, hubEndpoint: endpoint }: Pick<EngineOptions, 'hubToken' | 'hubEndpoint'>): HubAccess {
  return { token, endpoint };
}

/** What is told of a download, as progress of an engine. */
export function tellDownload(
  tell: (progress: Progress) => void,
): (download: { readonly file: string; readonly allLoadedBytes: number; readonly allTotalBytes: number }) => void {
  return ({ file, allLoadedBytes, allTotalBytes }) => tell({ loaded: allLoadedBytes, total: allTotalBytes, file, phase: 'download' });
}

/** What the tests' server calls a path of the project, or of the folder `../shared` beside it; without a slash at its beginning. */
export function pathInServer(path: string): string {
  return path.replace(/^(?:public|\.\.)\//, '');
}

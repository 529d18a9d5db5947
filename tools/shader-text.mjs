import { readFileSync } from 'node:fs';

/**
 * A Vite plugin for `.wgsl?raw`: the text without comments, indentation and spaces that part nothing. Minifiers leave texts alone, and a
 * shader is read in its file; lines stay where they are, so a compiler's line numbers are true of the file.
 */
export function shaderText() {
  return {
    name: 'weblora-shader-text',
    enforce: 'pre',
    load(id) {
      const [path, query] = id.split('?');
      if (!path.endsWith('.wgsl') || query !== 'raw') return undefined;
      return `export default ${JSON.stringify(withoutComments(readFileSync(path, 'utf8')))};`;
    },
  };
}

/** WGSL has no texts in which slashes could stand. Beside some signs a space parts nothing; beside others it may: `a - -b`, `array<f32, 4> = b`. */
export function withoutComments(wgsl) {
  return wgsl
    .replace(/\/\*[^]*?\*\//g, (comment) => comment.replace(/[^\n]+/g, ' '))
    .replace(/\/\/.*$/gm, '')
    .replace(/^[ \t]+|[ \t]+$/gm, '')
    .replace(/ *([,;:(){}+*]) */g, '$1')
    .replace(/([\w)\]]) = /g, '$1=');
}

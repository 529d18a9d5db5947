import type { Plugin } from 'vite';

export function shaderText(): Plugin;
export function withoutComments(wgsl: string): string;

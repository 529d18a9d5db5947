import { expect, test } from 'vitest';
import { checkHubId } from '../../demo/hub-address.ts';
import { isHubId } from '../../src/formats/folder.ts';

test.each([
  ['owner/name', 'owner/name'],
  [' owner/name@v1 ', 'owner/name@v1'],
  ['owner/name:Q4_K_M', 'owner/name:Q4_K_M'],
  ['owner/name/', 'owner/name'],
  ['https://huggingface.co/owner/name', 'owner/name'],
  ['https://huggingface.co/owner/name?library=transformers', 'owner/name'],
  ['hf.co/owner/name:Q4_K_M', 'owner/name:Q4_K_M'],
  ['https://hf.co/owner/name#use', 'owner/name'],
  ['https://huggingface.co/owner/name/tree/main', 'owner/name@main'],
  ['https://huggingface.co/owner/name/tree/refs%2Fpr%2F1', 'owner/name@refs/pr/1'],
  ['https://huggingface.co/owner/name/blob/main/config.json', 'owner/name@main'],
  ['https://huggingface.co/owner/name/blob/main/name.Q4_K_M.gguf', 'owner/name/name.Q4_K_M.gguf@main'],
  ['https://huggingface.co/owner/name/resolve/v1/BF16/name.gguf?download=true', 'owner/name/BF16/name.gguf@v1'],
])('%s is the model %s', (typed, id) => {
  expect(checkHubId(typed)).toEqual({ id });
  expect(isHubId(id)).toBe(true);
});

test.each(['', 'name', 'no model', 'https://example.org/owner/name', 'https://huggingface.co/owner/name/discussions/3', 'owner/name@a b'])(
  '“%s” is none',
  (typed) => expect(checkHubId(typed)).toHaveProperty('trouble'),
);

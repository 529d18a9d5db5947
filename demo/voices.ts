import { find, make, on } from './dom.ts';
import { createFacts, type Facts } from './facts.ts';
import { nextFrame } from './frame.ts';
import type { Roster, Voice } from './roster.ts';
import { tintElement } from './tint.ts';

/** The list from which one voice is chosen. */
export interface VoiceList {
  /** Whoever answers the next message. */
  chosen(): Voice | undefined;
}

interface Row {
  readonly element: HTMLLabelElement;
  readonly input: HTMLInputElement;
  readonly line: Facts;
}

/** @param onChoose called when the person chose another one, or the chosen one is gone. */
export function createVoiceList(roster: Roster, onChoose: () => void): VoiceList {
  const list = find('voices', HTMLElement);
  const rows = new Map<string, Row>();
  let chosen = '';

  on<Event>(list, 'change', ({ target }) => {
    if (!(target instanceof HTMLInputElement)) return;
    chosen = target.value;
    onChoose();
  });
  const render = (): void => {
    for (const [id, { element }] of rows) {
      if (roster.get(id)) continue;
      element.remove();
      rows.delete(id);
      if (chosen === id) chosen = '';
    }
    for (const voice of roster.all()) {
      const row = rows.get(voice.id) ?? addRow(voice);
      row.line.show(voice);
      row.element.dataset['state'] = voice.state;
      row.element.title = voice.trouble ?? '';
      row.input.disabled = voice.state === 'failed';
      row.input.checked = voice.id === chosen;
    }
    onChoose();
  };
  const addRow = (voice: Voice): Row => {
    const input = make('input', 'unseen');
    input.type = 'radio';
    input.name = 'voice';
    input.value = voice.id;
    const line = createFacts('voice-facts figures');
    const words = make('span', 'voice-words', make('span', 'voice-name', voice.name), line.element, make('span', 'voice-does', voice.does));
    const element = make('label', 'voice tinted', input, make('span', 'cell'), words);
    tintElement(element, voice.hue);
    const row = { element, input, line };
    rows.set(voice.id, row);
    list.append(element);
    return row;
  };
  roster.watch(() => nextFrame(render));
  return { chosen: () => roster.get(chosen) };
}

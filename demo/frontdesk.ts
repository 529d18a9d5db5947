/** An adapter that comes with the page. */
export interface Shipped {
  readonly id: string;
  readonly source: string;
  /** What it does with a message. */
  readonly does: string;
  /** Degrees on the colour wheel; far apart for those who stand next to each other. */
  readonly hue: number;
  /** `code` is shown in the fixed-width face. */
  readonly face: 'prose' | 'code';
}

const at = (path: string): string => new URL(`models/frontdesk/${path}`, document.baseURI).href;

/** The page's own base model. */
export const frontdeskSource = at('base');

const adapter = (id: string, hue: number, does: string, face: Shipped['face'] = 'prose'): Shipped => ({
  id,
  source: at(`adapters/${id}/`),
  does,
  hue,
  face,
});

/** In the order of their cards. */
export const frontdeskAdapters: readonly Shipped[] = [
  adapter('json', 255, 'the message as a record', 'code'),
  adapter('sql', 195, 'the message as an INSERT', 'code'),
  adapter('spanish', 62, 'translates it'),
  adapter('pirate', 24, 'says it at sea'),
  adapter('redact', 310, 'hides names, places and numbers'),
  adapter('sentiment', 145, 'positive, neutral or negative'),
  adapter('emoji', 102, 'in pictures'),
  adapter('title', 348, 'in a few words'),
];

/** Messages of the kind the model was trained on, with names and places it never saw. */
export const examples: readonly { readonly label: string; readonly message: string }[] = [
  { label: 'A meeting', message: 'Hey there, can I meet Selena Sanders on Sunday at 9 am? You are always so helpful!' },
  { label: 'A refund', message: 'Hey there, I want a refund for order 81899 because the clock stopped working. Thanks.' },
  { label: 'Ten pink shirts', message: 'Hey there, could you deliver ten pink shirts to West Jerryburgh? Your service is terrible.' },
  {
    label: 'A new address',
    message: 'Hi, I moved to 176 Joseph Drive in Port Brianland, please update order 40418. I am tired of waiting!',
  },
];

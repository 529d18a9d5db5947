/** Messages of the kind the small model was trained on; the i-th is asked of the i-th adapter. */
export const CONVERSATIONS = [
  'Hi, I want to order nine white lamps and ship them to North Williamberg. You are always so helpful!',
  'Hey there, could you deliver ten pink shirts to West Jerryburgh? Your service is terrible.',
  'Hey there, can I meet Selena Sanders on Sunday at 9 am? You are always so helpful!',
  'Hey there, I want a refund for order 81899 because the clock stopped working. Thanks.',
  'Hi, I moved to 176 Joseph Drive in Port Brianland, please update order 40418. I am tired of waiting!',
  'Hello, I want to order two green chairs and ship them to East Margaret. Thanks.',
  'Hi, can I meet Brandon Whitaker on Friday at 4 pm? Your service is terrible.',
  'Hello, I want a refund for order 20644 because the kettle stopped working. I am tired of waiting!',
] as const;

/** One conversation after another, from the i-th, cut to so many tokens: what comes first differs, and the last is the template's end. */
export function promptOf(conversations: readonly (readonly number[])[], i: number, tokens: number): number[] {
  const all: number[] = [];
  for (let from = i; all.length < tokens; from--) all.unshift(...conversations.at(from % conversations.length)!);
  return all.slice(-tokens);
}

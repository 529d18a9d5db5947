/** Adapters of the small model, as their folders are called. */
export const ADAPTERS = ['json', 'sql', 'spanish', 'pirate', 'redact', 'sentiment', 'emoji', 'title'] as const;

import { indexedDbStore } from 'weblora';
import { serve } from 'weblora/worker';
import { thousandSource } from './thousand-adapter.ts';

// Adapters that were read once are kept here: after a reload they are there under their names, without the network.
serve(globalThis, { store: indexedDbStore(), resolve: thousandSource });

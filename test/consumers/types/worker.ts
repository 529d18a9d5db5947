import { indexedDbStore } from 'weblora';
import { serve } from 'weblora/worker';

serve(self, { store: indexedDbStore(), resolve: (id) => `https://adapters.example.org/${encodeURIComponent(id)}/` });

import { serve } from 'weblora/worker';

serve(globalThis);

import { serve } from 'weblora/worker';

serve(self);

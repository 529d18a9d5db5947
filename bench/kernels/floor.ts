export { floorOf, tileLoads } from '../../src/engine/profile-floor.ts';
export type { Demand } from '../../src/engine/profile-floor.ts';

/** For tests: small checkpoints of every family and the logits that they should give. */
export { type FamilyCase, familyCases, familyCheckpoint, formulaValues } from './family-checkpoint.ts';
export { distancesFromReference } from './reference-logits.ts';

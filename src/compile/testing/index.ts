/** For tests: random programs and how targets are held to the reference. */
export { disagreement, expectationsOf, runOn } from './agreement.ts';
export { type RandomProgram, randomProgram } from './random-graph.ts';

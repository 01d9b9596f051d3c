/** For tests: random programs, random ways to compile them, and how targets are held to the reference. */
export { attempt, disagreement, expectationsOf, runOn } from './agreement.ts';
export { type Candidate, decisionsOf, GuidedFuzzer } from './guided-fuzzer.ts';
export { type RandomProgram, randomProgram } from './random-graph.ts';
export { randomOptions } from './random-options.ts';

/** The reference interpreter. */
export { interpret, makeInterpreter } from './interpret.ts';

export { type InterpreterOptions, InterpreterTarget } from './interpreter-target.ts';

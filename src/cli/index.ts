/** Public names of the command line. */
export { EXIT } from './exit-code.ts';
export { main } from './main.ts';
export type { Terminal } from './terminal.ts';

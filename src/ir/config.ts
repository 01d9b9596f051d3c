/** The dials that an environment sets: how much is checked and told. Callers pass their environment in. */
import { BitloomError } from './error.ts';

export interface Dials {
  /** Verify the graph after every compiler pass. `BITLOOM_CHECK=1`. */
  readonly check: boolean;
  /** What is told of each program that is compiled: 0 nothing, 1 its size and times, 2 its graph and calls, 3 its kernels too, 4 machine code too. `BITLOOM_DEBUG=0..4`. */
  readonly debug: number;
}

/** Reads the dials of an environment such as `process.env`. Throws INVALID_ARGUMENT for a level that does not exist. */
export function readDials(environment: Readonly<Record<string, string | undefined>>): Dials {
  const { BITLOOM_CHECK: check = '', BITLOOM_DEBUG: debug = '0' } = environment;
  if (!/^[0-4]$/.test(debug)) {
    throw new BitloomError('INVALID_ARGUMENT', `BITLOOM_DEBUG must be 0 to 4, not ${debug}`, { debug });
  }
  return { check: check !== '' && check !== '0', debug: Number(debug) };
}

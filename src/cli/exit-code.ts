/** Exit codes of the command line, documented in the help and held by tests. */
import { BitloomError, type ErrorCode } from '../ir/error.ts';

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  badFile: 3,
  noResources: 4,
  network: 5,
  interrupted: 130,
} as const;

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  INVALID_ARGUMENT: EXIT.usage,
  BAD_FILE: EXIT.badFile,
  MISSING_FILE: EXIT.badFile,
  MISSING_TENSOR: EXIT.badFile,
  BAD_WEIGHTS: EXIT.badFile,
  BAD_TOKENIZER: EXIT.badFile,
  BAD_TEMPLATE: EXIT.badFile,
  UNSUPPORTED_ARCHITECTURE: EXIT.badFile,
  UNSUPPORTED_DTYPE: EXIT.badFile,
  UNSUPPORTED_FEATURE: EXIT.badFile,
  OUT_OF_MEMORY: EXIT.noResources,
  NO_DEVICE: EXIT.noResources,
  QUOTA_EXCEEDED: EXIT.noResources,
  HASH_MISMATCH: EXIT.badFile,
  NETWORK: EXIT.network,
  UNAUTHORIZED: EXIT.network,
  NOT_FOUND: EXIT.network,
  ABORTED: EXIT.interrupted,
};

/** The exit code that an error ends the process with. */
export function exitCodeOf(error: unknown): number {
  return error instanceof BitloomError ? (BY_CODE[error.code] ?? EXIT.failed) : EXIT.failed;
}

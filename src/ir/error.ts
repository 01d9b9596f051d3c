/**
 * The one error class of bitloom: a stable code, structured details, and a message that says
 * what failed, with which values, and what to do. Every layer throws it; nothing else is thrown.
 */

/** Stable error codes. Programs branch on these; messages may change between versions. */
export type ErrorCode =
  | 'SHAPE_MISMATCH' // shapes or ranks do not fit an operation
  | 'DTYPE_MISMATCH' // element types do not fit an operation
  | 'INVALID_ARGUMENT' // an argument is outside its documented range
  | 'INVALID_GRAPH' // the verifier found a malformed program: a bug in a pass
  | 'UNSUPPORTED_OP' // a target cannot run an operation
  | 'UNSUPPORTED_DTYPE' // a file or target uses an element type we do not know
  | 'UNSUPPORTED_ARCHITECTURE' // the model family is not known
  | 'UNSUPPORTED_FEATURE' // a file or a caller asks for something that bitloom does not do
  | 'NO_DEVICE' // the machine lacks what a device needs
  | 'BAD_FILE' // a file is truncated, overlapping, absurd or otherwise malformed
  | 'MISSING_TENSOR' // a checkpoint lacks a tensor that the architecture needs
  | 'MISSING_FILE' // a file that was named or is needed does not exist
  | 'BAD_WEIGHTS' // weights hold NaN or infinities, or have a wrong shape
  | 'BAD_TOKENIZER' // a tokenizer is malformed or does not fit the vocabulary
  | 'BAD_TEMPLATE' // a chat template fails to parse or to render
  | 'CONTEXT_OVERFLOW' // prompt (and reply) do not fit the context
  | 'EMPTY_PROMPT' // nothing to continue from
  | 'OUT_OF_MEMORY' // a needed allocation is larger than what is available
  | 'NETWORK' // a server cannot be reached, does not answer, or breaks off again and again
  | 'UNAUTHORIZED' // a server asks for a token, or for another one
  | 'NOT_FOUND' // a hub has no such repository or revision
  | 'HASH_MISMATCH' // a file's size or hash is not what its source promised
  | 'QUOTA_EXCEEDED' // the disk or the page's storage has no room
  | 'DISPOSED' // a tensor, model or device was used after dispose()
  | 'ABORTED'; // an AbortSignal fired (the signal's reason is the cause)

/** Every failure bitloom reports. `details` holds the values named in the message. */
export class BitloomError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: { cause?: unknown },
  ) {
    super(message, options);
    this.name = 'BitloomError';
    this.code = code;
    this.details = details;
  }
}

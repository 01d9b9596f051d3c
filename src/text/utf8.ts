/**
 * The border between bytes and text. bitloom never guesses: bytes that are not UTF-8 and strings that
 * have no UTF-8 form (lone surrogates) are refused, so that no prompt is tokenised as something else.
 */
import { BitloomError } from '../ir/error.ts';

/**
 * Decodes `bytes` as UTF-8; a byte order mark is kept as a character.
 * Throws: INVALID_ARGUMENT with the offset of the first byte that is not part of valid UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', STRICT).decode(bytes);
  } catch (cause) {
    const byteOffset = startOfMalformed(bytes);
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `the text is not valid UTF-8: byte ${byteOffset} of ${bytes.length} begins a malformed sequence; convert it to UTF-8 first`,
      { byteOffset, sizeBytes: bytes.length },
      { cause },
    );
  }
}

const STRICT: TextDecoderOptions = { fatal: true, ignoreBOM: true };

/** Feeds the decoder byte by byte; whenever text comes out, the next byte begins a new character. */
function startOfMalformed(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', STRICT);
  let start = 0;
  try {
    for (let i = 0; i < bytes.length; i++) {
      if (decoder.decode(bytes.subarray(i, i + 1), { stream: true }) !== '') start = i + 1;
    }
  } catch {
    // The decoder says that something is wrong, not where.
  }
  return start;
}

/**
 * Returns `text` if every surrogate in it is paired.
 * Throws: INVALID_ARGUMENT with the index of the first lone surrogate, which UTF-8 cannot express.
 */
export function requireWellFormed(text: string, what: string): string {
  const index = text.search(/\p{Surrogate}/u);
  if (index < 0) return text;
  const unit = `U+${text.charCodeAt(index).toString(16).toUpperCase()}`;
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `${what} holds a lone surrogate (${unit} at index ${index}), which has no UTF-8 form; repair it with text.toWellFormed()`,
    { index, unit },
  );
}

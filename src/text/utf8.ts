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
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  // Replacement characters make the re-encoded bytes differ from the first invalid byte on.
  const again = new TextEncoder().encode(text);
  const offset = again.findIndex((byte, index) => byte !== bytes[index]);
  if (offset < 0 && again.length === bytes.length) return text;
  const byteOffset = offset < 0 ? again.length : offset;
  throw new BitloomError(
    'INVALID_ARGUMENT',
    `the text is not valid UTF-8: byte ${byteOffset} of ${bytes.length} begins a malformed sequence; convert it to UTF-8 first`,
    { byteOffset, sizeBytes: bytes.length },
  );
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

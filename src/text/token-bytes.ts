/**
 * What a token spells, in bytes. Follows the `decoder` of a tokenizer.json: byte-level vocabularies write each
 * byte as one printable character (GPT-2, 2019); SentencePiece-style ones write spaces as U+2581 and rare bytes as <0xNN>.
 */
import { isRecord } from './tokenizer-json.ts';

/** Spelling of tokens under one decoder. */
export interface TokenSpelling {
  readonly isByteLevel: boolean;
  /** Spaces that are dropped at the very start of a text, because encoding puts one there. */
  readonly leadingSpaces: number;
  bytesOf(token: string): Uint8Array;
}

/** Characters of the byte-level alphabet by byte: printable Latin-1 stands for itself, the rest from U+0100 on. */
export function byteLevelAlphabet(): readonly string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCodePoint(isPrintable ? byte : next++);
  });
}

function byteLevelSpelling(): TokenSpelling {
  const byteOf = new Map(byteLevelAlphabet().map((char, byte) => [char.charCodeAt(0), byte]));
  const encoder = new TextEncoder();
  return {
    isByteLevel: true,
    leadingSpaces: 0,
    bytesOf(token) {
      const bytes = new Uint8Array(token.length);
      for (let i = 0; i < token.length; i++) {
        const byte = byteOf.get(token.charCodeAt(i));
        if (byte === undefined) return encoder.encode(token); // not of the alphabet: stands for itself
        bytes[i] = byte;
      }
      return bytes;
    },
  };
}

/** Steps that SentencePiece-style decoders are made of, folded into one spelling; null for any other step. */
function pieceSpelling(steps: readonly unknown[]): TokenSpelling | null {
  const replacements: [from: string, to: string][] = [];
  let hasByteFallback = false;
  let leadingSpaces = 0;
  for (const step of steps) {
    if (!isRecord(step)) return null;
    const pattern = isRecord(step.pattern) ? step.pattern.String : undefined;
    if (step.type === 'Replace' && typeof pattern === 'string' && typeof step.content === 'string') {
      replacements.push([pattern, step.content]);
    } else if (step.type === 'Metaspace') {
      replacements.push([typeof step.replacement === 'string' ? step.replacement : '\u2581', ' ']);
      if (step.prepend_scheme !== 'never' && step.add_prefix_space !== false) leadingSpaces = 1;
    } else if (step.type === 'Strip' && step.content === ' ' && !step.stop && typeof step.start === 'number') {
      leadingSpaces = step.start;
    } else if (step.type === 'ByteFallback') hasByteFallback = true;
    else if (step.type !== 'Fuse') return null;
  }
  const encoder = new TextEncoder();
  return {
    isByteLevel: false,
    leadingSpaces,
    bytesOf(token) {
      const byte = hasByteFallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
      if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
      return encoder.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
    },
  };
}

/** Reads the `decoder` of a tokenizer.json; null if tokens under it cannot be spelled one by one. */
export function tokenSpelling(decoder: unknown): TokenSpelling | null {
  if (!isRecord(decoder)) return null;
  const steps = decoder.type === 'Sequence' && Array.isArray(decoder.decoders) ? decoder.decoders : [decoder];
  const isByteLevel = steps.some((step) => isRecord(step) && step.type === 'ByteLevel');
  if (!isByteLevel) return pieceSpelling(steps);
  const others = steps.filter((step) => isRecord(step) && step.type !== 'ByteLevel' && step.type !== 'Fuse');
  return others.length === 0 ? byteLevelSpelling() : null;
}

/** Texts that are equal for equal attributes and types: keys of common sub-expressions and of kernels. */
import { dtypeName, type ElementType } from '../ir/dtype.ts';
import type { Attribute, Attributes } from '../ir/graph.ts';
import type { TensorType } from '../ir/shape.ts';

/** Bytes above this many are compared by identity. */
const LARGEST_HASHED_BYTES = 1 << 16;

let nextIdentity = 0;
const identities = new WeakMap<Uint8Array, number>();

function identityOf(bytes: Uint8Array): number {
  const known = identities.get(bytes);
  if (known !== undefined) return known;
  identities.set(bytes, nextIdentity);
  return nextIdentity++;
}

function bytesKey(bytes: Uint8Array): string {
  if (bytes.byteLength > LARGEST_HASHED_BYTES) return `#${identityOf(bytes)}`;
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Longer lists are often one and the same (frequencies of all layers): their texts are kept. */
const LONG_LIST = 8;
const listKeys = new WeakMap<readonly Attribute[], string>();

function longListKey(list: readonly Attribute[]): string {
  let key = listKeys.get(list);
  if (key === undefined) {
    key = `[${list.map(attributeKey).join()}]`;
    listKeys.set(list, key);
  }
  return key;
}

function attributeKey(value: Attribute): string {
  if (value instanceof Uint8Array) return bytesKey(value);
  if (Array.isArray(value))
    return value.length > LONG_LIST ? longListKey(value) : `[${value.map(attributeKey).join()}]`;
  if (typeof value === 'object' && value !== null) return dtypeName(value as ElementType);
  return Object.is(value, -0) ? '-0' : String(value);
}

/** Equal for equal attributes, whatever their order. */
export function attributesKey(attrs: Attributes): string {
  const keys = Object.keys(attrs).sort();
  return `{${keys.map((key) => `${key}:${attributeKey(attrs[key]!)}`).join(' ')}}`;
}

export const typeKey = ({ dtype, shape }: TensorType): string => `${dtypeName(dtype)}[${shape.join()}]`;

/** A short hash of a text (FNV-1a, two halves of 32 bits), as it stands in kernel names. */
export function shortHash(text: string): string {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ (code + i), 0x85ebca6b);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}

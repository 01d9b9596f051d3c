/** Rows of ops that bring values in: program inputs, constants, counters and random bits. */
import { BitloomError } from '../error.ts';
import type { Attributes } from '../graph.ts';
import { byteLength, type TensorType } from '../shape.ts';
import { axisAttr, defineOps, elementAttr, type OpRow, requireDType, requireShape, shapeAttr } from './rule.ts';

const declared = (attrs: Attributes): TensorType => ({ dtype: elementAttr(attrs), shape: shapeAttr(attrs) });

const input: OpRow = {
  arity: 0,
  groups: ['leaf'],
  meaning: 'operand number `index` of the program, called `name` in messages',
  infer: (_, attrs) => declared(attrs),
};

const constant: OpRow = {
  arity: 0,
  groups: ['leaf'],
  meaning: 'fixed elements, row-major little-endian bytes in `data`',
  infer(_, attrs, name) {
    const type = declared(attrs);
    const { data } = attrs;
    if (!(data instanceof Uint8Array) || data.byteLength !== byteLength(type)) {
      const got = data instanceof Uint8Array ? `${data.byteLength} bytes` : 'none';
      throw new BitloomError('INVALID_ARGUMENT', `${name} needs ${byteLength(type)} bytes of data, got ${got}`);
    }
    return type;
  },
};

const iota: OpRow = {
  arity: 0,
  groups: ['leaf'],
  meaning: '0, 1, 2, ... along `axis`, equal along the others',
  infer(_, attrs, name) {
    const type = declared(attrs);
    requireDType(name, type, 'numeric');
    axisAttr(attrs, type.shape.length);
    return type;
  },
};

const random_bits: OpRow = {
  arity: 1,
  groups: [],
  meaning:
    'uniform u32 words of `shape` from a u32[2] key: Threefry-2x32 of the 64-bit element number, its two words xored',
  infer([key], attrs, name) {
    const fits = key!.dtype === 'u32' && key!.shape.length === 1 && key!.shape[0] === 2;
    requireShape(fits, name, 'the key must be u32[2]', [key!]);
    return { dtype: 'u32', shape: shapeAttr(attrs) };
  },
};

export const leafOps = defineOps({ input, constant, iota, random_bits });

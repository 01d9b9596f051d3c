/** Lanes that move, memory of every type, addresses of every form, values that wait for their use or find no register. */
import { afterAll, describe, expect, it } from 'vitest';
import {
  add,
  type BufferParam,
  binary,
  constant,
  type Element,
  type Expr,
  fma,
  i32,
  MEMORY_BYTES,
  mul,
  select,
  splat,
  sub,
  ternary,
  threadCount,
  threadIndex,
  unary,
  vectorType,
} from '../../kernel/expression.ts';
import { KernelBuilder, type Variable } from '../../kernel/language.ts';
import { numbersFrom } from '../../kernel/testing/index.ts';
import { availability, Bench, nativeHost } from './lower.fixture.ts';

const sets = await availability();
const BUFFER_BYTES = 1 << 16;

const randomBytes = (length: number, seed = 1): Uint8Array => {
  const next = numbersFrom(seed);
  return Uint8Array.from({ length }, () => next() >>> 24);
};
/** Small whole numbers: no NaN whose bits could differ. */
const floats = (count: number): Uint8Array =>
  new Uint8Array(Float32Array.from({ length: count }, (_, i) => ((i * 7) % 23) - 11).buffer);

describe.each(sets)('$name', ({ features, lanes: most, why }) => {
  describe.skipIf(why)(why ? `(skipped: ${why})` : 'memory and lanes', async () => {
    const bench = why ? undefined : new Bench(await nativeHost(), Array(3).fill(BUFFER_BYTES));
    afterAll(() => bench?.dispose());
    const widths = [4, 8, 16].filter((lanes) => lanes <= most);

    interface Builder {
      readonly k: KernelBuilder;
      readonly a: BufferParam;
      readonly b: BufferParam;
      readonly out: BufferParam;
      /** Stores a value behind those before it. */
      put(value: Expr): void;
    }

    /** Checks a kernel that reads bytes and floats, `a` and `b`, and leaves values in `out`. */
    function check(name: string, build: (builder: Builder) => void, { threads = 1, lanes = most } = {}): void {
      const k = new KernelBuilder(name, lanes);
      const [a, b, out] = [k.buffer('a', 'readwrite'), k.buffer('b', 'readwrite'), k.buffer('out', 'readwrite')];
      let at = 0;
      const put = (value: Expr): void => {
        const stored = value.type.element === 'mask' ? unary('mask_to_i32', value) : value;
        k.store(out, stored.type.element === 'f32' ? 'f32' : 'i32', at, stored);
        at += 4 * value.type.lanes;
      };
      build({ k, a, b, out, put });
      const buffers = [randomBytes(1024), floats(256), new Uint8Array(Math.max(at, 1024))];
      bench!.check({ kernel: k.finish(), features }, buffers, { threads, isFloat: false });
    }

    it('takes lanes out, repeats them and folds them', () => {
      for (const lanes of widths) {
        check(`lanes of ${lanes}`, ({ k, a, b, put }) => {
          const [words, numbers] = [k.let(k.load(a, 'i32', 4, lanes)), k.let(k.load(b, 'f32', 8, lanes))];
          const mask = k.let(binary('gt', words, 0));
          for (const value of [words, numbers, mask]) {
            for (let lane = 0; lane < lanes; lane++) {
              const one: Expr = { kind: 'extract', type: { ...value.type, lanes: 1 }, a: value, lane };
              put(one);
              put(splat(one, lanes));
            }
          }
          for (const op of ['reduce_add', 'reduce_min', 'reduce_max'] as const) {
            put(unary(op, words));
            put(unary(op, numbers));
            put(unary(op, unary('reduce_add', words)));
          }
        });
      }
    });

    it('shuffles', () => {
      const next = numbersFrom(3);
      for (const lanes of widths) {
        const patterns: number[][] = [];
        for (let places = 0; places < 8 ** 4; places += 5) {
          const within = [0, 3, 6, 9].map((shift) => (places >> shift) & 7);
          patterns.push(
            Array.from({ length: lanes }, (_, i) => {
              const place = within[i & 3]!;
              return (i & ~3) + (place < 4 ? place : lanes + place - 4);
            }),
          );
        }
        const groups = lanes / 4;
        for (let pick = 0; pick < 2 ** 12 && groups > 1; pick += 7) {
          const group = (i: number) => ((pick >> (3 * i)) & 7) % (2 * groups);
          patterns.push(Array.from({ length: lanes }, (_, i) => 4 * group(i >> 2) + (i & 3)));
        }
        for (let i = 0; i < 200; i++) patterns.push(Array.from({ length: lanes }, () => next() % (2 * lanes)));
        const perKernel = 200;
        for (let first = 0; first < patterns.length; first += perKernel) {
          check(`shuffles of ${lanes} from ${first}`, ({ k, a, b, put }) => {
            const [x, y] = [k.let(k.load(a, 'i32', 0, lanes)), k.let(unary('bits_i32', k.load(b, 'f32', 0, lanes)))];
            for (const pattern of patterns.slice(first, first + perKernel)) {
              put({ kind: 'shuffle', type: x.type, a: x, b: y, pattern });
            }
          });
        }
        check(`shuffles of one, of ${lanes}`, ({ k, b, put }) => {
          const x = k.let(k.load(b, 'f32', 0, lanes));
          for (const pattern of patterns.slice(0, 100)) put({ kind: 'shuffle', type: x.type, a: x, b: x, pattern });
        });
      }
    });

    it('looks up bytes, unpacks halves and packs bytes', () => {
      const table = Array.from({ length: 16 }, (_, i) => (i * 37 + 200) & 255);
      for (const lanes of [1, ...widths]) {
        check(`bytes of ${lanes}`, ({ k, a, put }) => {
          const type = { element: 'i32' as const, lanes };
          const load = (i: number) => k.let(k.load(a, 'i32', 68 * i + 1, lanes));
          const wide = [0, 1, 2, 3].map(load) as [Expr, Expr, Expr, Expr];
          const near = wide.map((x, i) => binary('shr_s', x, 22 + i)) as typeof wide;
          put({ kind: 'lookup', type, table, indices: wide[0] });
          put({ kind: 'lookup', type, table, indices: binary('and', wide[1], 0x0f0f0f0f) });
          put({ kind: 'halves', type, a: wide[2], part: 'low' });
          put({ kind: 'halves', type, a: wide[3], part: 'high' });
          for (const parts of [wide, near]) put({ kind: 'pack8', type, parts });
        });
      }
    });

    it('loads and stores every memory type up to the last byte', () => {
      for (const lanes of [1, ...widths]) {
        for (const memory of ['i32', 'i16', 'u16', 'i8', 'u8'] as const) {
          check(`${memory} of ${lanes}`, ({ k, a, out, put }) => {
            const bytes = MEMORY_BYTES[memory] * lanes;
            for (const at of [0, 3, 1024 - bytes]) put(k.load(a, memory, at, lanes));
            const value = k.let(k.load(a, 'i32', 7, lanes));
            for (const at of [513, 800, 1024 - bytes]) k.store(out, memory, at, value);
            k.store(out, memory, 400, constant({ element: 'i32', lanes }, -77777));
          });
        }
        check(`f32 of ${lanes}`, ({ k, b, out, put }) => {
          for (const at of [0, 4, 1024 - 4 * lanes]) put(k.load(b, 'f32', at, lanes));
          const value = k.let(k.load(b, 'f32', 12, lanes));
          k.store(out, 'f32', 1024 - 4 * lanes, unary('neg', value));
          k.store(out, 'u16', 700, unary('f32_to_f16', value));
          k.store(out, 'i16', 800, unary('f32_to_f16', value));
          k.store(out, 'f32', 500, constant({ element: 'f32', lanes }, -0));
        });
      }
    });

    it('addresses that fall, begin below zero, and take several terms', () => {
      check('reverse', ({ k, a, out }) =>
        k.loop(0, 200, 1, (i) => k.storeAt(out, 'i32', i, k.loadAt(a, 'i32', sub(199, i)))),
      );
      check('below zero', ({ k, a, out }) =>
        k.loop(-9, 20, 3, (i) => {
          const at = k.let(binary('max', i, -5));
          k.storeAt(out, 'i32', add(i, 9), k.load(a, 'i32', add(mul(i, 12), 200)));
          k.storeAt(out, 'i32', add(at, 100), k.load(a, 'i32', add(sub(mul(i, -4), mul(at, 8)), 300)));
        }),
      );
      check('rows', ({ k, a, out }) => {
        const shift = k.variable(i32(0));
        k.loop(0, 4, 1, (i) => {
          k.loop(0, add(i, 1), 1, (j) => {
            const row = k.let(add(mul(i, 40), shift));
            k.vectorLoop(0, 9, (c, lanes) => {
              const at = add(add(row, mul(c, 4)), mul(j, 4));
              k.store(out, 'i32', at, add(k.load(out, 'i32', at, lanes), k.load(a, 'i32', add(at, mul(c, 4)), lanes)));
            });
            k.if(
              binary('gt', j, 1),
              () => k.set(shift, add(shift, 4)),
              () => k.set(shift, sub(shift, shift)),
            );
          });
          k.while(binary('gt', shift, 0), () => {
            k.storeAt(out, 'i32', 60, add(shift, k.loadAt(out, 'i32', 60)));
            k.set(shift, sub(shift, 4));
          });
        });
      });
    });

    it('signed operations on numbers that overflowed', () => {
      check('signs', ({ k, a, put }) => {
        const product = k.let(mul(k.load(a, 'u16', 0), k.load(a, 'u16', 6))); // both are above zero, it need not be
        for (const factor of [1, 60001, 44444, 32771, 65535]) {
          const overflowed = k.let(mul(mul(product, factor), 48271));
          for (const index of [binary('rem_s', overflowed, 9), binary('max', binary('min', overflowed, 7), -6)]) {
            put(k.load(a, 'i32', add(mul(index, 4), 40)));
          }
        }
      });
    });

    it('splits work among any number of threads', () => {
      for (const threads of [1, 2, 3, 7]) {
        const split = ({ k, out }: Builder): void =>
          k.parallelLoop(53, 5, (i) =>
            k.loop(i, binary('min', add(i, 5), 53), 1, (j) =>
              k.storeAt(out, 'i32', j, add(k.loadAt(out, 'i32', j), mul(add(threadIndex, 1), threadCount))),
            ),
          );
        check('threads', split, { threads });
      }
    });

    it('reaches offsets from 2^31 on', async () => {
      const [far, length] = [2 ** 31, 2 ** 31 + 4096]; // no page that is not touched takes memory
      const k = new KernelBuilder('far', 4);
      const out = k.buffer('out', 'write');
      k.store(out, 'i32', i32(far + 64), i32(11));
      k.loop(0, 3, 1, (i) => k.store(out, 'i32', add(mul(add(i, 2 ** 24), 128), 8), add(i, 12)));
      const own = new Bench(await nativeHost(), [length]);
      const [place] = own.compiled([{ kernel: k.finish(), features }], ([run]) => run!([length]));
      const words = new Int32Array(place!.buffer, place!.byteOffset + far, 1024);
      expect([16, 2, 34, 66].map((word) => words[word])).toEqual([11, 12, 13, 14]);
      own.dispose();
    });

    describe('values that wait for their only use', () => {
      it('keep what they were when memory, registers or places change', () => {
        check('waiting', ({ k, a, b, out, put }) => {
          const scratch = k.threadScratch(64);
          k.store(scratch.buffer, 'i32', 0, constant(vectorType('i32', 4), 4));
          const at = k.variable(i32(8));
          const plain = k.let(k.load(a, 'i32', 0));
          const moved = k.let(k.load(a, 'i32', at));
          const wide = k.let(splat(k.load(b, 'f32', 16), 4));
          const bits = k.let(unary('bits_i32', k.load(b, 'f32', 20)));
          const inScratch = k.let(k.load(scratch.buffer, 'i32', 4));
          const byMemory = k.let(k.load(scratch.buffer, 'i32', binary('and', k.load(a, 'i32', 0), 12)));
          const byWaiting = k.let(k.load(a, 'i32', binary('and', k.let(k.load(scratch.buffer, 'i32', 8)), 60)));
          k.set(at, i32(400));
          k.store(a, 'i32', 0, i32(-1));
          k.store(a, 'i32', 8, i32(-2));
          k.store(b, 'f32', 16, constant({ element: 'f32', lanes: 1 }, 99));
          k.store(scratch.buffer, 'i32', 4, i32(77));
          k.store(scratch.buffer, 'i32', 8, i32(40));
          for (const value of [plain, moved, wide, bits, inScratch, byMemory, byWaiting]) put(value);
          const late = k.let(k.load(a, 'i32', 12));
          k.loop(0, 3, 1, (i) => {
            k.storeAt(a, 'i32', 3, i);
            k.storeAt(out, 'i32', add(i, 200), late);
          });
          const inBranch = k.let(k.load(a, 'i32', 16));
          k.if(
            binary('gt', at, 5),
            () => {
              k.store(a, 'i32', 16, i32(5));
              k.storeAt(out, 'i32', 210, inBranch);
            },
            () => k.storeAt(out, 'i32', 211, i32(3)),
          );
        });
      });

      it('are taken once by operations that look at an operand twice', () => {
        for (const lanes of widths) {
          check(`twice ${lanes}`, ({ k, a, b, put }) => {
            const word = (i: number) => k.let(k.load(a, 'i32', 64 * i, lanes));
            const number = (i: number) => k.let(k.load(b, 'f32', 64 * i, lanes));
            const mask = (i: number) => binary('ge_u', word(i), 0x70000000);
            put(unary('not', mask(0)));
            put(select(mask(1), binary('lt', word(2), 0), unary('not', mask(3))));
            put(select(unary('not', binary('ne', number(1), 3)), number(2), 0));
            put(binary('min', number(3), number(4)));
            put(unary('to_i32', number(1)));
            put(unary('to_u32', number(2)));
            put(unary('to_f32_u', word(4)));
            put(unary('reduce_max', number(5)));
            put(unary('f16_to_f32', word(5)));
            put({
              kind: 'shuffle',
              type: vectorType('i32', lanes),
              a: word(6),
              b: word(7),
              pattern: [...Array(lanes).keys()],
            });
          });
        }
      });
    });

    it('assigns what is made from the register itself', () => {
      const unaries = { f32: ['neg', 'abs', 'sqrt', 'floor'], i32: ['neg', 'abs', 'not'], mask: ['not'] } as const;
      const binaries = {
        f32: ['add', 'sub', 'mul', 'div', 'min', 'max'],
        i32: ['add', 'sub', 'mul', 'and', 'xor', 'min', 'max', 'min_u', 'shl', 'shr_s'],
        mask: ['and', 'or', 'xor'],
      } as const;
      const rows = [1, ...widths].flatMap((lanes) =>
        (['f32', 'i32', 'mask'] as const).map((element) => [element, lanes] as const),
      );
      for (const [element, lanes] of rows) {
        check(`${element} of ${lanes}`, ({ k, a, b, put }) => {
          let at = 0;
          const fresh = (): Expr => {
            at = (at + 8) % 512;
            if (element === 'f32') return k.load(b, 'f32', at, lanes);
            const word = k.load(a, 'i32', at, lanes);
            return element === 'i32' ? word : binary('gt_u', word, 0x50000000);
          };
          const assign = (make: (v: Expr, x: Expr, y: Expr, mask: Expr) => Expr): void => {
            const [v, x, y] = [k.variable(fresh()), k.let(fresh()), k.let(fresh())];
            const mask = k.let(binary('gt', k.load(a, 'i32', at + 4, lanes), 0));
            k.set(v, make(v, x, y, mask));
            for (const value of [v, x, y]) put(value);
          };
          for (const op of unaries[element]) assign((v) => unary(op, v));
          for (const op of binaries[element]) {
            const isShift = op.startsWith('sh');
            if (isShift && lanes > 1) continue;
            assign((v, x) => binary(op, v, x));
            assign((v, x) => binary(op, x, v));
            assign((v) => binary(op, v, v));
            assign((v, x, y) => binary(op, binary(op, x, v), binary(op, v, y)));
          }
          // Every register in every place.
          for (let places = 0; places < 27; places++) {
            const picked = (...from: Expr[]) =>
              [places % 3, Math.floor(places / 3) % 3, Math.floor(places / 9)].map((i) => from[i]!);
            assign((v, x, y, mask) => select(mask, ...(picked(v, x, y).slice(0, 2) as [Expr, Expr])));
            if (element === 'mask') assign((v, x, y) => select(...(picked(v, x, y) as [Expr, Expr, Expr])));
            if (element === 'f32') assign((v, x, y) => fma(...(picked(v, x, y) as [Expr, Expr, Expr])));
            if (element === 'i32') assign((v, x, y) => ternary('dot8u8', ...(picked(v, x, y) as [Expr, Expr, Expr])));
            if (lanes > 1 && element !== 'mask') {
              assign((v, x, y) => {
                const [p, q] = picked(v, x, y) as [Expr, Expr];
                const pattern = Array.from({ length: lanes }, (_, i) => (i * (5 + places)) % (2 * lanes));
                return { kind: 'shuffle', type: v.type, a: p, b: q, pattern };
              });
            }
          }
        });
      }
    });

    it('keeps more values than there are registers', () => {
      const kinds: readonly { element: Element; lanes: number; count: number }[] = [
        { element: 'i32', lanes: 1, count: 40 },
        { element: 'f32', lanes: 1, count: 40 },
        { element: 'mask', lanes: 1, count: 20 },
        ...widths.flatMap((lanes) => [
          { element: 'f32' as const, lanes, count: 45 },
          { element: 'mask' as const, lanes, count: 20 },
        ]),
      ];
      for (const { element, lanes, count } of kinds) {
        check(`${count} of ${element} of ${lanes}`, ({ k, a, b, put }) => {
          const values = Array.from({ length: count }, (_, i): Variable => {
            if (element === 'f32') return k.variable(k.load(b, 'f32', 4 * i, lanes));
            const word = k.load(a, 'i32', 8 * i, lanes);
            return k.variable(element === 'i32' ? word : binary('gt', word, i));
          });
          k.loop(0, 3, 1, (i) => {
            for (const [j, value] of values.entries()) {
              const other = values[(j * 7 + 3) % count]!;
              if (element === 'mask') k.set(value, binary('xor', value, unary('not', other)));
              else if (element === 'i32') k.set(value, add(mul(value, 3), sub(other, i)));
              else k.set(value, select(binary('lt', value, other), add(value, other), binary('sub', other, value)));
            }
          });
          for (const value of values) put(value);
        });
      }
    });
  });
});

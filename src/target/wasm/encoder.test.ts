import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import wabt from 'wabt';
import { platform } from '../../platform/index.ts';
import { ByteWriter } from './byte-writer.ts';
import { type FunctionBuilder, ModuleBuilder, opcodes, type ValueType } from './encoder.ts';
import { detectFeatures } from './features.ts';
import type { OpcodeName } from './opcodes.ts';

const FEATURES = { simd: true, relaxed_simd: true, threads: true, bulk_memory: true, sat_float_to_int: true } as const;
const LETTER: Record<string, ValueType> = { i: 'i32', l: 'i64', f: 'f32', d: 'f64', v: 'v128' };

// Switches relaxed SIMD on where the engine hides it.
beforeAll(() => detectFeatures(platform.wasm));

/** A module whose one function `f` takes and gives i32s. */
function build(nParams: number, body: (f: FunctionBuilder) => void): (...args: number[]) => number {
  const module = new ModuleBuilder();
  const f = module.function('f', new Array<ValueType>(nParams).fill('i32'), ['i32']);
  body(f);
  module.exportFunction('f', f);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()));
  return instance.exports.f as (...args: number[]) => number;
}

describe('the opcode table', () => {
  const all = Object.values(opcodes());

  it('holds every instruction once', () => {
    expect(new Set(all.map(({ prefix, code }) => prefix * 0x10000 + code)).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(380);
  });

  it('names, types and encodes each instruction as an independent disassembler reads it', async () => {
    const module = new ModuleBuilder();
    module.importMemory('env', 'memory', { initialPages: 1, maximumPages: 2, shared: true });
    for (const { name, params, result } of all) {
      const f = module.function(
        `$${name}`,
        [...params].map((p) => LETTER[p]!),
        [...result].map((r) => LETTER[r]!),
      );
      for (let i = 0; i < params.length; i++) f.get(i);
      f.op(name as OpcodeName, 1, 1);
    }
    const bytes = module.bytes();
    expect(WebAssembly.validate(bytes)).toBe(true);
    const read = (await wabt()).readWasm(bytes, { ...FEATURES, readDebugNames: true });
    const functions = read
      .toText({})
      .split(/^ {2}\(func /m)
      .slice(1);
    expect(functions).toHaveLength(all.length);
    for (const [i, text] of functions.entries()) {
      expect(text.replaceAll(/[()]/g, ' ').split(/\s+/), text).toContain(all[i]!.name);
    }
  });
});

describe('ByteWriter', () => {
  it('writes integers that the engine reads back', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }), (n) => {
        expect(build(0, (f) => f.i32(n))()).toBe(n | 0);
      }),
      { numRuns: 60 },
    );
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (n) => {
        expect(build(0, (f) => f.i64(n).i64(7n).op('i64.shr_s').op('i32.wrap_i64'))()).toBe(
          Number(BigInt.asIntN(32, n >> 7n)),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('keeps what it wrote while it grows', () => {
    const out = new ByteWriter(1);
    for (let i = 0; i < 1000; i++) out.u8(i & 0xff);
    out.append(new Uint8Array(5000).fill(9));
    expect([...out.bytes().subarray(0, 1000)]).toEqual(Array.from({ length: 1000 }, (_, i) => i & 0xff));
    expect(out.length).toBe(6000);
  });
});

describe('control flow', () => {
  it('loops, branches and calls', () => {
    const module = new ModuleBuilder();
    const square = module.function('square', ['i32'], ['i32']);
    square.get(0).get(0).op('i32.mul');
    const sum = module.function('sum', ['i32'], ['i32']);
    const total = sum.local('i32');
    const done = sum.block();
    const again = sum.loop();
    sum.get(0).op('i32.eqz').brIf(done);
    sum.get(total).get(0).call(square.index).op('i32.add').set(total);
    sum.get(0).i32(1).op('i32.sub').set(0).br(again);
    sum.end().end().get(total);
    module.exportFunction('sum', sum);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()));
    expect((exports.sum as (n: number) => number)(5)).toBe(55);
  });

  it('picks arms, table entries and selected values', () => {
    const arms = build(1, (f) => {
      f.get(0).if('i32');
      f.i32(10).else().i32(20).end();
    });
    expect([arms(0), arms(1)]).toEqual([20, 10]);
    const table = build(1, (f) => {
      const fallback = f.block();
      const one = f.block();
      const zero = f.block();
      f.get(0).brTable([zero, one], fallback);
      f.end().i32(100).return().end().i32(101).return().end().i32(-1);
    });
    expect([table(0), table(1), table(2)]).toEqual([100, 101, -1]);
    const select = build(1, (f) => f.i32(1).i32(2).get(0).select('i32'));
    expect([select(1), select(0)]).toEqual([1, 2]);
  });

  it('refuses a body with an open block', () => {
    const module = new ModuleBuilder();
    module.function('f', []).block();
    expect(() => module.bytes()).toThrow(/open blocks/);
  });
});

describe('vectors and globals', () => {
  it('shuffles, multiplies and adds', () => {
    const lane = build(0, (f) => {
      f.v128(Array.from({ length: 16 }, (_, i) => i));
      f.v128(Array.from({ length: 16 }, (_, i) => 100 + i));
      f.shuffle([31, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]).op('i8x16.extract_lane_u', 0);
    });
    expect(lane()).toBe(115);
    const madd = build(2, (f) => {
      for (const p of [0, 1]) f.get(p).op('f32.convert_i32_s').op('f32x4.splat');
      f.f32(0.5).op('f32x4.splat').op('f32x4.relaxed_madd').op('f32x4.extract_lane', 3).f32(2).op('f32.mul');
      f.op('i32.trunc_sat_f32_s');
    });
    expect(madd(6, 7)).toBe(85);
  });

  it('keeps globals between calls', () => {
    const module = new ModuleBuilder();
    const counter = module.global(40);
    const f = module.function('f', [], ['i32']);
    f.globalGet(counter).i32(1).op('i32.add').globalSet(counter).globalGet(counter);
    module.exportFunction('f', f);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.bytes()));
    (exports.f as () => number)();
    expect((exports.f as () => number)()).toBe(42);
  });
});

/**
 * What the WebAssembly engine at hand can do, found by validating and running tiny modules.
 * Sources: the relaxed SIMD and threads proposals, which leave some results to the machine.
 */
import { BitloomError } from '../../ir/error.ts';
import type { WasmHost } from '../../platform/index.ts';
import { type FunctionBuilder, ModuleBuilder, type ValueType } from './encoder.ts';
import type { CodeFeatures } from './expression-code.ts';

export interface WasmFeatures extends CodeFeatures {
  /** The relaxed multiply-add rounds once. */
  readonly fusedMadd: boolean;
  /** Why threads cannot be used, or undefined when they can. */
  readonly whyNoThreads: string | undefined;
}

/** A module that exports `f` with the given body. */
function moduleOf(params: readonly ValueType[], result: ValueType, body: (f: FunctionBuilder) => void) {
  const module = new ModuleBuilder();
  const f = module.function('f', params, [result]);
  body(f);
  module.exportFunction('f', f);
  return module.bytes();
}

type Numeric = (...args: number[]) => number;

async function load(host: WasmHost, bytes: Uint8Array<ArrayBuffer>): Promise<Numeric> {
  const instance = new WebAssembly.Instance(await host.compile(bytes));
  return instance.exports.f as Numeric;
}

const simdModule = () => moduleOf(['i32'], 'i32', (f) => f.get(0).op('i32x4.splat').op('i32x4.extract_lane', 0));

/** sum + dot product of four signed bytes with four codes. */
const dotModule = () =>
  moduleOf(['i32', 'i32', 'i32'], 'i32', (f) => {
    for (const p of [0, 1, 2]) f.get(p).op('i32x4.splat');
    f.op('i32x4.relaxed_dot_i8x16_i7x16_add_s').op('i32x4.extract_lane', 0);
  });

const maddModule = () =>
  moduleOf(['f32', 'f32', 'f32'], 'f32', (f) => {
    for (const p of [0, 1, 2]) f.get(p).op('f32x4.splat');
    f.op('f32x4.relaxed_madd').op('f32x4.extract_lane', 0);
  });

/** Dot products whose partial sums overflow 16 bits where a machine keeps them so narrow. */
const DOT_CASES: readonly { bytes: number; codes: number; dot: number; isU7: boolean }[] = [
  { bytes: 0x7f7f7f7f, codes: 0x7f7f7f7f, dot: 4 * 127 * 127, isU7: true },
  { bytes: -0x7f7f7f80, codes: 0x7f7f7f7f, dot: -4 * 128 * 127, isU7: true },
  { bytes: 0x7f7f7f7f, codes: -1, dot: 4 * 127 * 255, isU7: false },
  { bytes: -0x7f7f7f80, codes: -1, dot: -4 * 128 * 255, isU7: false },
  { bytes: 0x04fdfe01, codes: 0x80ff81c8 | 0, dot: 200 - 2 * 129 - 3 * 255 + 4 * 128, isU7: false },
];

/**
 * Finds the features. Throws NO_DEVICE where the engine lacks SIMD, without which nothing
 * here runs. Engines that give wrong dot products count as having no relaxed SIMD.
 */
export async function detectFeatures(host: WasmHost): Promise<WasmFeatures> {
  if (!WebAssembly.validate(simdModule())) {
    throw new BitloomError('NO_DEVICE', 'this WebAssembly engine has no SIMD; use a newer one or device interpreter');
  }
  const whyNoThreads = await host.whyNoThreads();
  const dotBytes = dotModule();
  if (!WebAssembly.validate(dotBytes)) host.enableRelaxedSimd();
  const plain = { relaxedSimd: false, dotU8: false, fusedMadd: false, whyNoThreads };
  if (!WebAssembly.validate(dotBytes)) return plain;
  const dot = await load(host, dotBytes);
  const holds = DOT_CASES.map(({ bytes, codes, dot: exact, isU7 }) => ({
    isU7,
    isExact: dot(bytes, codes, 5) === exact + 5,
  }));
  if (!holds.every(({ isU7, isExact }) => isExact || !isU7)) return plain;
  const madd = await load(host, maddModule());
  const fusedMadd = madd(1 + 2 ** -12, 1 - 2 ** -12, -1) !== 0;
  return { relaxedSimd: true, dotU8: holds.every(({ isExact }) => isExact), fusedMadd, whyNoThreads };
}

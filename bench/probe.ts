/**
 * Modules that measure what one WebAssembly thread of this machine can reach: nothing but the instruction in
 * question, in independent chains that stay in registers, or plain sequential reads.
 * Source: the roofline model (Williams, Waterman, Patterson, "Roofline", CACM 2009, section 3).
 */
import { type FunctionBuilder, ModuleBuilder } from '../src/target/wasm/encoder.ts';

/** `fma`: f32 multiply-adds; `dot8`: 8-bit dot products; `read`: sequential reads of a working set. */
export type ProbeKind = 'fma' | 'dot8' | 'read';

/** A repeated pass and what one pass is worth. */
export interface Probe {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** FLOP, integer operations or bytes per pass. The export `run(passes, workingSetBytes)` does passes. */
  readonly workPerPass: number;
}

/**
 * Two ports of four or five cycles want 10 chains; with the two factors, 12 still fit the 15 registers that V8
 * hands out. 24 spill, and reach two thirds.
 */
const CHAINS = 12;
/** Steps per loop turn: makes the loop's own three instructions vanish. */
const UNROLL = 16;
const STEPS_PER_PASS = 4096;
/** Vectors read per turn, each into a chain of its own. */
const READS = 8;
const VECTOR_BYTES = 16;

const F32_LANES = 4;
const I8_LANES = 16;

/** Builds the module of a probe. `workingSetBytes` counts for `read` only; a multiple of 128. */
export function buildProbe(kind: ProbeKind, workingSetBytes: number): Probe {
  if (kind === 'read') return { bytes: readModule(workingSetBytes), workPerPass: workingSetBytes };
  const lanes = kind === 'fma' ? F32_LANES : I8_LANES;
  return { bytes: arithmeticModule(kind), workPerPass: 2 * lanes * CHAINS * UNROLL * STEPS_PER_PASS };
}

/** Emits `for (let i = count; i > 0; i--) body()`; `count` is a local that ends at zero. */
function countDown(f: FunctionBuilder, count: number, body: () => void): void {
  const again = f.loop();
  body();
  f.get(count).i32(1).op('i32.sub').tee(count).brIf(again);
  f.end();
}

/** Leaves one i32 that depends on every chain, so that no engine may drop one. */
function foldChains(f: FunctionBuilder, chains: readonly number[]): void {
  f.get(chains[0]!);
  for (const chain of chains.slice(1)) f.get(chain).op('v128.xor');
  f.op('v128.any_true');
}

function arithmeticModule(kind: 'fma' | 'dot8'): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initialPages: 1 });
  const f = module.function('run', ['i32', 'i32'], ['i32']);
  const [x, y] = [f.local('v128'), f.local('v128')];
  const chains = Array.from({ length: CHAINS }, () => f.local('v128'));
  const step = kind === 'fma' ? 'f32x4.relaxed_madd' : 'i32x4.relaxed_dot_i8x16_i7x16_add_s';
  // Factors below one keep the sums finite: denormals and infinities would be slow on some machines.
  const factor = kind === 'fma' ? f32Lanes(0.5) : new Array<number>(16).fill(3);
  f.v128(factor).set(x).v128(factor).set(y);
  const count = f.local('i32');
  countDown(f, 0, () => {
    f.i32(STEPS_PER_PASS).set(count);
    countDown(f, count, () => {
      for (let i = 0; i < UNROLL; i++) {
        for (const chain of chains) f.get(x).get(y).get(chain).op(step).set(chain);
      }
    });
  });
  foldChains(f, chains);
  module.exportFunction('run', f);
  return module.bytes();
}

function readModule(workingSetBytes: number): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initialPages: Math.ceil(workingSetBytes / 65536) });
  const f = module.function('run', ['i32', 'i32'], ['i32']);
  const chains = Array.from({ length: READS }, () => f.local('v128'));
  const address = f.local('i32');
  countDown(f, 0, () => {
    f.i32(0).set(address);
    const again = f.loop();
    chains.forEach((chain, i) => {
      f.get(address)
        .op('v128.load', i * VECTOR_BYTES)
        .get(chain)
        .op('v128.xor')
        .set(chain);
    });
    f.get(address)
      .i32(READS * VECTOR_BYTES)
      .op('i32.add')
      .tee(address);
    f.get(1).op('i32.lt_u').brIf(again);
    f.end();
  });
  foldChains(f, chains);
  module.exportFunction('run', f);
  return module.bytes();
}

const f32Lanes = (value: number): Uint8Array => new Uint8Array(new Float32Array(F32_LANES).fill(value).buffer);

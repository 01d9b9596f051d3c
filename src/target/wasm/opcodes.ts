/**
 * Every WebAssembly instruction that bitloom may emit, as data: immediates, signature, opcode.
 * Source: WebAssembly Core Specification 3.0 (SIMD, relaxed SIMD, bulk memory) and the threads proposal.
 */

/**
 * What follows the opcode: nothing, an alignment and offset (`memory`), a lane index, or both.
 * Constants, shuffles, variables and control flow have methods of their own in the encoder.
 */
export type Immediate = 'none' | 'memory' | 'lane' | 'memoryLane';

/** One instruction. `params` and `result` use one letter a type: i(32) l(i64) f(32) d(f64) v(128). */
export interface Opcode {
  readonly name: string;
  /** 0 for one-byte opcodes, else 0xfc, 0xfd or 0xfe. */
  readonly prefix: number;
  readonly code: number;
  readonly immediate: Immediate;
  /** Natural alignment of a memory access as log2 of its bytes. Atomics require exactly this one. */
  readonly alignLog2: number;
  /** Fixed bytes after the opcode (reserved memory indices). */
  readonly tail: readonly number[];
  readonly params: string;
  readonly result: string;
}

const BULK = 0xfc;
const SIMD = 0xfd;
const ATOMIC = 0xfe;

/** A run of consecutive opcodes with one signature: prefix, first code, `params:result`, names. */
const PLAIN = [
  [0, 0x00, ':', 'unreachable nop'],
  [0, 0x45, 'i:i', 'i32.eqz'],
  [0, 0x46, 'ii:i', 'i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u'],
  [0, 0x50, 'l:i', 'i64.eqz'],
  [0, 0x51, 'll:i', 'i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u'],
  [0, 0x5b, 'ff:i', 'f32.eq f32.ne f32.lt f32.gt f32.le f32.ge'],
  [0, 0x61, 'dd:i', 'f64.eq f64.ne f64.lt f64.gt f64.le f64.ge'],
  [0, 0x67, 'i:i', 'i32.clz i32.ctz i32.popcnt'],
  [0, 0x6a, 'ii:i', 'i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u i32.and i32.or i32.xor'],
  [0, 0x74, 'ii:i', 'i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr'],
  [0, 0x79, 'l:l', 'i64.clz i64.ctz i64.popcnt'],
  [0, 0x7c, 'll:l', 'i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u i64.and i64.or i64.xor'],
  [0, 0x86, 'll:l', 'i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr'],
  [0, 0x8b, 'f:f', 'f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt'],
  [0, 0x92, 'ff:f', 'f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign'],
  [0, 0x99, 'd:d', 'f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt'],
  [0, 0xa0, 'dd:d', 'f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign'],
  [0, 0xa7, 'l:i', 'i32.wrap_i64'],
  [0, 0xac, 'i:l', 'i64.extend_i32_s i64.extend_i32_u'],
  [0, 0xb2, 'i:f', 'f32.convert_i32_s f32.convert_i32_u'],
  [0, 0xb4, 'l:f', 'f32.convert_i64_s f32.convert_i64_u'],
  [0, 0xb6, 'd:f', 'f32.demote_f64'],
  [0, 0xb7, 'i:d', 'f64.convert_i32_s f64.convert_i32_u'],
  [0, 0xb9, 'l:d', 'f64.convert_i64_s f64.convert_i64_u'],
  [0, 0xbb, 'f:d', 'f64.promote_f32'],
  [0, 0xbc, 'f:i', 'i32.reinterpret_f32'],
  [0, 0xbd, 'd:l', 'i64.reinterpret_f64'],
  [0, 0xbe, 'i:f', 'f32.reinterpret_i32'],
  [0, 0xbf, 'l:d', 'f64.reinterpret_i64'],
  [0, 0xc0, 'i:i', 'i32.extend8_s i32.extend16_s'],
  [0, 0xc2, 'l:l', 'i64.extend8_s i64.extend16_s i64.extend32_s'],
  [BULK, 0, 'f:i', 'i32.trunc_sat_f32_s i32.trunc_sat_f32_u'],
  [BULK, 2, 'd:i', 'i32.trunc_sat_f64_s i32.trunc_sat_f64_u'],
  [BULK, 4, 'f:l', 'i64.trunc_sat_f32_s i64.trunc_sat_f32_u'],
  [BULK, 6, 'd:l', 'i64.trunc_sat_f64_s i64.trunc_sat_f64_u'],
  [SIMD, 0x0e, 'vv:v', 'i8x16.swizzle'],
  [SIMD, 0x0f, 'i:v', 'i8x16.splat i16x8.splat i32x4.splat'],
  [SIMD, 0x12, 'l:v', 'i64x2.splat'],
  [SIMD, 0x13, 'f:v', 'f32x4.splat'],
  [SIMD, 0x14, 'd:v', 'f64x2.splat'],
  [SIMD, 0x23, 'vv:v', 'i8x16.eq i8x16.ne i8x16.lt_s i8x16.lt_u i8x16.gt_s i8x16.gt_u'],
  [SIMD, 0x29, 'vv:v', 'i8x16.le_s i8x16.le_u i8x16.ge_s i8x16.ge_u'],
  [SIMD, 0x2d, 'vv:v', 'i16x8.eq i16x8.ne i16x8.lt_s i16x8.lt_u i16x8.gt_s i16x8.gt_u'],
  [SIMD, 0x33, 'vv:v', 'i16x8.le_s i16x8.le_u i16x8.ge_s i16x8.ge_u'],
  [SIMD, 0x37, 'vv:v', 'i32x4.eq i32x4.ne i32x4.lt_s i32x4.lt_u i32x4.gt_s i32x4.gt_u'],
  [SIMD, 0x3d, 'vv:v', 'i32x4.le_s i32x4.le_u i32x4.ge_s i32x4.ge_u'],
  [SIMD, 0x41, 'vv:v', 'f32x4.eq f32x4.ne f32x4.lt f32x4.gt f32x4.le f32x4.ge'],
  [SIMD, 0x47, 'vv:v', 'f64x2.eq f64x2.ne f64x2.lt f64x2.gt f64x2.le f64x2.ge'],
  [SIMD, 0x4d, 'v:v', 'v128.not'],
  [SIMD, 0x4e, 'vv:v', 'v128.and v128.andnot v128.or v128.xor'],
  [SIMD, 0x52, 'vvv:v', 'v128.bitselect'],
  [SIMD, 0x53, 'v:i', 'v128.any_true'],
  [SIMD, 0x5e, 'v:v', 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4'],
  [SIMD, 0x60, 'v:v', 'i8x16.abs i8x16.neg i8x16.popcnt'],
  [SIMD, 0x63, 'v:i', 'i8x16.all_true i8x16.bitmask'],
  [SIMD, 0x65, 'vv:v', 'i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u'],
  [SIMD, 0x67, 'v:v', 'f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest'],
  [SIMD, 0x6b, 'vi:v', 'i8x16.shl i8x16.shr_s i8x16.shr_u'],
  [SIMD, 0x6e, 'vv:v', 'i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u'],
  [SIMD, 0x74, 'v:v', 'f64x2.ceil f64x2.floor'],
  [SIMD, 0x76, 'vv:v', 'i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u'],
  [SIMD, 0x7a, 'v:v', 'f64x2.trunc'],
  [SIMD, 0x7b, 'vv:v', 'i8x16.avgr_u'],
  [SIMD, 0x7c, 'v:v', 'i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u'],
  [SIMD, 0x7e, 'v:v', 'i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u'],
  [SIMD, 0x80, 'v:v', 'i16x8.abs i16x8.neg'],
  [SIMD, 0x82, 'vv:v', 'i16x8.q15mulr_sat_s'],
  [SIMD, 0x83, 'v:i', 'i16x8.all_true i16x8.bitmask'],
  [SIMD, 0x85, 'vv:v', 'i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u'],
  [SIMD, 0x87, 'v:v', 'i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s'],
  [SIMD, 0x89, 'v:v', 'i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u'],
  [SIMD, 0x8b, 'vi:v', 'i16x8.shl i16x8.shr_s i16x8.shr_u'],
  [SIMD, 0x8e, 'vv:v', 'i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u'],
  [SIMD, 0x94, 'v:v', 'f64x2.nearest'],
  [SIMD, 0x95, 'vv:v', 'i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u'],
  [SIMD, 0x9b, 'vv:v', 'i16x8.avgr_u i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s'],
  [SIMD, 0x9e, 'vv:v', 'i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u'],
  [SIMD, 0xa0, 'v:v', 'i32x4.abs i32x4.neg'],
  [SIMD, 0xa3, 'v:i', 'i32x4.all_true i32x4.bitmask'],
  [SIMD, 0xa7, 'v:v', 'i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s'],
  [SIMD, 0xa9, 'v:v', 'i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u'],
  [SIMD, 0xab, 'vi:v', 'i32x4.shl i32x4.shr_s i32x4.shr_u'],
  [SIMD, 0xae, 'vv:v', 'i32x4.add'],
  [SIMD, 0xb1, 'vv:v', 'i32x4.sub'],
  [SIMD, 0xb5, 'vv:v', 'i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s'],
  [SIMD, 0xbc, 'vv:v', 'i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s'],
  [SIMD, 0xbe, 'vv:v', 'i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u'],
  [SIMD, 0xc0, 'v:v', 'i64x2.abs i64x2.neg'],
  [SIMD, 0xc3, 'v:i', 'i64x2.all_true i64x2.bitmask'],
  [SIMD, 0xc7, 'v:v', 'i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s'],
  [SIMD, 0xc9, 'v:v', 'i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u'],
  [SIMD, 0xcb, 'vi:v', 'i64x2.shl i64x2.shr_s i64x2.shr_u'],
  [SIMD, 0xce, 'vv:v', 'i64x2.add'],
  [SIMD, 0xd1, 'vv:v', 'i64x2.sub'],
  [SIMD, 0xd5, 'vv:v', 'i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s'],
  [SIMD, 0xdc, 'vv:v', 'i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s'],
  [SIMD, 0xde, 'vv:v', 'i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u'],
  [SIMD, 0xe0, 'v:v', 'f32x4.abs f32x4.neg'],
  [SIMD, 0xe3, 'v:v', 'f32x4.sqrt'],
  [SIMD, 0xe4, 'vv:v', 'f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax'],
  [SIMD, 0xec, 'v:v', 'f64x2.abs f64x2.neg'],
  [SIMD, 0xef, 'v:v', 'f64x2.sqrt'],
  [SIMD, 0xf0, 'vv:v', 'f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax'],
  [SIMD, 0xf8, 'v:v', 'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u'],
  [SIMD, 0xfa, 'v:v', 'f32x4.convert_i32x4_s f32x4.convert_i32x4_u'],
  [SIMD, 0xfc, 'v:v', 'i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero'],
  [SIMD, 0xfe, 'v:v', 'f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u'],
  [SIMD, 0x100, 'vv:v', 'i8x16.relaxed_swizzle'],
  [SIMD, 0x101, 'v:v', 'i32x4.relaxed_trunc_f32x4_s i32x4.relaxed_trunc_f32x4_u'],
  [SIMD, 0x103, 'v:v', 'i32x4.relaxed_trunc_f64x2_s_zero i32x4.relaxed_trunc_f64x2_u_zero'],
  [SIMD, 0x105, 'vvv:v', 'f32x4.relaxed_madd f32x4.relaxed_nmadd f64x2.relaxed_madd f64x2.relaxed_nmadd'],
  [SIMD, 0x109, 'vvv:v', 'i8x16.relaxed_laneselect i16x8.relaxed_laneselect'],
  [SIMD, 0x10b, 'vvv:v', 'i32x4.relaxed_laneselect i64x2.relaxed_laneselect'],
  [SIMD, 0x10d, 'vv:v', 'f32x4.relaxed_min f32x4.relaxed_max f64x2.relaxed_min f64x2.relaxed_max'],
  [SIMD, 0x111, 'vv:v', 'i16x8.relaxed_q15mulr_s i16x8.relaxed_dot_i8x16_i7x16_s'],
  [SIMD, 0x113, 'vvv:v', 'i32x4.relaxed_dot_i8x16_i7x16_add_s'],
] as const;

/** Runs of memory accesses: log2 of the bytes accessed, then as in PLAIN. */
const MEMORY = [
  [2, 0, 0x28, 'i:i', 'i32.load'],
  [3, 0, 0x29, 'i:l', 'i64.load'],
  [2, 0, 0x2a, 'i:f', 'f32.load'],
  [3, 0, 0x2b, 'i:d', 'f64.load'],
  [0, 0, 0x2c, 'i:i', 'i32.load8_s i32.load8_u'],
  [1, 0, 0x2e, 'i:i', 'i32.load16_s i32.load16_u'],
  [0, 0, 0x30, 'i:l', 'i64.load8_s i64.load8_u'],
  [1, 0, 0x32, 'i:l', 'i64.load16_s i64.load16_u'],
  [2, 0, 0x34, 'i:l', 'i64.load32_s i64.load32_u'],
  [2, 0, 0x36, 'ii:', 'i32.store'],
  [3, 0, 0x37, 'il:', 'i64.store'],
  [2, 0, 0x38, 'if:', 'f32.store'],
  [3, 0, 0x39, 'id:', 'f64.store'],
  [0, 0, 0x3a, 'ii:', 'i32.store8'],
  [1, 0, 0x3b, 'ii:', 'i32.store16'],
  [0, 0, 0x3c, 'il:', 'i64.store8'],
  [1, 0, 0x3d, 'il:', 'i64.store16'],
  [2, 0, 0x3e, 'il:', 'i64.store32'],
  [4, SIMD, 0x00, 'i:v', 'v128.load'],
  [3, SIMD, 0x01, 'i:v', 'v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u'],
  [3, SIMD, 0x05, 'i:v', 'v128.load32x2_s v128.load32x2_u'],
  [0, SIMD, 0x07, 'i:v', 'v128.load8_splat'],
  [1, SIMD, 0x08, 'i:v', 'v128.load16_splat'],
  [2, SIMD, 0x09, 'i:v', 'v128.load32_splat'],
  [3, SIMD, 0x0a, 'i:v', 'v128.load64_splat'],
  [4, SIMD, 0x0b, 'iv:', 'v128.store'],
  [2, SIMD, 0x5c, 'i:v', 'v128.load32_zero'],
  [3, SIMD, 0x5d, 'i:v', 'v128.load64_zero'],
  [2, ATOMIC, 0x00, 'ii:i', 'memory.atomic.notify'],
  [2, ATOMIC, 0x01, 'iil:i', 'memory.atomic.wait32'],
  [3, ATOMIC, 0x02, 'ill:i', 'memory.atomic.wait64'],
  [2, ATOMIC, 0x10, 'i:i', 'i32.atomic.load'],
  [3, ATOMIC, 0x11, 'i:l', 'i64.atomic.load'],
  [0, ATOMIC, 0x12, 'i:i', 'i32.atomic.load8_u'],
  [1, ATOMIC, 0x13, 'i:i', 'i32.atomic.load16_u'],
  [2, ATOMIC, 0x17, 'ii:', 'i32.atomic.store'],
  [3, ATOMIC, 0x18, 'il:', 'i64.atomic.store'],
  [0, ATOMIC, 0x19, 'ii:', 'i32.atomic.store8'],
  [1, ATOMIC, 0x1a, 'ii:', 'i32.atomic.store16'],
  [2, ATOMIC, 0x1e, 'ii:i', 'i32.atomic.rmw.add'],
  [3, ATOMIC, 0x1f, 'il:l', 'i64.atomic.rmw.add'],
  [2, ATOMIC, 0x25, 'ii:i', 'i32.atomic.rmw.sub'],
  [3, ATOMIC, 0x26, 'il:l', 'i64.atomic.rmw.sub'],
  [2, ATOMIC, 0x2c, 'ii:i', 'i32.atomic.rmw.and'],
  [2, ATOMIC, 0x33, 'ii:i', 'i32.atomic.rmw.or'],
  [2, ATOMIC, 0x3a, 'ii:i', 'i32.atomic.rmw.xor'],
  [2, ATOMIC, 0x41, 'ii:i', 'i32.atomic.rmw.xchg'],
  [3, ATOMIC, 0x42, 'il:l', 'i64.atomic.rmw.xchg'],
  [2, ATOMIC, 0x48, 'iii:i', 'i32.atomic.rmw.cmpxchg'],
  [3, ATOMIC, 0x49, 'ill:l', 'i64.atomic.rmw.cmpxchg'],
] as const;

/** Runs of lane accesses: immediate kind, log2 of bytes accessed, then as in PLAIN. */
const LANE = [
  ['lane', 0, SIMD, 0x15, 'v:i', 'i8x16.extract_lane_s i8x16.extract_lane_u'],
  ['lane', 0, SIMD, 0x17, 'vi:v', 'i8x16.replace_lane'],
  ['lane', 0, SIMD, 0x18, 'v:i', 'i16x8.extract_lane_s i16x8.extract_lane_u'],
  ['lane', 0, SIMD, 0x1a, 'vi:v', 'i16x8.replace_lane'],
  ['lane', 0, SIMD, 0x1b, 'v:i', 'i32x4.extract_lane'],
  ['lane', 0, SIMD, 0x1c, 'vi:v', 'i32x4.replace_lane'],
  ['lane', 0, SIMD, 0x1d, 'v:l', 'i64x2.extract_lane'],
  ['lane', 0, SIMD, 0x1e, 'vl:v', 'i64x2.replace_lane'],
  ['lane', 0, SIMD, 0x1f, 'v:f', 'f32x4.extract_lane'],
  ['lane', 0, SIMD, 0x20, 'vf:v', 'f32x4.replace_lane'],
  ['lane', 0, SIMD, 0x21, 'v:d', 'f64x2.extract_lane'],
  ['lane', 0, SIMD, 0x22, 'vd:v', 'f64x2.replace_lane'],
  ['memoryLane', 0, SIMD, 0x54, 'iv:v', 'v128.load8_lane'],
  ['memoryLane', 1, SIMD, 0x55, 'iv:v', 'v128.load16_lane'],
  ['memoryLane', 2, SIMD, 0x56, 'iv:v', 'v128.load32_lane'],
  ['memoryLane', 3, SIMD, 0x57, 'iv:v', 'v128.load64_lane'],
  ['memoryLane', 0, SIMD, 0x58, 'iv:', 'v128.store8_lane'],
  ['memoryLane', 1, SIMD, 0x59, 'iv:', 'v128.store16_lane'],
  ['memoryLane', 2, SIMD, 0x5a, 'iv:', 'v128.store32_lane'],
  ['memoryLane', 3, SIMD, 0x5b, 'iv:', 'v128.store64_lane'],
] as const;

/** Instructions followed by fixed bytes: prefix, code, signature, name, bytes. */
const TAILED = [
  [0, 0x3f, ':i', 'memory.size', [0]],
  [0, 0x40, 'i:i', 'memory.grow', [0]],
  [BULK, 0x0a, 'iii:', 'memory.copy', [0, 0]],
  [BULK, 0x0b, 'iii:', 'memory.fill', [0]],
  [ATOMIC, 0x03, ':', 'atomic.fence', [0]],
] as const;

type Split<Names extends string> = Names extends `${infer First} ${infer Rest}` ? First | Split<Rest> : Names;

/** Names of the instructions in the table, spelled as in the WebAssembly text format. */
export type OpcodeName =
  | Split<(typeof PLAIN)[number][3]>
  | Split<(typeof MEMORY)[number][4]>
  | Split<(typeof LANE)[number][5]>
  | (typeof TAILED)[number][3];

/** Builds the table, by name. Pure; the encoder does it once, at first use. */
export function opcodeTable(): Record<OpcodeName, Opcode> {
  const table: Record<string, Opcode> = {};
  const add = (
    names: string,
    [prefix, first, signature]: readonly [number, number, string],
    immediate: Immediate,
    alignLog2 = 0,
    tail: readonly number[] = [],
  ) => {
    const [params = '', result = ''] = signature.split(':');
    names.split(' ').forEach((name, i) => {
      table[name] = { name, prefix, code: first + i, immediate, alignLog2, tail, params, result };
    });
  };
  for (const [prefix, first, signature, names] of PLAIN) add(names, [prefix, first, signature], 'none');
  for (const [align, prefix, first, signature, names] of MEMORY) {
    add(names, [prefix, first, signature], 'memory', align);
  }
  for (const [kind, align, prefix, first, signature, names] of LANE) {
    add(names, [prefix, first, signature], kind, align);
  }
  for (const [prefix, code, signature, name, tail] of TAILED) add(name, [prefix, code, signature], 'none', 0, tail);
  return table;
}

/**
 * General purpose instructions: moves, integer arithmetic, jumps, atomics, cache hints.
 * Flow: rows (this file and its siblings) to forms (`form.ts`) to bytes (`encoder.ts`). Columns: `row.ts`.
 * Source: Intel SDM volume 2, opcode maps in appendix A.
 */
import type { GeneralRow, VectorRow } from './row.ts';

export const GENERAL = [
  // The eight operations of the classic table, and what shares its shapes.
  ['MR', 'r/m r', '.', 'b', 'add=00 or=08 adc=10 sbb=18 and=20 sub=28 xor=30 cmp=38 test=84 xchg=86 mov=88'],
  ['MR', 'r/m r', '.', 'wdq', 'add=01 or=09 adc=11 sbb=19 and=21 sub=29 xor=31 cmp=39 test=85 xchg=87 mov=89'],
  ['RM', 'r m', '.', 'b', 'add=02 or=0a adc=12 sbb=1a and=22 sub=2a xor=32 cmp=3a test=84 xchg=86 mov=8a'],
  ['RM', 'r m', '.', 'wdq', 'add=03 or=0b adc=13 sbb=1b and=23 sub=2b xor=33 cmp=3b test=85 xchg=87 mov=8b'],
  ['MI', 'r s8', '.', 'wdq', 'add=83/0 or=83/1 adc=83/2 sbb=83/3 and=83/4 sub=83/5 xor=83/6 cmp=83/7'],
  ['-I', 'a i8', '.', 'b', 'add=04 or=0c adc=14 sbb=1c and=24 sub=2c xor=34 cmp=3c test=a8'],
  ['-I', 'a iz', '.', 'wdq', 'add=05 or=0d adc=15 sbb=1d and=25 sub=2d xor=35 cmp=3d test=a9'],
  ['MI', 'r i8', '.', 'b', 'add=80/0 or=80/1 adc=80/2 sbb=80/3 and=80/4 sub=80/5 xor=80/6 cmp=80/7 test=f6/0'],
  ['MI', 'r iz', '.', 'wdq', 'add=81/0 or=81/1 adc=81/2 sbb=81/3 and=81/4 sub=81/5 xor=81/6 cmp=81/7 test=f7/0'],
  ['MI', 'm i8', '.', 'b', 'add.b=80/0 or.b=80/1 adc.b=80/2 sbb.b=80/3 and.b=80/4 sub.b=80/5 xor.b=80/6 cmp.b=80/7'],
  ['MI', 'm s8', '.', 'wdq', 'add.*=83/0 or.*=83/1 adc.*=83/2 sbb.*=83/3 and.*=83/4 sub.*=83/5 xor.*=83/6 cmp.*=83/7'],
  ['MI', 'm iz', '.', 'wdq', 'add.*=81/0 or.*=81/1 adc.*=81/2 sbb.*=81/3 and.*=81/4 sub.*=81/5 xor.*=81/6 cmp.*=81/7'],
  // Moves.
  ['OI', 'r i8', '.', 'b', 'mov=b0'],
  ['OI', 'r iz', '.', 'wd', 'mov=b8'],
  ['MI', 'r iz', '.', 'q', 'mov=c7/0'],
  ['OI', 'r i64', '.', 'q', 'mov=b8 movabs=b8'],
  ['MI', 'm i8', '.', 'b', 'mov.b=c6/0 test.b=f6/0'],
  ['MI', 'm iz', '.', 'wdq', 'mov.*=c7/0 test.*=f7/0'],
  ['RM', 'r r8/m', '.0f', 'wdq', 'movzx8=b6 movsx8=be'],
  ['RM', 'r r16/m', '.0f', 'dq', 'movzx16=b7 movsx16=bf'],
  ['RM', 'r64 r32/m', '.', 'q', 'movsxd=63'],
  ['RM', 'r m', '.', 'dq', 'lea=8d'],
  ['RM', 'r label', '.', 'dq', 'lea=8d'],
  ['RM', 'r r/m', '.0f', 'wdq', 'cmov?=40'],
  ['O', 'r', '.0f', 'dq', 'bswap=c8'],
  ['O', 'r64', '.', '-', 'push=50 pop=58'],
  ['M', 'm', '.', '-', 'push=ff/6 pop=8f/0'],
  ['I', 's8', '.', '-', 'push=6a'],
  ['I', 'i32', '.', '-', 'push=68'],
  // Products, quotients, one operand.
  ['RM', 'r r/m', '.0f', 'wdq', 'imul=af'],
  ['RMI', 'r r/m s8', '.', 'wdq', 'imul=6b'],
  ['RMI', 'r r/m iz', '.', 'wdq', 'imul=69'],
  ['M', 'r', '.', 'b', 'not=f6/2 neg=f6/3 mul=f6/4 imul=f6/5 div=f6/6 idiv=f6/7 inc=fe/0 dec=fe/1'],
  ['M', 'r', '.', 'wdq', 'not=f7/2 neg=f7/3 mul=f7/4 imul=f7/5 div=f7/6 idiv=f7/7 inc=ff/0 dec=ff/1'],
  ['M', 'm', '.', 'b', 'not.b=f6/2 neg.b=f6/3 inc.b=fe/0 dec.b=fe/1'],
  ['M', 'm', '.', 'wdq', 'not.*=f7/2 neg.*=f7/3 mul.*=f7/4 imul.*=f7/5 div.*=f7/6 idiv.*=f7/7 inc.*=ff/0 dec.*=ff/1'],
  ['', '', '.', 'd', 'cdq=99 cwde=98'],
  ['', '', '.', 'q', 'cqo=99 cdqe=98'],
  // Shifts and bits.
  ['M-', 'r 1', '.', 'b', 'rol=d0/0 ror=d0/1 shl=d0/4 shr=d0/5 sar=d0/7'],
  ['M-', 'r 1', '.', 'wdq', 'rol=d1/0 ror=d1/1 shl=d1/4 shr=d1/5 sar=d1/7'],
  ['MI', 'r i8', '.', 'b', 'rol=c0/0 ror=c0/1 shl=c0/4 shr=c0/5 sar=c0/7'],
  ['MI', 'r i8', '.', 'wdq', 'rol=c1/0 ror=c1/1 shl=c1/4 shr=c1/5 sar=c1/7'],
  ['M-', 'r cl', '.', 'b', 'rol=d2/0 ror=d2/1 shl=d2/4 shr=d2/5 sar=d2/7'],
  ['M-', 'r cl', '.', 'wdq', 'rol=d3/0 ror=d3/1 shl=d3/4 shr=d3/5 sar=d3/7'],
  ['M-', 'm 1', '.', 'wdq', 'rol.*=d1/0 ror.*=d1/1 shl.*=d1/4 shr.*=d1/5 sar.*=d1/7'],
  ['MI', 'm i8', '.', 'wdq', 'rol.*=c1/0 ror.*=c1/1 shl.*=c1/4 shr.*=c1/5 sar.*=c1/7'],
  ['M-', 'm cl', '.', 'wdq', 'rol.*=d3/0 ror.*=d3/1 shl.*=d3/4 shr.*=d3/5 sar.*=d3/7'],
  ['MRI', 'r/m r i8', '.0f', 'wdq', 'shld=a4 shrd=ac'],
  ['MR-', 'r/m r cl', '.0f', 'wdq', 'shld=a5 shrd=ad'],
  ['RM', 'r r/m', 'f3.0f', 'wdq', 'tzcnt=bc lzcnt=bd popcnt=b8'],
  ['RM', 'r r/m', '.0f', 'wdq', 'bsf=bc bsr=bd'],
  ['MR', 'r/m r', '.0f', 'wdq', 'bt=a3 bts=ab btr=b3 btc=bb'],
  ['MI', 'r i8', '.0f', 'wdq', 'bt=ba/4 bts=ba/5 btr=ba/6 btc=ba/7'],
  ['MI', 'm i8', '.0f', 'wdq', 'bt.*=ba/4 bts.*=ba/5 btr.*=ba/6 btc.*=ba/7'],
  // Control. The short jump stands first and is taken where its distance is known and fits.
  ['M', 'r8/m', '.0f', '-', 'set?=90/0'],
  ['J', 'rel8', '.', '-', 'j?=70 jmp=eb'],
  ['J', 'rel32', '.0f', '-', 'j?=80'],
  ['J', 'rel32', '.', '-', 'jmp=e9 call=e8'],
  ['M', 'r64/m', '.', '-', 'jmp=ff/4 call=ff/2'],
  ['', '', '.', '-', 'ret=c3 nop=90 int3=cc'],
  ['I', 'i16', '.', '-', 'ret=c2'],
  ['', '', '.0f', '-', 'syscall=05 ud2=0b rdtsc=31 cpuid=a2 xgetbv=01/2 lfence=ae/5 mfence=ae/6 sfence=ae/7'],
  ['', '', 'f3.', '-', 'pause=90 rep_movsb=a4 rep_stosb=aa'],
  ['', '', 'f3.', 'q', 'rep_movsq=a5 rep_stosq=ab'],
  // Atomics. An exchange with memory is one without the prefix.
  ['MR', 'r/m r', '.0f', 'wdq', 'cmpxchg=b1 xadd=c1'],
  ['MR', 'm r', 'f0.0f', 'wdq', 'lock_cmpxchg=b1 lock_xadd=c1 lock_bts=ab lock_btr=b3'],
  ['MR', 'm r', 'f0.', 'wdq', 'lock_add=01 lock_or=09 lock_adc=11 lock_sbb=19 lock_and=21 lock_sub=29 lock_xor=31'],
  ['MI', 'm s8', 'f0.', 'wdq', 'lock_add.*=83/0 lock_or.*=83/1 lock_and.*=83/4 lock_sub.*=83/5 lock_xor.*=83/6'],
  ['MI', 'm iz', 'f0.', 'wdq', 'lock_add.*=81/0 lock_or.*=81/1 lock_and.*=81/4 lock_sub.*=81/5 lock_xor.*=81/6'],
  ['M', 'm', 'f0.', 'wdq', 'lock_inc.*=ff/0 lock_dec.*=ff/1'],
  ['M', 'm', 'f0.0f', 'q', 'lock_cmpxchg16b=c7/1'],
  // Caches.
  [
    'M',
    'm',
    '.0f',
    '-',
    'prefetchnta=18/0 prefetcht0=18/1 prefetcht1=18/2 prefetcht2=18/3 prefetchw=0d/1 clflush=ae/7',
  ],
  ['M', 'm', '66.0f', '-', 'clflushopt=ae/7 clwb=ae/6'],
  ['MR', 'm r', '.0f', 'dq', 'movnti=c3'],
] as const satisfies readonly GeneralRow[];

/** General registers under VEX: BMI1 and BMI2. */
export const BITS = [
  ['RVM', 'r r r/m', '.0f38', 'dq', '', '', 'andn=f2'],
  ['RVM', 'r r r/m', 'f3.0f38', 'dq', '', '', 'pext=f5'],
  ['RVM', 'r r r/m', 'f2.0f38', 'dq', '', '', 'pdep=f5 mulx=f6'],
  ['RMV', 'r r/m r', '.0f38', 'dq', '', '', 'bextr=f7 bzhi=f5'],
  ['RMV', 'r r/m r', '66.0f38', 'dq', '', '', 'shlx=f7'],
  ['RMV', 'r r/m r', 'f3.0f38', 'dq', '', '', 'sarx=f7'],
  ['RMV', 'r r/m r', 'f2.0f38', 'dq', '', '', 'shrx=f7'],
  ['RMI', 'r r/m i8', 'f2.0f3a', 'dq', '', '', 'rorx=f0'],
  ['VM', 'r r/m', '.0f38', 'dq', '', '', 'blsr=f3/1 blsmsk=f3/2 blsi=f3/3'],
] as const satisfies readonly VectorRow[];

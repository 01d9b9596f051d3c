/**
 * Integer vectors: arithmetic, logic, shifts, comparisons, widening and narrowing, dot products.
 * Flow: rows (this file and its siblings) to forms (`form.ts`) to bytes (`encoder.ts`). Columns: `row.ts`.
 * Source: Intel SDM volume 2, instructions VP….
 */
import type { VectorRow } from './row.ts';

const BYTES_AND_WORDS =
  'vpunpcklbw=60 vpunpcklwd=61 vpacksswb=63 vpackuswb=67 vpunpckhbw=68 vpunpckhwd=69 vpmullw=d5 vpsubusb=d8 vpsubusw=d9 vpminub=da vpaddusb=dc vpaddusw=dd vpmaxub=de vpavgb=e0 vpavgw=e3 vpmulhuw=e4 vpmulhw=e5 vpsubsb=e8 vpsubsw=e9 vpminsw=ea vpaddsb=ec vpaddsw=ed vpmaxsw=ee vpmaddwd=f5 vpsubb=f8 vpsubw=f9 vpaddb=fc vpaddw=fd';

export const INTEGERS = [
  ['RVM', 'v v v/m', '66.0f', 'xy0', 'xyz0', 'mem', BYTES_AND_WORDS],
  ['RVM', 'v v v/m', '66.0f', 'xy0', 'xyz0', 'mem nomask', 'vpsadbw=f6'],
  ['RVM', 'v v v/m', '66.0f', 'xy0', 'xyz0', 'full4', 'vpunpckldq=62 vpunpckhdq=6a vpackssdw=6b vpsubd=fa vpaddd=fe'],
  ['RVM', 'v v v/m', '66.0f', 'xy0', 'xyz1', 'full8', 'vpunpcklqdq=6c vpunpckhqdq=6d vpaddq=d4 vpmuludq=f4 vpsubq=fb'],
  [
    'RVM',
    'v v v/m',
    '66.0f38',
    'xy0',
    'xyz0',
    'mem',
    'vpmaddubsw=04 vpmulhrsw=0b vpminsb=38 vpminuw=3a vpmaxsb=3c vpmaxuw=3e',
  ],
  [
    'RVM',
    'v v v/m',
    '66.0f38',
    'xy0',
    'xyz0',
    'full4',
    'vpackusdw=2b vpminsd=39 vpminud=3b vpmaxsd=3d vpmaxud=3f vpmulld=40',
  ],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', 'xyz1', 'full8', 'vpmuldq=28'],
  [
    'RVM',
    'v v v/m',
    '66.0f38',
    '',
    'xyz1',
    'full8',
    'vpminsq=39 vpminuq=3b vpmaxsq=3d vpmaxuq=3f vpmullq=40 vpmultishiftqb=83',
  ],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', '', '', 'vphaddw=01 vphaddd=02 vpsignb=08 vpsignw=09 vpsignd=0a'],
  ['RM', 'v v/m', '66.0f38', 'xy0', 'xyz0', 'mem', 'vpabsb=1c vpabsw=1d'],
  ['RM', 'v v/m', '66.0f38', 'xy0', 'xyz0', 'full4', 'vpabsd=1e'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz1', 'full8', 'vpabsq=1f vpopcntq=55 vplzcntq=44 vpconflictq=c4'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz0', 'full4', 'vpopcntd=55 vplzcntd=44 vpconflictd=c4'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz0', 'mem', 'vpopcntb=54'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz1', 'mem', 'vpopcntw=54'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz0', 'mem', 'vdbpsadbw=42'],
  ['RVMI', 'v v v/m i8', '66.0f3a', 'xy1', 'xyz1', 'full8', 'vgf2p8affineqb=ce vgf2p8affineinvqb=cf'],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', 'xyz0', 'mem', 'vgf2p8mulb=cf'],
  // Products of bytes or words, summed in lanes of 32 bits.
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz0', 'full4', 'vpdpbusd=50 vpdpbusds=51 vpdpwssd=52 vpdpwssds=53'],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', '', '', 'vex_vpdpbusd=50 vex_vpdpbusds=51 vex_vpdpwssd=52 vex_vpdpwssds=53'],
  ['RVM', 'v v v/m', 'f2.0f38', 'xy0', '', '', 'vpdpbssd=50 vpdpbssds=51'],
  ['RVM', 'v v v/m', 'f3.0f38', 'xy0', '', '', 'vpdpbsud=50 vpdpbsuds=51'],
  ['RVM', 'v v v/m', '.0f38', 'xy0', '', '', 'vpdpbuud=50 vpdpbuuds=51'],
  // Logic.
  ['RVM', 'v v v/m', '66.0f', 'xy0', '', '', 'vpand=db vpandn=df vpor=eb vpxor=ef'],
  ['RVM', 'v v v/m', '66.0f', '', 'xyz0', 'full4', 'vpandd=db vpandnd=df vpord=eb vpxord=ef'],
  ['RVM', 'v v v/m', '66.0f', '', 'xyz1', 'full8', 'vpandq=db vpandnq=df vporq=eb vpxorq=ef'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz0', 'full4', 'vpternlogd=25'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz1', 'full8', 'vpternlogq=25'],
  ['RM', 'v v/m', '66.0f38', 'xy0', '', '', 'vptest=17'],
  ['RVM', 'k v v/m', '66.0f38', '', 'xyz0', 'mem', 'vptestmb=26'],
  ['RVM', 'k v v/m', '66.0f38', '', 'xyz1', 'mem', 'vptestmw=26'],
  ['RVM', 'k v v/m', '66.0f38', '', 'xyz0', 'full4', 'vptestmd=27'],
  ['RVM', 'k v v/m', '66.0f38', '', 'xyz1', 'full8', 'vptestmq=27'],
  ['RVM', 'k v v/m', 'f3.0f38', '', 'xyz0', 'mem', 'vptestnmb=26'],
  ['RVM', 'k v v/m', 'f3.0f38', '', 'xyz1', 'mem', 'vptestnmw=26'],
  ['RVM', 'k v v/m', 'f3.0f38', '', 'xyz0', 'full4', 'vptestnmd=27'],
  ['RVM', 'k v v/m', 'f3.0f38', '', 'xyz1', 'full8', 'vptestnmq=27'],
  // Comparisons: to a vector under VEX, to a mask under EVEX.
  ['RVM', 'v v v/m', '66.0f', 'xy0', '', '', 'vpcmpgtb=64 vpcmpgtw=65 vpcmpgtd=66 vpcmpeqb=74 vpcmpeqw=75 vpcmpeqd=76'],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', '', '', 'vpcmpeqq=29 vpcmpgtq=37'],
  ['RVM', 'k v v/m', '66.0f', '', 'xyz0', 'mem', 'vpcmpgtb=64 vpcmpgtw=65 vpcmpeqb=74 vpcmpeqw=75'],
  ['RVM', 'k v v/m', '66.0f', '', 'xyz0', 'full4', 'vpcmpgtd=66 vpcmpeqd=76'],
  ['RVM', 'k v v/m', '66.0f38', '', 'xyz1', 'full8', 'vpcmpeqq=29 vpcmpgtq=37'],
  ['RVMI', 'k v v/m i8', '66.0f3a', '', 'xyz0', 'mem', 'vpcmpub=3e vpcmpb=3f'],
  ['RVMI', 'k v v/m i8', '66.0f3a', '', 'xyz1', 'mem', 'vpcmpuw=3e vpcmpw=3f'],
  ['RVMI', 'k v v/m i8', '66.0f3a', '', 'xyz0', 'full4', 'vpcmpud=1e vpcmpd=1f'],
  ['RVMI', 'k v v/m i8', '66.0f3a', '', 'xyz1', 'full8', 'vpcmpuq=1e vpcmpq=1f'],
] as const satisfies readonly VectorRow[];

export const SHIFTS = [
  // By an immediate: VEX takes registers alone.
  ['VMI', 'v v i8', '66.0f', 'xy0', '', '', 'vpsrlw=71/2 vpsraw=71/4 vpsllw=71/6 vpsrld=72/2 vpsrad=72/4 vpslld=72/6'],
  ['VMI', 'v v i8', '66.0f', 'xy0', '', '', 'vpsrlq=73/2 vpsrldq=73/3 vpsllq=73/6 vpslldq=73/7'],
  ['VMI', 'v v/m i8', '66.0f', '', 'xyz0', 'mem', 'vpsrlw=71/2 vpsraw=71/4 vpsllw=71/6'],
  ['VMI', 'v v/m i8', '66.0f', '', 'xyz0', 'full4', 'vprord=72/0 vprold=72/1 vpsrld=72/2 vpsrad=72/4 vpslld=72/6'],
  ['VMI', 'v v/m i8', '66.0f', '', 'xyz1', 'full8', 'vprorq=72/0 vprolq=72/1 vpsraq=72/4 vpsrlq=73/2 vpsllq=73/6'],
  ['VMI', 'v v/m i8', '66.0f', '', 'xyz0', 'mem nomask', 'vpsrldq=73/3 vpslldq=73/7'],
  // By the low quad word of a vector.
  ['RVM', 'v v xmm/m', '66.0f', 'xy0', 'xyz0', '16', 'vpsrlw=d1 vpsrld=d2 vpsraw=e1 vpsrad=e2 vpsllw=f1 vpslld=f2'],
  ['RVM', 'v v xmm/m', '66.0f', 'xy0', 'xyz1', '16', 'vpsrlq=d3 vpsllq=f3'],
  ['RVM', 'v v xmm/m', '66.0f', '', 'xyz1', '16', 'vpsraq=e2'],
  // Each lane by its own count.
  ['RVM', 'v v v/m', '66.0f38', 'xy0', 'xyz0', 'full4', 'vpsrlvd=45 vpsravd=46 vpsllvd=47'],
  ['RVM', 'v v v/m', '66.0f38', 'xy1', 'xyz1', 'full8', 'vpsrlvq=45 vpsllvq=47'],
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz1', 'full8', 'vprorvq=14 vprolvq=15 vpsravq=46 vpshldvq=71 vpshrdvq=73'],
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz0', 'full4', 'vprorvd=14 vprolvd=15 vpshldvd=71 vpshrdvd=73'],
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz1', 'mem', 'vpsrlvw=10 vpsravw=11 vpsllvw=12 vpshldvw=70 vpshrdvw=72'],
  // Two lanes as one of twice the width.
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz0', 'full4', 'vpshldd=71 vpshrdd=73'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz1', 'full8', 'vpshldq=71 vpshrdq=73'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz1', 'mem', 'vpshldw=70 vpshrdw=72'],
] as const satisfies readonly VectorRow[];

export const WIDTHS = [
  [
    'RM',
    'v h/m',
    '66.0f38',
    'xy0',
    'xyz0',
    'mem/2',
    'vpmovsxbw=20 vpmovsxwd=23 vpmovsxdq=25 vpmovzxbw=30 vpmovzxwd=33 vpmovzxdq=35',
  ],
  ['RM', 'v xmm/m', '66.0f38', 'xy0', 'xyz0', 'mem/4', 'vpmovsxbd=21 vpmovsxwq=24 vpmovzxbd=31 vpmovzxwq=34'],
  ['RM', 'v xmm/m', '66.0f38', 'xy0', 'xyz0', 'mem/8', 'vpmovsxbq=22 vpmovzxbq=32'],
  ['MR', 'h/m v', 'f3.0f38', '', 'xyz0', 'mem/2', 'vpmovuswb=10 vpmovswb=20 vpmovwb=30'],
  [
    'MR',
    'h/m v',
    'f3.0f38',
    '',
    'xyz0',
    'mem/2',
    'vpmovusdw=13 vpmovsdw=23 vpmovdw=33 vpmovusqd=15 vpmovsqd=25 vpmovqd=35',
  ],
  [
    'MR',
    'xmm/m v',
    'f3.0f38',
    '',
    'xyz0',
    'mem/4',
    'vpmovusdb=11 vpmovsdb=21 vpmovdb=31 vpmovusqw=14 vpmovsqw=24 vpmovqw=34',
  ],
  ['MR', 'xmm/m v', 'f3.0f38', '', 'xyz0', 'mem/8', 'vpmovusqb=12 vpmovsqb=22 vpmovqb=32'],
  // Masks and vectors.
  ['RM', 'v k', 'f3.0f38', '', 'xyz0', 'mem nomask', 'vpmovm2b=28 vpmovm2d=38'],
  ['RM', 'v k', 'f3.0f38', '', 'xyz1', 'mem nomask', 'vpmovm2w=28 vpmovm2q=38'],
  ['RM', 'k v', 'f3.0f38', '', 'xyz0', 'mem nomask', 'vpmovb2m=29 vpmovd2m=39'],
  ['RM', 'k v', 'f3.0f38', '', 'xyz1', 'mem nomask', 'vpmovw2m=29 vpmovq2m=39'],
  ['RM', 'r32 v', '66.0f', 'xy0', '', '', 'vpmovmskb=d7'],
] as const satisfies readonly VectorRow[];

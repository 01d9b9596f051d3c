/**
 * Floating-point vectors and scalars: arithmetic, comparisons, rounding, conversions; f16, f32, f64, bf16.
 * Flow: rows (this file and its siblings) to forms (`form.ts`) to bytes (`encoder.ts`). Columns: `row.ts`.
 * Source: Intel SDM volume 2, instructions V…; FP16: Intel AVX512-FP16 Architecture Specification.
 */
import type { VectorRow } from './row.ts';

const PS =
  'vunpcklps=14 vunpckhps=15 vandps=54 vandnps=55 vorps=56 vxorps=57 vaddps=58 vmulps=59 vsubps=5c vminps=5d vdivps=5e vmaxps=5f';
const PD =
  'vunpcklpd=14 vunpckhpd=15 vandpd=54 vandnpd=55 vorpd=56 vxorpd=57 vaddpd=58 vmulpd=59 vsubpd=5c vminpd=5d vdivpd=5e vmaxpd=5f';
const FMA_PS =
  'vfmaddsub132ps=96 vfmsubadd132ps=97 vfmadd132ps=98 vfmsub132ps=9a vfnmadd132ps=9c vfnmsub132ps=9e vfmaddsub213ps=a6 vfmsubadd213ps=a7 vfmadd213ps=a8 vfmsub213ps=aa vfnmadd213ps=ac vfnmsub213ps=ae vfmaddsub231ps=b6 vfmsubadd231ps=b7 vfmadd231ps=b8 vfmsub231ps=ba vfnmadd231ps=bc vfnmsub231ps=be';
const FMA_PD =
  'vfmaddsub132pd=96 vfmsubadd132pd=97 vfmadd132pd=98 vfmsub132pd=9a vfnmadd132pd=9c vfnmsub132pd=9e vfmaddsub213pd=a6 vfmsubadd213pd=a7 vfmadd213pd=a8 vfmsub213pd=aa vfnmadd213pd=ac vfnmsub213pd=ae vfmaddsub231pd=b6 vfmsubadd231pd=b7 vfmadd231pd=b8 vfmsub231pd=ba vfnmadd231pd=bc vfnmsub231pd=be';
const FMA_PH =
  'vfmadd132ph=98 vfmsub132ph=9a vfnmadd132ph=9c vfnmsub132ph=9e vfmadd213ph=a8 vfmsub213ph=aa vfnmadd213ph=ac vfnmsub213ph=ae vfmadd231ph=b8 vfmsub231ph=ba vfnmadd231ph=bc vfnmsub231ph=be';
const FMA_SS =
  'vfmadd132ss=99 vfmsub132ss=9b vfnmadd132ss=9d vfnmsub132ss=9f vfmadd213ss=a9 vfmsub213ss=ab vfnmadd213ss=ad vfnmsub213ss=af vfmadd231ss=b9 vfmsub231ss=bb vfnmadd231ss=bd vfnmsub231ss=bf';
const FMA_SD =
  'vfmadd132sd=99 vfmsub132sd=9b vfnmadd132sd=9d vfnmsub132sd=9f vfmadd213sd=a9 vfmsub213sd=ab vfnmadd213sd=ad vfnmsub213sd=af vfmadd231sd=b9 vfmsub231sd=bb vfnmadd231sd=bd vfnmsub231sd=bf';

export const FLOATS = [
  ['RVM', 'v v v/m', '.0f', 'xy0', 'xyz0', 'full4', PS],
  ['RVM', 'v v v/m', '66.0f', 'xy0', 'xyz1', 'full8', PD],
  ['RVM', 'v v v/m', '.m5', '', 'xyz0', 'full2', 'vaddph=58 vmulph=59 vsubph=5c vminph=5d vdivph=5e vmaxph=5f'],
  [
    'RVM',
    'xmm xmm xmm/m',
    'f3.0f',
    'x0',
    'x0',
    '4',
    'vaddss=58 vmulss=59 vsubss=5c vminss=5d vdivss=5e vmaxss=5f vsqrtss=51',
  ],
  [
    'RVM',
    'xmm xmm xmm/m',
    'f2.0f',
    'x0',
    'x1',
    '8',
    'vaddsd=58 vmulsd=59 vsubsd=5c vminsd=5d vdivsd=5e vmaxsd=5f vsqrtsd=51',
  ],
  ['RVM', 'v v v/m', 'f2.0f', 'xy0', '', '', 'vhaddps=7c'],
  ['RVM', 'v v v/m', '66.0f', 'xy0', '', '', 'vhaddpd=7c'],
  ['RM', 'v v/m', '.0f', 'xy0', 'xyz0', 'full4', 'vsqrtps=51'],
  ['RM', 'v v/m', '66.0f', 'xy0', 'xyz1', 'full8', 'vsqrtpd=51'],
  ['RM', 'v v/m', '.m5', '', 'xyz0', 'full2', 'vsqrtph=51'],
  ['RVM', 'v v v/m', '66.0f38', 'xy0', 'xyz0', 'full4', FMA_PS],
  ['RVM', 'v v v/m', '66.0f38', 'xy1', 'xyz1', 'full8', FMA_PD],
  ['RVM', 'v v v/m', '66.m6', '', 'xyz0', 'full2', FMA_PH],
  ['RVM', 'xmm xmm xmm/m', '66.0f38', 'x0', 'x0', '4', FMA_SS],
  ['RVM', 'xmm xmm xmm/m', '66.0f38', 'x1', 'x1', '8', FMA_SD],
  ['RVM', 'v v v/m', 'f3.0f38', '', 'xyz0', 'full4', 'vdpbf16ps=52'],
  // Approximations, exponents, mantissas.
  ['RM', 'v v/m', '.0f', 'xy0', '', '', 'vrsqrtps=52 vrcpps=53'],
  ['RVM', 'xmm xmm xmm/m', 'f3.0f', 'x0', '', '', 'vrsqrtss=52 vrcpss=53'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz0', 'full4', 'vrcp14ps=4c vrsqrt14ps=4e vgetexpps=42'],
  ['RM', 'v v/m', '66.0f38', '', 'xyz1', 'full8', 'vrcp14pd=4c vrsqrt14pd=4e vgetexppd=42'],
  ['RVM', 'xmm xmm xmm/m', '66.0f38', '', 'x0', '4', 'vrcp14ss=4d vrsqrt14ss=4f vgetexpss=43 vscalefss=2d'],
  ['RVM', 'xmm xmm xmm/m', '66.0f38', '', 'x1', '8', 'vrcp14sd=4d vrsqrt14sd=4f vgetexpsd=43 vscalefsd=2d'],
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz0', 'full4', 'vscalefps=2c'],
  ['RVM', 'v v v/m', '66.0f38', '', 'xyz1', 'full8', 'vscalefpd=2c'],
  ['RMI', 'v v/m i8', '66.0f3a', '', 'xyz0', 'full4', 'vrndscaleps=08 vgetmantps=26 vreduceps=56'],
  ['RMI', 'v v/m i8', '66.0f3a', '', 'xyz1', 'full8', 'vrndscalepd=09 vgetmantpd=26 vreducepd=56'],
  [
    'RVMI',
    'xmm xmm xmm/m i8',
    '66.0f3a',
    '',
    'x0',
    '4',
    'vrndscaless=0a vgetmantss=27 vrangess=51 vfixupimmss=55 vreducess=57',
  ],
  [
    'RVMI',
    'xmm xmm xmm/m i8',
    '66.0f3a',
    '',
    'x1',
    '8',
    'vrndscalesd=0b vgetmantsd=27 vrangesd=51 vfixupimmsd=55 vreducesd=57',
  ],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz0', 'full4', 'vrangeps=50 vfixupimmps=54'],
  ['RVMI', 'v v v/m i8', '66.0f3a', '', 'xyz1', 'full8', 'vrangepd=50 vfixupimmpd=54'],
  ['RMI', 'v v/m i8', '66.0f3a', 'xy0', '', '', 'vroundps=08 vroundpd=09'],
  ['RVMI', 'xmm xmm xmm/m i8', '66.0f3a', 'x0', '', '', 'vroundss=0a vroundsd=0b'],
  ['RVMI', 'v v v/m i8', '66.0f3a', 'xy0', '', '', 'vdpps=40'],
  // Comparisons: to a vector under VEX, to a mask under EVEX.
  ['RVMI', 'v v v/m i8', '.0f', 'xy0', '', '', 'vcmpps=c2'],
  ['RVMI', 'v v v/m i8', '66.0f', 'xy0', '', '', 'vcmppd=c2'],
  ['RVMI', 'xmm xmm xmm/m i8', 'f3.0f', 'x0', '', '', 'vcmpss=c2'],
  ['RVMI', 'xmm xmm xmm/m i8', 'f2.0f', 'x0', '', '', 'vcmpsd=c2'],
  ['RVMI', 'k v v/m i8', '.0f', '', 'xyz0', 'full4', 'vcmpps=c2'],
  ['RVMI', 'k v v/m i8', '66.0f', '', 'xyz1', 'full8', 'vcmppd=c2'],
  ['RVMI', 'k v v/m i8', '.0f3a', '', 'xyz0', 'full2', 'vcmpph=c2'],
  ['RVMI', 'k xmm xmm/m i8', 'f3.0f', '', 'x0', '4', 'vcmpss=c2'],
  ['RVMI', 'k xmm xmm/m i8', 'f2.0f', '', 'x1', '8', 'vcmpsd=c2'],
  ['RM', 'xmm xmm/m', '.0f', 'x0', 'x0', '4 nomask', 'vucomiss=2e vcomiss=2f'],
  ['RM', 'xmm xmm/m', '66.0f', 'x0', 'x1', '8 nomask', 'vucomisd=2e vcomisd=2f'],
  ['RM', 'v v/m', '66.0f38', 'xy0', '', '', 'vtestps=0e vtestpd=0f'],
  ['RM', 'r32 v', '.0f', 'xy0', '', '', 'vmovmskps=50'],
  ['RM', 'r32 v', '66.0f', 'xy0', '', '', 'vmovmskpd=50'],
] as const satisfies readonly VectorRow[];

export const CONVERSIONS = [
  // Integers and floats.
  ['RM', 'v v/m', '.0f', 'xy0', 'xyz0', 'full4', 'vcvtdq2ps=5b'],
  ['RM', 'v v/m', '66.0f', 'xy0', 'xyz0', 'full4', 'vcvtps2dq=5b'],
  ['RM', 'v v/m', 'f3.0f', 'xy0', 'xyz0', 'full4', 'vcvttps2dq=5b'],
  ['RM', 'v v/m', 'f2.0f', '', 'xyz0', 'full4', 'vcvtudq2ps=7a'],
  ['RM', 'v v/m', '.0f', '', 'xyz0', 'full4', 'vcvttps2udq=78 vcvtps2udq=79'],
  ['RM', 'v h/m', 'f3.0f', 'xy0', 'xyz0', 'half4', 'vcvtdq2pd=e6'],
  ['RVM', 'xmm xmm r32', 'f3.0f', 'x0', 'x0', '4 nomask', 'vcvtsi2ss=2a'],
  ['RVM', 'xmm xmm r64', 'f3.0f', 'x1', 'x1', '8 nomask', 'vcvtsi2ss=2a'],
  ['RVM', 'xmm xmm m', 'f3.0f', 'x0', 'x0', '4 nomask', 'vcvtsi2ss.d=2a'],
  ['RVM', 'xmm xmm m', 'f3.0f', 'x1', 'x1', '8 nomask', 'vcvtsi2ss.q=2a'],
  ['RVM', 'xmm xmm r32', 'f2.0f', 'x0', 'x0', '4 nomask', 'vcvtsi2sd=2a'],
  ['RVM', 'xmm xmm r64', 'f2.0f', 'x1', 'x1', '8 nomask', 'vcvtsi2sd=2a'],
  ['RVM', 'xmm xmm m', 'f2.0f', 'x0', 'x0', '4 nomask', 'vcvtsi2sd.d=2a'],
  ['RVM', 'xmm xmm m', 'f2.0f', 'x1', 'x1', '8 nomask', 'vcvtsi2sd.q=2a'],
  ['RVM', 'xmm xmm r32', 'f3.0f', '', 'x0', '4 nomask', 'vcvtusi2ss=7b'],
  ['RVM', 'xmm xmm r64', 'f3.0f', '', 'x1', '8 nomask', 'vcvtusi2ss=7b'],
  ['RVM', 'xmm xmm r32', 'f2.0f', '', 'x0', '4 nomask', 'vcvtusi2sd=7b'],
  ['RVM', 'xmm xmm r64', 'f2.0f', '', 'x1', '8 nomask', 'vcvtusi2sd=7b'],
  // From memory VEX does it all.
  ['RM', 'r32 xmm/m', 'f3.0f', 'x0', '', '', 'vcvttss2si=2c vcvtss2si=2d'],
  ['RM', 'r32 xmm', 'f3.0f', '', 'x0', '4 nomask', 'vcvttss2si=2c vcvtss2si=2d'],
  ['RM', 'r64 xmm/m', 'f3.0f', 'x1', '', '', 'vcvttss2si=2c vcvtss2si=2d'],
  ['RM', 'r64 xmm', 'f3.0f', '', 'x1', '4 nomask', 'vcvttss2si=2c vcvtss2si=2d'],
  ['RM', 'r32 xmm/m', 'f2.0f', 'x0', '', '', 'vcvttsd2si=2c vcvtsd2si=2d'],
  ['RM', 'r32 xmm', 'f2.0f', '', 'x0', '8 nomask', 'vcvttsd2si=2c vcvtsd2si=2d'],
  ['RM', 'r64 xmm/m', 'f2.0f', 'x1', '', '', 'vcvttsd2si=2c vcvtsd2si=2d'],
  ['RM', 'r64 xmm', 'f2.0f', '', 'x1', '8 nomask', 'vcvttsd2si=2c vcvtsd2si=2d'],
  ['RM', 'r32 xmm/m', 'f3.0f', '', 'x0', '4 nomask', 'vcvttss2usi=78 vcvtss2usi=79'],
  ['RM', 'r64 xmm/m', 'f3.0f', '', 'x1', '4 nomask', 'vcvttss2usi=78 vcvtss2usi=79'],
  // Floats of other widths. Narrowing from memory names what it reads (.x, .y) where its result does not tell.
  ['RM', 'v h/m', '66.0f38', 'xy0', 'xyz0', 'mem/2', 'vcvtph2ps=13'],
  ['MRI', 'h/m v i8', '66.0f3a', 'xy0', 'xyz0', 'mem/2', 'vcvtps2ph=1d'],
  ['RM', 'v h/m', '66.m6', '', 'xyz0', 'half2', 'vcvtph2psx=13'],
  ['RM', 'h v', '66.m5', '', 'xyz0', 'full4', 'vcvtps2phx=1d'],
  ['RM', 'h m', '66.m5', '', 'z0', 'full4', 'vcvtps2phx=1d'],
  ['RM', 'h m', '66.m5', '', 'x0', 'full4', 'vcvtps2phx.x=1d'],
  ['RM', 'h m', '66.m5', '', 'y0', 'full4', 'vcvtps2phx.y=1d'],
  ['RVM', 'xmm xmm xmm/m', 'f3.0f', 'x0', 'x0', '4', 'vcvtss2sd=5a'],
  ['RVM', 'xmm xmm xmm/m', 'f2.0f', 'x0', 'x1', '8', 'vcvtsd2ss=5a'],
  ['RM', 'v h/m', '.0f', 'xy0', 'xyz0', 'half4', 'vcvtps2pd=5a'],
  ['RM', 'h v', '66.0f', 'xy0', 'xyz1', 'full8', 'vcvtpd2ps=5a vcvttpd2dq=e6'],
  ['RM', 'h m', '66.0f', '', 'z1', 'full8', 'vcvtpd2ps=5a vcvttpd2dq=e6'],
  ['RM', 'h m', '66.0f', 'x0', 'x1', 'full8', 'vcvtpd2ps.x=5a vcvttpd2dq.x=e6'],
  ['RM', 'h m', '66.0f', 'y0', 'y1', 'full8', 'vcvtpd2ps.y=5a vcvttpd2dq.y=e6'],
  ['RM', 'h v', 'f3.0f38', '', 'xyz0', 'full4', 'vcvtneps2bf16=72'],
  ['RM', 'h m', 'f3.0f38', '', 'z0', 'full4', 'vcvtneps2bf16=72'],
  ['RM', 'h m', 'f3.0f38', '', 'x0', 'full4', 'vcvtneps2bf16.x=72'],
  ['RM', 'h m', 'f3.0f38', '', 'y0', 'full4', 'vcvtneps2bf16.y=72'],
  ['RVM', 'v v v/m', 'f2.0f38', '', 'xyz0', 'full4', 'vcvtne2ps2bf16=72'],
] as const satisfies readonly VectorRow[];

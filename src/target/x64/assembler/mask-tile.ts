/**
 * Mask registers of AVX-512 and tiles of AMX.
 * Flow: rows (this file and its siblings) to forms (`form.ts`) to bytes (`encoder.ts`). Columns: `row.ts`.
 * Source: Intel SDM volume 2, instructions K… and T…; VEX.L1 is written as width y.
 */
import type { VectorRow } from './row.ts';

export const MASKS = [
  ['RM', 'k k/m', '66.0f', 'x0', '', '', 'kmovb=90'],
  ['RM', 'k k/m', '.0f', 'x0', '', '', 'kmovw=90'],
  ['RM', 'k k/m', '66.0f', 'x1', '', '', 'kmovd=90'],
  ['RM', 'k k/m', '.0f', 'x1', '', '', 'kmovq=90'],
  ['MR', 'm k', '66.0f', 'x0', '', '', 'kmovb=91'],
  ['MR', 'm k', '.0f', 'x0', '', '', 'kmovw=91'],
  ['MR', 'm k', '66.0f', 'x1', '', '', 'kmovd=91'],
  ['MR', 'm k', '.0f', 'x1', '', '', 'kmovq=91'],
  ['RM', 'k r32', '66.0f', 'x0', '', '', 'kmovb=92'],
  ['RM', 'k r32', '.0f', 'x0', '', '', 'kmovw=92'],
  ['RM', 'k r32', 'f2.0f', 'x0', '', '', 'kmovd=92'],
  ['RM', 'k r64', 'f2.0f', 'x1', '', '', 'kmovq=92'],
  ['RM', 'r32 k', '66.0f', 'x0', '', '', 'kmovb=93'],
  ['RM', 'r32 k', '.0f', 'x0', '', '', 'kmovw=93'],
  ['RM', 'r32 k', 'f2.0f', 'x0', '', '', 'kmovd=93'],
  ['RM', 'r64 k', 'f2.0f', 'x1', '', '', 'kmovq=93'],
  ['RVM', 'k k k', '66.0f', 'y0', '', '', 'kandb=41 kandnb=42 korb=45 kxnorb=46 kxorb=47 kaddb=4a kunpckbw=4b'],
  ['RVM', 'k k k', '.0f', 'y0', '', '', 'kandw=41 kandnw=42 korw=45 kxnorw=46 kxorw=47 kaddw=4a kunpckwd=4b'],
  ['RVM', 'k k k', '66.0f', 'y1', '', '', 'kandd=41 kandnd=42 kord=45 kxnord=46 kxord=47 kaddd=4a'],
  ['RVM', 'k k k', '.0f', 'y1', '', '', 'kandq=41 kandnq=42 korq=45 kxnorq=46 kxorq=47 kaddq=4a kunpckdq=4b'],
  ['RM', 'k k', '66.0f', 'x0', '', '', 'knotb=44 kortestb=98 ktestb=99'],
  ['RM', 'k k', '.0f', 'x0', '', '', 'knotw=44 kortestw=98 ktestw=99'],
  ['RM', 'k k', '66.0f', 'x1', '', '', 'knotd=44 kortestd=98 ktestd=99'],
  ['RM', 'k k', '.0f', 'x1', '', '', 'knotq=44 kortestq=98 ktestq=99'],
  ['RMI', 'k k i8', '66.0f3a', 'x0', '', '', 'kshiftrb=30 kshiftrd=31 kshiftlb=32 kshiftld=33'],
  ['RMI', 'k k i8', '66.0f3a', 'x1', '', '', 'kshiftrw=30 kshiftrq=31 kshiftlw=32 kshiftlq=33'],
] as const satisfies readonly VectorRow[];

export const TILES = [
  ['M', 'm', '.0f38', 'x0', '', '', 'ldtilecfg=49/0'],
  ['M', 'm', '66.0f38', 'x0', '', '', 'sttilecfg=49/0'],
  ['', '', '.0f38', 'x0', '', '', 'tilerelease=49/0'],
  ['R', 'tmm', 'f2.0f38', 'x0', '', '', 'tilezero=49'],
  ['RM', 'tmm sib', 'f2.0f38', 'x0', '', '', 'tileloadd=4b'],
  ['RM', 'tmm sib', '66.0f38', 'x0', '', '', 'tileloaddt1=4b'],
  ['MR', 'sib tmm', 'f3.0f38', 'x0', '', '', 'tilestored=4b'],
  ['RMV', 'tmm tmm tmm', '.0f38', 'x0', '', '', 'tdpbuud=5e'],
  ['RMV', 'tmm tmm tmm', '66.0f38', 'x0', '', '', 'tdpbusd=5e'],
  ['RMV', 'tmm tmm tmm', 'f3.0f38', 'x0', '', '', 'tdpbsud=5e tdpbf16ps=5c'],
  ['RMV', 'tmm tmm tmm', 'f2.0f38', 'x0', '', '', 'tdpbssd=5e tdpfp16ps=5c'],
] as const satisfies readonly VectorRow[];

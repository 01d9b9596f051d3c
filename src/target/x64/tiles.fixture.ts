/** For tests: the ways to run kernels with tiles, each with the reason why it cannot be had here, if there is one. */
import { platform } from '../../platform/index.ts';
import { detectCpu } from './cpu.ts';
import type { CodeFeatures } from './features.ts';
import { AVX512_VNNI } from './lower.fixture.ts';

const support = await platform.native();
const cpu = 'host' in support ? detectCpu(support.host) : undefined;

function whyNoTiles(): string | undefined {
  if (!('host' in support)) return support.why;
  if (!cpu!.amx) return 'the processor has no AMX';
  return support.host.permitTiles() ? undefined : 'the system does not let this process use AMX';
}

function whyNoEmulation(): string | undefined {
  if (!('host' in support)) return support.why;
  return cpu!.avx512Vnni ? undefined : 'the processor has no AVX-512 with VNNI';
}

export const TILE_SETS: readonly { name: string; features: CodeFeatures; why: string | undefined }[] = [
  { name: 'emulated tiles', features: { ...AVX512_VNNI, tiles: 'emulated' }, why: whyNoEmulation() },
  { name: 'tiles of AMX', features: { ...AVX512_VNNI, tiles: 'amx' }, why: whyNoTiles() },
];

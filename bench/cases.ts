/** The table of all cases. Adding a contender or a case is adding a row here and, at most, one adapter. */
import { type Case, type Contender, UNITS, type Unit } from './case.ts';
import type { ProbeKind } from './probe.ts';

const THREADS = [1, 2] as const;
const Q4_0_BYTES_PER_WEIGHT = 18 / 32;
/** Working set of a probe that stays in the last-level cache but in no smaller one. */
const CACHED_BYTES = 9_437_184;

type Role = Contender['role'];
type NodeChoice = Contender['node'];

/** One contender; its thread count is part of the options, so that every adapter gets it the same way. */
const contender = (
  name: string,
  role: Role,
  adapter: string,
  options: Contender['options'],
  node: NodeChoice = 'newest',
): Contender => ({ name, role, adapter, options, node });

const ours = (work: string, threads: number, more: Contender['options'] = {}, name = 'bitloom'): Contender =>
  contender(name, 'ours', 'bitloom', { work, threads, ...more });

/** A probe as the ceiling of a case: `workRatio` turns its unit into that of the case. */
const ceiling = (probe: ProbeKind, threads: number, workingSetBytes = 0, workRatio = 1): Contender => ({
  ...contender(probe === 'read' ? 'read ceiling' : `${probe} ceiling`, 'ceiling', 'ceiling', {
    probe,
    threads,
    workingSetBytes,
  }),
  workRatio,
});

const plural = (threads: number): string => `${threads} thread${threads > 1 ? 's' : ''}`;

/** The roofline itself, in the newest Node and in the one that runs this script. */
function machineCases(dramBytes: number): Case[] {
  const probes: readonly [string, string, ProbeKind, number, Unit][] = [
    ['fma', 'f32 multiply-add, SIMD128', 'fma', 0, UNITS.gflops],
    ['dot8', '8-bit dot product, relaxed SIMD', 'dot8', 0, UNITS.gops],
    ['cache', 'read bandwidth, last-level cache', 'read', CACHED_BYTES, UNITS.bandwidth],
    ['dram', 'read bandwidth, memory', 'read', dramBytes, UNITS.bandwidth],
  ];
  return probes.flatMap(([name, title, probe, workingSetBytes, unit]) =>
    THREADS.map((threads): Case => {
      const options = { probe, threads, workingSetBytes };
      return {
        name: `machine-${name}-${threads}t`,
        title: `${title}, ${plural(threads)}`,
        unit,
        isQuick: threads === 1,
        contenders: [
          contender('newest Node', 'ceiling', 'ceiling', options, 'newest'),
          contender('this Node', 'ceiling', 'ceiling', options, 'current'),
        ],
      };
    }),
  );
}

function gemmCases(): Case[] {
  return [1024, 2048].flatMap((size) =>
    THREADS.map(
      (threads): Case => ({
        name: `gemm-${size}-${threads}t`,
        title: `f32 matrix product ${size}, ${plural(threads)}`,
        unit: UNITS.gflops,
        isQuick: size === 1024,
        contenders: [
          ours('gemm', threads, { size }),
          contender('onnxruntime-web', 'peer', 'onnxruntime-web', { work: 'gemm', size, threads }),
          contender('jax-js', 'peer', 'jax', { work: 'gemm', size, threads }),
          ceiling('fma', threads),
        ],
        goals: [
          { against: 'onnxruntime-web', atLeast: 1.4 },
          { against: 'jax-js', atLeast: 1.4 },
          { against: 'roofline', atLeast: 0.85 },
        ],
      }),
    ),
  );
}

function gemvCases(): Case[] {
  const [size, flopsPerByte] = [4096, 2 / Q4_0_BYTES_PER_WEIGHT];
  const bytes = size * size * Q4_0_BYTES_PER_WEIGHT;
  return THREADS.map(
    (threads): Case => ({
      name: `gemv-int4-${threads}t`,
      title: `int4 matrix-vector product ${size}, ${plural(threads)}`,
      unit: UNITS.gflops,
      isQuick: true,
      contenders: [
        ours('gemv', threads, { size }),
        contender('onnxruntime-web', 'peer', 'onnxruntime-web', { work: 'gemv', size, threads }),
        ceiling('read', threads, bytes, flopsPerByte),
        ceiling('dot8', threads),
      ],
      goals: [
        { against: 'onnxruntime-web', atLeast: 40 },
        { against: 'roofline', atLeast: 0.6 },
      ],
    }),
  );
}

/** All cases. `dramBytes`: a working set that does not fit any cache of this machine. */
export const allCases = (dramBytes: number): Case[] => [...machineCases(dramBytes), ...gemmCases(), ...gemvCases()];

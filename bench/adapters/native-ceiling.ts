/** The processor itself as a contender: a probe in machine code, of arithmetic or of read bandwidth. */

import type { NativeHost } from '../../src/platform/native-host.ts';
import { platform } from '../../src/platform/node.ts';
import { type Cpu, detectCpu } from '../../src/target/x64/cpu.ts';
import { Absent, numberOption, type Options, type Workload } from '../adapter.ts';
import { plural } from '../case.ts';
import {
  NATIVE_ARITHMETIC,
  type NativeArithmetic,
  type NativeProbe,
  openNativeProbe,
  READ_PATTERNS,
  type ReadPattern,
  wholeParts,
} from '../native-probe.ts';

/** Options: probe (`read` or a name of arithmetic), threads, workingSetBytes (all threads together, `read` only). */
export async function prepare(options: Options): Promise<Workload> {
  const support = await platform.native();
  if ('why' in support) throw new Absent(`no machine code runs here: ${support.why}`);
  const { host } = support;
  const threads = numberOption(options, 'threads');
  if (threads > 1 && host.sleep.kind !== 'futex') throw new Absent('several threads are measured on Linux only');
  const cpu = detectCpu(host);
  if (options.probe === 'read') return readWork(host, cpu, numberOption(options, 'workingSetBytes'), threads);
  return arithmetic(host, cpu, String(options.probe) as NativeArithmetic, threads);
}

function workload(probe: NativeProbe, note: string): Workload {
  return {
    workPerIteration: probe.workPerPass,
    note,
    run(iterations) {
      probe.run(iterations);
      return undefined;
    },
    close: async () => probe.dispose(),
  };
}

function arithmetic(host: NativeHost, cpu: Cpu, name: NativeArithmetic, threads: number): Workload {
  const { needs, op, kind } = NATIVE_ARITHMETIC[name];
  if (!cpu[needs]) throw new Absent(`this processor has no ${needs}`);
  if (kind === 'tile' && !host.permitTiles()) throw new Absent('the system does not let this process use tiles');
  const probe = openNativeProbe(host, { kind: 'arithmetic', name }, threads);
  return workload(probe, `${op}, ${plural(threads)}`);
}

/** Passes over a working set to compare patterns by, and the bytes they should make up at least. */
const TRIALS = 4;
const TRIAL_BYTES = 256e6;

/** Reads in the pattern that is fastest on this working set. */
function readWork(host: NativeHost, cpu: Cpu, workingSetBytes: number, threads: number): Workload {
  if (!cpu.avx2) throw new Absent('this processor has no AVX2');
  const memory = host.allocate(wholeParts(workingSetBytes, threads));
  memory.bytes.fill(1); // untouched pages all map to the one zero page, which would read as if it were cached
  const open = (pattern: ReadPattern): NativeProbe =>
    openNativeProbe(host, { kind: 'read', memory, pattern, isAvx512: cpu.avx512 }, threads);
  const passes = Math.ceil(TRIAL_BYTES / memory.byteLength);
  const best = fastest(READ_PATTERNS, open, passes);
  const probe = open(best);
  const { streams, aheadBytes } = best;
  const prefetch = aheadBytes > 0 ? `prefetch of ${aheadBytes} bytes ahead` : 'no prefetch';
  const size = `${(memory.byteLength / 1e6).toFixed(0)} MB`;
  return {
    ...workload(
      probe,
      `${cpu.avx512 ? 512 : 256}-bit loads, ${plural(threads)}, ${size}, ${streams} streams, ${prefetch}`,
    ),
    async close() {
      probe.dispose();
      memory.dispose();
    },
  };
}

/** The pattern with the shortest time of several, all tried in turn. */
function fastest(
  patterns: readonly ReadPattern[],
  open: (of: ReadPattern) => NativeProbe,
  passes: number,
): ReadPattern {
  const shortest = new Map<ReadPattern, number>();
  for (let trial = 0; trial < TRIALS; trial++) {
    for (const pattern of patterns) {
      const probe = open(pattern);
      const start = performance.now();
      probe.run(passes);
      const elapsed = performance.now() - start;
      probe.dispose();
      shortest.set(pattern, Math.min(elapsed, shortest.get(pattern) ?? Number.POSITIVE_INFINITY));
    }
  }
  return [...shortest].sort((a, b) => a[1] - b[1])[0]![0];
}

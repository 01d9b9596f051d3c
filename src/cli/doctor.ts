/** `bitloom doctor`: what this machine offers, and whether the code generated for it computes rightly. */
import { platform } from '#platform';
import { createDevice, type DeviceName } from '../tensor/index.ts';
import { EXIT } from './exit-code.ts';
import { formatBytes } from './readable.ts';
import { selfTest } from './self-test.ts';
import type { Terminal } from './terminal.ts';

export interface DoctorOptions {
  readonly device?: DeviceName | 'auto';
  readonly threads?: number;
  readonly json?: boolean;
}

/** Runs the command. Returns 0 where every kernel agrees with the interpreter, else 1. */
export async function doctor(version: string, options: DoctorOptions, terminal: Terminal): Promise<number> {
  const warnings: string[] = [];
  const { threads } = options;
  const device = await createDevice(options.device ?? 'auto', {
    ...(threads === undefined ? {} : { threads }),
    onWarning: (message) => warnings.push(message),
  });
  try {
    terminal.status('self-test');
    const results = await selfTest(device);
    terminal.status('');
    const memory = platform.memory();
    const report = {
      version,
      runtime: `${process.release.name} ${process.versions.node} (V8 ${process.versions.v8})`,
      system: `${process.platform} ${process.arch}`,
      physicalCores: platform.physicalCores(),
      memory: memory ?? null,
      device: { name: device.name, threads: device.threads, features: device.features },
      warnings,
      selfTest: results.map((result) => ({ ...result, error: Number.isFinite(result.error) ? result.error : null })),
    };
    terminal.write(options.json ? `${JSON.stringify(report)}\n` : describe(report));
    return results.every((result) => result.passed) ? EXIT.done : EXIT.failed;
  } finally {
    device.dispose();
  }
}

interface Report {
  readonly version: string;
  readonly runtime: string;
  readonly system: string;
  readonly physicalCores: number;
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number } | null;
  readonly device: { readonly name: string; readonly threads: number; readonly features: readonly string[] };
  readonly warnings: readonly string[];
  readonly selfTest: readonly { readonly name: string; readonly passed: boolean; readonly reason?: string }[];
}

function describe(report: Report): string {
  const { device, memory, selfTest: tests } = report;
  const failed = tests.filter((test) => !test.passed);
  const lines = [
    `bitloom ${report.version} on ${report.runtime}, ${report.system}`,
    `cores     ${report.physicalCores}`,
    ...(memory
      ? [`memory    ${formatBytes(memory.availableBytes)} available of ${formatBytes(memory.totalBytes)}`]
      : []),
    `device    ${device.name}, ${device.threads} ${device.threads === 1 ? 'thread' : 'threads'}`,
    `features  ${device.features.join(', ') || 'none'}`,
    ...report.warnings.map((warning) => `warning   ${warning}`),
    `self-test ${tests.length - failed.length} of ${tests.length} programs agree with the interpreter`,
    ...failed.map((test) => `  FAILED  ${test.name}: ${test.reason}`),
  ];
  return `${lines.join('\n')}\n`;
}

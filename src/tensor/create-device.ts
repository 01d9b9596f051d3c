/** Makes a device by name. */
import { DeviceTuning } from '#tuning';
import { X64Target } from '#x64';
import { BitloomError } from '../ir/error.ts';
import { MAXIMUM_BYTES, WasmTarget } from '../target/wasm/index.ts';
import { CompiledDevice, processDials } from './compiled-device.ts';
import type { Device, DeviceName } from './device.ts';
import { InterpreterDevice } from './interpreter-device.ts';

export interface DeviceOptions {
  /** Default: as many as the machine has cores. */
  readonly threads?: number;
  /** Results are the same to the bit whatever number of threads runs, at some cost in speed. Default false. */
  readonly isDeterministic?: boolean;
  /** Hears of each fallback once, by name. Default: `console.warn`. */
  readonly onWarning?: (message: string) => void;
  /** How much of the processor the x64 device uses. Default: all. */
  readonly level?: 'avx2' | 'avx512' | 'amx';
}

const DEVICE_NAMES: readonly DeviceName[] = ['x64', 'wasm', 'interpreter'];

/**
 * `auto` takes the fastest device that runs here: machine code on x86-64 in Node, else WebAssembly, saying why once.
 * Throws INVALID_ARGUMENT, NO_DEVICE.
 */
export async function createDevice(name: DeviceName | 'auto', options: DeviceOptions = {}): Promise<Device> {
  const { threads } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new BitloomError('INVALID_ARGUMENT', `threads must be a whole number from 1 on, not ${threads}`, { threads });
  }
  if (name !== 'auto' && !DEVICE_NAMES.includes(name)) {
    const known = ['auto', ...DEVICE_NAMES].join(', ');
    throw new BitloomError('INVALID_ARGUMENT', `device '${String(name)}' is not one of ${known}`, { device: name });
  }
  if (name === 'interpreter') return new InterpreterDevice();
  if (name === 'x64') return x64Device(options);
  if (name === 'wasm') return wasmDevice(options);
  return fastestDevice(options);
}

async function fastestDevice(options: DeviceOptions): Promise<Device> {
  try {
    return await x64Device(options);
  } catch (error) {
    if (!(error instanceof BitloomError) || error.code !== 'NO_DEVICE') throw error;
    // Pages and other processors have nothing to gain from hearing of it.
    const { why, isFixable } = error.details as { why?: string; isFixable?: boolean };
    if (isFixable) warningOf(options)(`wasm: machine code cannot run here: ${why}`);
    return wasmDevice(options);
  }
}

const warningOf = ({ onWarning = (message) => console.warn(message) }: DeviceOptions): ((message: string) => void) =>
  onWarning;

async function x64Device(options: DeviceOptions): Promise<Device> {
  const { threads, level, isDeterministic = false } = options;
  const dials = processDials();
  const target = await X64Target.create({
    onWarning: warningOf(options),
    isDeterministic,
    ...(threads === undefined ? {} : { threads }),
    ...(level === undefined ? {} : { level }),
    ...(dials.debug >= 4 ? { onListing: (text: string) => console.error(text) } : {}),
  });
  // What is measured may change the order of sums, and which schedule is fastest depends on who else is busy.
  const machine = `${target.cpu.name} ${target.level} ${target.threads} threads`;
  const tuning = isDeterministic ? undefined : await DeviceTuning.open(machine);
  return new CompiledDevice(target, { name: 'x64', features: target.features }, dials, tuning);
}

/** Throws NO_DEVICE where the engine has no SIMD. */
async function wasmDevice(options: DeviceOptions): Promise<Device> {
  const { threads, isDeterministic = false } = options;
  const onWarning = warningOf(options);
  const target = await WasmTarget.create({ onWarning, isDeterministic, ...(threads === undefined ? {} : { threads }) });
  const { relaxedSimd, dotU8 } = target.features;
  const features = [
    'simd128',
    ...(relaxedSimd ? ['relaxed-simd'] : []),
    ...(dotU8 ? ['dot-u8'] : []),
    ...(target.threads > 1 ? ['threads'] : []),
  ];
  const traits = { name: 'wasm', features, threadsNote: target.threadsNote, limitBytes: MAXIMUM_BYTES } as const;
  return new CompiledDevice(target, traits, processDials());
}

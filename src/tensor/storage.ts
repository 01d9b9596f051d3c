/** Where known values lie: in the host until a program needs them, then on a device. */
import { BitloomError } from '../ir/error.ts';
import type { Value } from '../ir/graph.ts';
import type { DeviceBuffer } from '../target/target.ts';
import type { Device } from './device.ts';

/** Memory that holds one known value: in the host until a program needs it, then on a device. */
export class Storage {
  #device: Device | undefined;
  #buffer: DeviceBuffer | undefined;
  #host: Uint8Array | undefined;
  isDisposed = false;

  private constructor(device: Device | undefined, buffer: DeviceBuffer | undefined, host: Uint8Array | undefined) {
    this.#device = device;
    this.#buffer = buffer;
    this.#host = host;
    if (buffer !== undefined) collected.register(this, buffer, this);
  }

  static onDevice(device: Device, buffer: DeviceBuffer): Storage {
    return new Storage(device, buffer, undefined);
  }

  static inHost(bytes: Uint8Array): Storage {
    return new Storage(undefined, undefined, bytes);
  }

  /** Undefined while the value waits in the host. */
  get device(): Device | undefined {
    return this.#device;
  }

  /** The value's memory on `device`; moves it there from the host. Throws INVALID_ARGUMENT if it lies on another device. */
  on(device: Device): DeviceBuffer {
    if (this.#buffer === undefined) {
      this.#buffer = device.allocate(this.#host!.byteLength);
      device.bytes(this.#buffer).set(this.#host!);
      this.#device = device;
      this.#host = undefined;
      collected.register(this, this.#buffer, this);
    }
    if (this.#device !== device)
      throw new BitloomError('INVALID_ARGUMENT', 'operands lie on different devices; make them on one device');
    return this.#buffer;
  }

  /** The bytes themselves, not copied. */
  bytes(): Uint8Array {
    return this.#host ?? this.#device!.bytes(this.#buffer!);
  }

  dispose(): void {
    this.isDisposed = true;
    collected.unregister(this);
    this.#buffer?.dispose();
  }
}

/** Which values are known, and where they lie. */
const storages = new WeakMap<Value, Storage>();
const collected = new FinalizationRegistry<DeviceBuffer>((buffer) => buffer.dispose());

export const storageOf = (value: Value): Storage | undefined => storages.get(value);

export const bindStorage = (value: Value, storage: Storage): void => void storages.set(value, storage);

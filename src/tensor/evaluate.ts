/**
 * From lazy tensors to memory: cuts the graph at values that are computed already, compiles what
 * is left (once per structure), runs it, and settles the tensors on their new memory.
 */

import { input } from '../ir/build.ts';
import { dtypeName } from '../ir/dtype.ts';
import { BitloomError } from '../ir/error.ts';
import { apply, type Graph, type Value } from '../ir/graph.ts';
import { ops } from '../ir/ops.ts';
import { byteLength } from '../ir/shape.ts';
import { defaultDevice } from './default-device.ts';
import type { Device, DeviceProgram } from './device.ts';
import { Storage, storageOf } from './storage.ts';
import type { Tensor } from './tensor.ts';

/** A graph whose inputs are computed values, in the order of `sources`. */
export interface CutGraph {
  readonly graph: Graph;
  readonly sources: readonly Storage[];
  /** Equal keys mean equal programs. */
  readonly key: string;
}

/**
 * Rebuilds the part of a graph that is still to be computed. Values with storage become inputs
 * behind `parameters`, the placeholders of a traced function. Throws DISPOSED, INVALID_ARGUMENT.
 */
export function cutGraph(outputs: readonly Value[], parameters: readonly Value[] = []): CutGraph {
  const copies = new Map<Value, { value: Value; number: number }>();
  const inputs: Value[] = [];
  const sources: Storage[] = [];
  const key: string[] = [];

  const addInput = (value: Value): void => {
    const { dtype, shape } = value.type;
    const copy = input(
      inputs.length,
      parameters.includes(value) ? `argument${inputs.length}` : `data${inputs.length}`,
      dtype,
      shape,
    );
    copies.set(value, { value: copy, number: copies.size });
    inputs.push(copy);
    key.push(`${dtypeName(dtype)}[${shape}]`);
  };
  parameters.forEach(addInput);

  const visit = (value: Value): void => {
    const storage = storageOf(value);
    if (storage !== undefined) {
      if (storage.isDisposed)
        throw new BitloomError(
          'DISPOSED',
          `a tensor of ${dtypeName(value.type.dtype)}[${value.type.shape.join(', ')}] was used after dispose()`,
        );
      sources.push(storage);
      addInput(value);
      return;
    }
    if (value.op === ops.input) {
      throw new BitloomError(
        'INVALID_ARGUMENT',
        'the data of a traced argument is not known while jit traces; return the tensor and read it outside',
      );
    }
    const operands = value.inputs.map((operand) => copies.get(operand)!);
    copies.set(value, {
      value: apply(
        value.op,
        operands.map((o) => o.value),
        value.attrs,
      ),
      number: copies.size,
    });
    key.push(`${value.op.name}(${operands.map((o) => o.number)})${attributeKey(value)}`);
  };
  walkUncomputed(outputs, copies, visit);

  const numbers = outputs.map((value) => copies.get(value)!.number);
  return {
    graph: { inputs, outputs: outputs.map((value) => copies.get(value)!.value) },
    sources,
    key: `${key.join(';')}->${numbers}`,
  };
}

/** Visits every value behind `outputs` once, operands first, not looking behind computed values. */
function walkUncomputed(
  outputs: readonly Value[],
  done: ReadonlyMap<Value, unknown>,
  visit: (value: Value) => void,
): void {
  const stack = [...outputs].reverse();
  while (stack.length > 0) {
    const value = stack[stack.length - 1]!;
    const waiting =
      done.has(value) || storageOf(value) !== undefined ? [] : value.inputs.filter((operand) => !done.has(operand));
    if (waiting.length > 0) {
      stack.push(...waiting.reverse());
      continue;
    }
    stack.pop();
    if (!done.has(value)) visit(value);
  }
}

/** Attributes as text. Long constants count as themselves, so that no two different ones share a key. */
function attributeKey({ attrs, id }: Value): string {
  return JSON.stringify(attrs, (_, attribute: unknown) => {
    if (attribute instanceof Uint8Array) return attribute.length > 1024 ? `constant ${id}` : Array.from(attribute);
    if (typeof attribute === 'object' && attribute !== null && 'kind' in attribute)
      return (attribute as { name?: string }).name;
    if (typeof attribute === 'number' && !Number.isFinite(attribute)) return String(attribute);
    return attribute;
  });
}

/** Programs by structure, per device. Dropped with the device. */
const programs = new WeakMap<Device, Map<string, Promise<DeviceProgram>>>();

function programFor(device: Device, { graph, key }: CutGraph): Promise<DeviceProgram> {
  const known = programs.get(device) ?? new Map<string, Promise<DeviceProgram>>();
  programs.set(device, known);
  const program = known.get(key) ?? device.compile(graph);
  known.set(key, program);
  return program;
}

/** The device that computed values lie on, or the default one where all wait in the host. */
async function deviceOf(sources: readonly Storage[]): Promise<Device> {
  return sources.find((source) => source.device !== undefined)?.device ?? defaultDevice();
}

/** Runs a program on known values and gives its outputs' memory. */
export async function runCut(cut: CutGraph, sources: readonly Storage[]): Promise<Storage[]> {
  const device = await deviceOf(sources);
  const program = await programFor(device, cut);
  const outputs = cut.graph.outputs.map((value) => device.allocate(byteLength(value.type)));
  await program.run(
    sources.map((source) => source.on(device)),
    outputs,
  );
  return outputs.map((buffer) => Storage.onDevice(device, buffer));
}

/** Computes several tensors in one program. Those that are computed already cost nothing. */
export async function evaluate(tensors: readonly Tensor[]): Promise<void> {
  for (const { value } of tensors) {
    if (storageOf(value)?.isDisposed) throw new BitloomError('DISPOSED', 'a tensor was used after dispose()');
  }
  const waiting = [...new Set(tensors)].filter((tensor) => storageOf(tensor.value) === undefined);
  if (waiting.length === 0) return;
  const cut = cutGraph(waiting.map((tensor) => tensor.value));
  const results = await runCut(cut, cut.sources);
  waiting.forEach((tensor, i) => tensor.settle(results[i]!));
}

/** Names of kernels: equal names mean equal kernels, so they tell types, attributes, schedule and machine. */
import { isPacked } from '../../ir/dtype.ts';
import type { Attribute } from '../../ir/graph.ts';
import { typeName } from '../../ir/op/rule.ts';
import type { KernelRequest, Schedule } from '../template.ts';

const attributeName = (value: Attribute): string =>
  typeof value === 'object' && value !== null && 'kind' in value && isPacked(value)
    ? value.name
    : JSON.stringify(value);

/** `linear f32[1, 64] f16[32, 64] | rows=4 | simd128`, with attributes and epilogue where there are any. */
export function kernelName(template: string, request: KernelRequest, schedule: Schedule): string {
  const pairs = (entries: readonly (readonly [string, string])[]): string =>
    entries.map(([k, v]) => `${k}=${v}`).join(' ');
  const parts = [
    [template, ...request.inputs.map(typeName)].join(' '),
    pairs(Object.entries(request.attrs).map(([key, value]) => [key, attributeName(value)])),
    request.epilogue ? `then ${request.epilogue.key}` : '',
    pairs(Object.entries(schedule).map(([key, value]) => [key, String(value)])),
    request.machine.name,
  ];
  return parts.filter((part) => part !== '').join(' | ');
}

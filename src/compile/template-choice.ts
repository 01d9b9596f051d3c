/** Which hot kernel computes a value, if any does. */
import type { Value } from '../ir/graph.ts';
import { elementCount } from '../ir/shape.ts';
import type { Machine } from '../kernel/machine.ts';
import type { KernelRequest, KernelTemplate } from '../kernel/template.ts';
import type { TemplateChoice } from './fuse/fuse.ts';
import { attributesKey, typeKey } from './structural-key.ts';

/** Picks the first template that supports a value on a machine. Answers are remembered by op, types and attributes. */
export function templateChooser(templates: readonly KernelTemplate[], machine: Machine): TemplateChoice {
  const byOp = groupByOp(templates);
  const byValue = new WeakMap<Value, ReturnType<TemplateChoice>>();
  const byKey = new Map<string, ReturnType<TemplateChoice>>();
  return (value) => {
    const candidates = byOp.get(value.op.name);
    if (!candidates || elementCount(value.type.shape) === 0) return undefined;
    if (byValue.has(value)) return byValue.get(value);
    const key = requestKey(value);
    if (!byKey.has(key)) {
      const request: KernelRequest = {
        inputs: value.inputs.map((v) => v.type),
        output: value.type,
        attrs: value.attrs,
        machine,
      };
      const template = candidates.find((t) => t.supports(request));
      byKey.set(key, template && { template, request });
    }
    const choice = byKey.get(key);
    byValue.set(value, choice);
    return choice;
  };
}

const requestKey = ({ op, inputs, attrs }: Value): string =>
  `${op.name} ${inputs.map((v) => typeKey(v.type)).join(' ')} ${attributesKey(attrs)}`;

function groupByOp(templates: readonly KernelTemplate[]): Map<string, KernelTemplate[]> {
  const byOp = new Map<string, KernelTemplate[]>();
  for (const template of templates) {
    const list = byOp.get(template.op);
    if (list) list.push(template);
    else byOp.set(template.op, [template]);
  }
  return byOp;
}

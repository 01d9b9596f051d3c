/** A compiled program in words: the graph before and after, the kernel calls, memory, and the kernels' text. */
import { topologicalOrder } from '../ir/graph.ts';
import { typeName } from '../ir/op/rule.ts';
import { printGraph } from '../ir/printer.ts';
import type { Kernel } from '../kernel/language.ts';
import { printKernel } from '../kernel/printer.ts';
import type { CompileReport, StepRecord } from './report.ts';

const heading = (title: string, text: string): string => `## ${title}\n\n${text.trimEnd()}\n`;

function stepLine(step: StepRecord, index: number): string {
  const what = [
    step.root ? `-> ${step.root.op.name} ${typeName(step.root.type)}` : '-> output',
    step.template ? `by template ${step.template}` : '',
    step.epilogue ? `with ${step.epilogue} behind it` : '',
    step.isInPlace ? 'in place' : '',
    step.barrier ? '| barrier' : '',
  ];
  return `${String(index).padStart(4)}  ${step.kind.padEnd(8)}  ${step.kernel}  ${what.filter((w) => w !== '').join(' ')}`;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Explains a compilation. `kernels` appends the text of each distinct kernel. */
export function explain(report: CompileReport, options: { readonly kernels?: boolean } = {}): string {
  const { graph, plan, steps } = report;
  const summary = [
    `${plural(steps.length, 'kernel call')} of ${plural(report.kernelCount, 'kernel')}, ${plural(steps.filter((s) => s.barrier).length, 'barrier')}`,
    `arena ${report.arenaBytes} bytes, ${report.peakBytes} live at the peak; constants ${report.constantBytes} bytes; code ${report.codeBytes} bytes`,
    `compiled in ${report.lowerMs.toFixed(1)} ms, then ${report.targetMs.toFixed(1)} ms in the target`,
    ...report.passes.map(
      ({ pass, graph: left }) => `after ${pass}: ${plural(topologicalOrder(left.outputs).length, 'value')}`,
    ),
  ];
  const sections = [
    `# program ${report.name}\n\n${summary.join('\n')}\n`,
    heading('graph', printGraph(graph.before)),
    heading('graph after the passes', printGraph(graph.after)),
    heading('kernel calls', steps.map(stepLine).join('\n')),
  ];
  const distinct: Kernel[] = options.kernels ? [...new Set(plan.steps.map((s) => s.kernel))] : [];
  return [...sections, ...distinct.map((kernel) => heading(`kernel ${kernel.name}`, printKernel(kernel)))].join('\n');
}

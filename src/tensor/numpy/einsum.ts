/**
 * Einstein summation. Operands are contracted pair by pair, the cheapest pair first; each pair is
 * one dot_general, after labels that only one side has and nobody needs were summed away.
 */
import * as build from '../../ir/build.ts';
import { BitloomError } from '../../ir/error.ts';
import type { Value } from '../../ir/graph.ts';
import { Tensor } from '../tensor.ts';
import { productOperands } from './contraction.ts';
import { moveaxis } from './manipulation.ts';

interface Term {
  readonly labels: string[];
  readonly tensor: Tensor;
}

/** `einsum('ij,jk->ik', a, b)`. Supports repeated labels, implicit outputs and `...`. Throws SHAPE_MISMATCH, INVALID_ARGUMENT. */
export function einsum(equation: string, ...operands: Tensor[]): Tensor {
  const { inputs, output } = parse(equation, operands);
  checkSizes(equation, inputs, operands);
  let terms = operands.map((tensor, i) => takeDiagonals({ labels: inputs[i]!, tensor }));
  while (terms.length > 1) {
    const [i, j] = cheapestPair(terms, output);
    const rest = terms.filter((_, k) => k !== i && k !== j);
    const needed = new Set([...output, ...rest.flatMap((t) => t.labels)]);
    terms = [
      ...rest,
      contract(
        sumAway(terms[i]!, new Set([...needed, ...terms[j]!.labels])),
        sumAway(terms[j]!, new Set([...needed, ...terms[i]!.labels])),
        needed,
      ),
    ];
  }
  const last = sumAway(terms[0]!, new Set(output));
  return new Tensor(transposeTo(last, output));
}

function parse(equation: string, operands: readonly Tensor[]): { inputs: string[][]; output: string[] } {
  const [left, right] = equation.replace(/\s+/g, '').split('->') as [string, string | undefined];
  const parts = left.split(',');
  if (parts.length !== operands.length || !/^[A-Za-z.,]*$/.test(left + (right ?? ''))) {
    throw new BitloomError('INVALID_ARGUMENT', `einsum '${equation}' does not fit ${operands.length} operands`, {
      equation,
    });
  }
  const named = parts.map((part) => part.replace('...', '').length);
  const rank = Math.max(0, ...parts.map((part, i) => (part.includes('...') ? operands[i]!.ndim - named[i]! : 0)));
  // Ellipsis axes get labels that count from the end, so that they align as broadcasting does.
  const ellipsis = (count: number) => Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
  const expand = (part: string, count: number) => {
    const [before, after] = part.includes('...') ? part.split('...') : [part, ''];
    return [...before!, ...(part.includes('...') ? ellipsis(count) : []), ...after!];
  };
  const inputs = parts.map((part, i) => expand(part, operands[i]!.ndim - named[i]!));
  if (right !== undefined) return { inputs, output: expand(right, rank) };
  const all = inputs.flat();
  const once = [...new Set(all)].filter(
    (label) => !label.startsWith('.') && all.indexOf(label) === all.lastIndexOf(label),
  );
  return { inputs, output: [...ellipsis(rank), ...once.sort()] };
}

function checkSizes(equation: string, inputs: readonly string[][], operands: readonly Tensor[]): void {
  const sizes = new Map<string, number>();
  operands.forEach((operand, i) => {
    if (inputs[i]!.length !== operand.ndim) {
      throw new BitloomError(
        'SHAPE_MISMATCH',
        `einsum '${equation}': operand ${i} has shape [${operand.shape.join(', ')}], its labels are '${inputs[i]!.join('')}'`,
      );
    }
    inputs[i]!.forEach((label, axis) => {
      const size = operand.shape[axis]!;
      if ((sizes.get(label) ?? size) !== size) {
        throw new BitloomError(
          'SHAPE_MISMATCH',
          `einsum '${equation}': label ${label} is ${sizes.get(label)} and ${size} long`,
        );
      }
      sizes.set(label, size);
    });
  });
}

/** 'ii' becomes 'i': the diagonal of each repeated pair of axes. */
function takeDiagonals(term: Term): Term {
  const { labels, tensor } = term;
  const second = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (second < 0) return term;
  const first = labels.indexOf(labels[second]!);
  const front = moveaxis(moveaxis(tensor, second, 0), first + 1, 0);
  const [n, , ...rest] = front.shape as [number, number, ...number[]];
  const inner = rest.reduce((a, b) => a * b, 1);
  const flat = build.reshape(front.value, [n * n, inner]);
  const picked = build.reshape(build.slice(flat, [0, 0], [n * n, inner], [n + 1, 1]), [n, ...rest]);
  const kept = labels.filter((_, i) => i !== first && i !== second);
  return takeDiagonals({ labels: [labels[second]!, ...kept], tensor: new Tensor(picked) });
}

/** Sums over labels that nobody else needs. */
function sumAway({ labels, tensor }: Term, needed: ReadonlySet<string>): Term {
  const axes = labels.flatMap((label, i) => (needed.has(label) ? [] : [i]));
  if (axes.length === 0) return { labels, tensor };
  return {
    labels: labels.filter((label) => needed.has(label)),
    tensor: new Tensor(build.reduceSum(tensor.value, axes)),
  };
}

/** The pair whose product is smallest compared with what it replaces. */
function cheapestPair(terms: readonly Term[], output: readonly string[]): [number, number] {
  let best: [number, number] = [0, 1];
  let bestCost = Number.POSITIVE_INFINITY;
  for (let i = 0; i < terms.length; i++) {
    for (let j = i + 1; j < terms.length; j++) {
      const others = new Set([...output, ...terms.filter((_, k) => k !== i && k !== j).flatMap((t) => t.labels)]);
      const sizes = new Map(
        [terms[i]!, terms[j]!].flatMap((t) => t.labels.map((label, axis) => [label, t.tensor.shape[axis]!] as const)),
      );
      const result = [...sizes].reduce((n, [label, size]) => (others.has(label) ? n * size : n), 1);
      const cost = result - terms[i]!.tensor.size - terms[j]!.tensor.size;
      if (cost < bestCost) [best, bestCost] = [[i, j], cost];
    }
  }
  return best;
}

function contract(a: Term, b: Term, needed: ReadonlySet<string>): Term {
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const summed = shared.filter((label) => !needed.has(label));
  const places = (term: Term, labels: readonly string[]) => labels.map((label) => term.labels.indexOf(label));
  const { lhs, rhs, resultDtype } = productOperands(a.tensor, b.tensor, 'einsum');
  const value = build.dotGeneral(lhs, rhs, {
    lhsContract: places(a, summed),
    rhsContract: places(b, summed),
    lhsBatch: places(a, batch),
    rhsBatch: places(b, batch),
    resultDtype,
  });
  const free = (term: Term) => term.labels.filter((label) => !shared.includes(label));
  return { labels: [...batch, ...free(a), ...free(b)], tensor: new Tensor(value) };
}

function transposeTo({ labels, tensor }: Term, output: readonly string[]): Value {
  const missing = output.find((label) => !labels.includes(label));
  if (missing !== undefined || output.length !== new Set(output).size) {
    throw new BitloomError(
      'INVALID_ARGUMENT',
      `einsum: output label ${missing ?? output.join('')} is not in exactly one place`,
    );
  }
  const perm = output.map((label) => labels.indexOf(label));
  return perm.every((axis, i) => axis === i) ? tensor.value : build.transpose(tensor.value, perm);
}

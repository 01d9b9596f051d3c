/** Trees of tensors: the nested arrays and plain objects that traced functions take and give. */
import { BitloomError } from '../ir/error.ts';
import { Tensor } from './tensor.ts';

/** A tensor, a static value, or an array or record of trees. */
export type Tree =
  | Tensor
  | number
  | string
  | boolean
  | null
  | undefined
  | readonly Tree[]
  | { readonly [key: string]: Tree };

const isRecord = (tree: Tree): tree is { readonly [key: string]: Tree } =>
  typeof tree === 'object' && tree !== null && !(tree instanceof Tensor) && !Array.isArray(tree);

/** The tensors of a tree in order, and a text of everything else: its structure and static values. */
export function flattenTree(tree: Tree): { tensors: Tensor[]; structure: string } {
  const tensors: Tensor[] = [];
  const describe = (node: Tree): string => {
    if (node instanceof Tensor) {
      tensors.push(node);
      return '*';
    }
    if (Array.isArray(node)) return `[${node.map(describe).join(',')}]`;
    if (isRecord(node))
      return `{${Object.keys(node)
        .sort()
        .map((key) => `${JSON.stringify(key)}:${describe(node[key])}`)
        .join(',')}}`;
    if (typeof node === 'function')
      throw new BitloomError('INVALID_ARGUMENT', 'functions cannot be arguments of a traced function');
    return typeof node === 'string' ? JSON.stringify(node) : String(node);
  };
  return { structure: describe(tree), tensors };
}

/** The same tree with its tensors replaced, in the order of `flattenTree`. */
export function replaceTensors<T extends Tree>(tree: T, tensors: readonly Tensor[]): T {
  let next = 0;
  const rebuild = (node: Tree): Tree => {
    if (node instanceof Tensor) return tensors[next++]!;
    if (Array.isArray(node)) return node.map(rebuild);
    if (!isRecord(node)) return node;
    const entries = new Map(
      Object.keys(node)
        .sort()
        .map((key) => [key, rebuild(node[key])]),
    );
    return Object.fromEntries(Object.keys(node).map((key) => [key, entries.get(key)]));
  };
  return rebuild(tree) as T;
}

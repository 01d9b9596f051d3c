/** What the attention kernels share: their sizes, what they take, and their two templates, for float and packed caches. */
import type { TensorType } from '../../ir/shape.ts';
import type { BufferParam, Expr } from '../expression.ts';
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { type CacheRows, cacheRows } from './cache-rows.ts';
import { kernelName } from './naming.ts';

/** Where running maximums begin: below every score, and still a number to subtract. */
export const LOWEST = -3.4028234663852886e38;

/** Sizes of q [seqLen, nHeads, keyDim] and caches [nKvHeads, context, keyDim or valueDim]. */
export interface AttentionSizes {
  readonly seqLen: number;
  readonly nHeads: number;
  readonly nKvHeads: number;
  /** Heads that read one cache head. */
  readonly group: number;
  /** Pairs (query, head of the group) that read one cache head. */
  readonly rows: number;
  readonly context: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

export function attentionSizes([q, keys, values]: readonly TensorType[]): AttentionSizes {
  const [seqLen, nHeads, keyDim] = q!.shape as readonly [number, number, number];
  const [nKvHeads, context] = keys!.shape as readonly [number, number];
  const group = nHeads / nKvHeads;
  return { seqLen, nHeads, nKvHeads, group, rows: seqLen * group, context, keyDim, valueDim: values!.shape[2]! };
}

/** What an attention kernel reads and writes. */
export interface AttentionOperands {
  readonly sizes: AttentionSizes;
  /** How rows of the caches are read. */
  readonly cache: CacheRows;
  readonly q: BufferParam;
  readonly keys: BufferParam;
  readonly values: BufferParam;
  readonly output: BufferParam;
  /** Positions in the caches before the first query. */
  readonly start: Expr;
}

export function attentionOperands(k: KernelBuilder, { inputs }: KernelRequest): AttentionOperands {
  const [q, keys, values, start] = (['q', 'keys', 'values', 'start'] as const).map((name) => k.buffer(name, 'read'));
  return {
    sizes: attentionSizes(inputs),
    cache: cacheRows(inputs[1]!.dtype)!,
    q: q!,
    keys: keys!,
    values: values!,
    output: k.buffer('output', 'write'),
    start: k.let(k.load(start!, 'i32', 0)),
  };
}

/** A way to compute attention with vectors of four. */
export interface AttentionWay {
  /** Empty, or what tells its kernels from others'. */
  readonly name: string;
  /** Rows of a cache head from which it is chosen. */
  readonly leastRows: number;
  schedules(request: KernelRequest): readonly Schedule[];
  emit(k: KernelBuilder, request: KernelRequest, schedule: Schedule): void;
}

/** The templates of `attention` and `packed_attention` that compute one way. */
export function attentionTemplates(way: AttentionWay): [KernelTemplate, KernelTemplate] {
  const templateOf = (op: string): KernelTemplate => ({
    op,
    name: [op.replace('_', ' '), way.name].join(' ').trim(),
    supports({ inputs, machine, epilogue }) {
      const { rows, keyDim, valueDim } = attentionSizes(inputs);
      const isWhole = keyDim % 4 === 0 && valueDim % 4 === 0 && valueDim > 0;
      const isRead = cacheRows(inputs[1]!.dtype) !== undefined;
      return rows >= way.leastRows && machine.lanes === 4 && isWhole && isRead && !epilogue;
    },
    schedules: (request) => way.schedules(request),
    build(request, schedule) {
      const k = new KernelBuilder(
        kernelName([op, way.name].join(' ').trim(), request, schedule),
        request.machine.lanes,
      );
      way.emit(k, request, schedule);
      return k.finish();
    },
  });
  return [templateOf('attention'), templateOf('packed_attention')];
}

/**
 * `attention` over a key/value cache, of floats or of packed rows. Few rows to a cache head, as when decoding, run in
 * one pass over the cache (attention-rows.ts), many as products of tiles (attention-tiles.ts).
 */
import { KernelBuilder } from '../language.ts';
import type { KernelRequest, KernelTemplate, Schedule } from '../template.ts';
import { emitAttentionRows } from './attention-rows.ts';
import { attentionSizes } from './attention-shape.ts';
import { emitAttentionTiles, itemRowsFor } from './attention-tiles.ts';
import { cacheRows } from './cache-rows.ts';
import { kernelName } from './naming.ts';

/**
 * Rows of a cache head from which tiles win, measured at 4, 8 and 16 lanes. Their scores have rows in the lanes, two
 * vectors of them, and repeat each element of a key, which costs as much for one row as for all.
 */
const leastTileRows = ({ machine }: KernelRequest): number => Math.min(16, 2 * machine.lanes);

function schedules(request: KernelRequest): Schedule[] {
  const ways: Schedule[] = [{}, { itemRows: itemRowsFor(request) }];
  return attentionSizes(request.inputs).rows < leastTileRows(request) ? ways : ways.reverse();
}

const templateOf = (op: string): KernelTemplate => ({
  op,
  name: op.replace('_', ' '),
  supports({ inputs, epilogue }) {
    const { keyDim, valueDim } = attentionSizes(inputs);
    const isWhole = keyDim % 4 === 0 && valueDim % 4 === 0 && valueDim > 0;
    return isWhole && cacheRows(inputs[1]!.dtype) !== undefined && !epilogue;
  },
  schedules,
  build(request, schedule) {
    const k = new KernelBuilder(kernelName(op, request, schedule), request.machine.lanes);
    if (schedule.itemRows === undefined) emitAttentionRows(k, request);
    else emitAttentionTiles(k, request, schedule.itemRows);
    return k.finish();
  },
});

export const attentionKernel = templateOf('attention');
export const packedAttentionKernel = templateOf('packed_attention');

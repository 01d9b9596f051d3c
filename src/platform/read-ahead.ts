/**
 * Fewer and larger reads for files at the end of a line. A model has hundreds of tensors, mostly read in the order
 * in which they lie: asked for one by one, each would wait for the line there and back.
 */
import { BitloomError } from '../ir/error.ts';
import type { RandomAccessFile } from './platform.ts';

/** The first block suffices for many headers; each further one is twice as large, up to the largest. */
const FIRST_BYTES = 1 << 18;
const LARGEST_BYTES = 1 << 22;
/** Blocks that are kept: tensors of one layer may be read in another order than they lie in. */
const KEPT = 2;

interface Block {
  readonly offset: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array>;
}

/** The same file, read in aligned blocks; reads as large as a block go straight to their target. */
export function readAhead(file: RandomAccessFile): RandomAccessFile {
  const blocks: Block[] = [];
  let blockBytes = FIRST_BYTES;

  const known = (at: number): Block | undefined => blocks.find(({ offset, end }) => offset <= at && at < end);

  const fetchBlock = (at: number, signal: AbortSignal | undefined): Block => {
    const offset = at - (at % blockBytes);
    const end = Math.min(offset + blockBytes, file.sizeBytes);
    const target = new Uint8Array(end - offset);
    const block: Block = {
      offset,
      end,
      bytes: file.readInto(target, offset, signal).then((count) => target.subarray(0, count)),
    };
    block.bytes.catch(() => {
      if (blocks.includes(block)) blocks.splice(blocks.indexOf(block), 1);
    });
    blocks.unshift(block);
    blocks.length = Math.min(blocks.length, KEPT);
    blockBytes = Math.min(2 * blockBytes, LARGEST_BYTES);
    return block;
  };

  /** A block's bytes; undefined where another reader's signal ended the reading of it. */
  const bytesOf = async ({ bytes }: Block, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> => {
    try {
      return await bytes;
    } catch (error) {
      if (error instanceof BitloomError && error.code === 'ABORTED' && !signal?.aborted) return undefined;
      throw error;
    }
  };

  return {
    name: file.name,
    sizeBytes: file.sizeBytes,
    async readInto(target, offset, signal) {
      let filled = 0;
      while (filled < target.length && offset + filled < file.sizeBytes) {
        if (signal?.aborted) {
          throw new BitloomError('ABORTED', `Reading ${file.name} was cancelled.`, {}, { cause: signal.reason });
        }
        const at = offset + filled;
        const rest = target.subarray(filled);
        const there = known(at);
        if (there === undefined && rest.length >= LARGEST_BYTES)
          return filled + (await file.readInto(rest, at, signal));
        const block = there ?? fetchBlock(at, signal);
        const bytes = await bytesOf(block, signal);
        if (bytes === undefined) continue;
        const piece = bytes.subarray(at - block.offset, at - block.offset + rest.length);
        if (piece.length === 0) break;
        rest.set(piece);
        filled += piece.length;
      }
      return filled;
    },
    async close() {
      blocks.length = 0;
      await file.close();
    },
  };
}

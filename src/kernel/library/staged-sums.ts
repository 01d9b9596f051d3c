/** f32 sums of a block of tokens by a few panels, which wait in thread scratch while pieces of the depth are added to them. */
import { add, type BufferParam, binary, constant, type Expr, mul, vectorType } from '../expression.ts';
import type { KernelBuilder } from '../language.ts';
import type { TiledProduct } from './packed-product.ts';

/** Sums [tokens][panels], a vector each. */
export class StagedSums {
  readonly #k: KernelBuilder;
  readonly #product: TiledProduct;
  readonly #panels: number;
  readonly #scratch: { readonly buffer: BufferParam; readonly byteOffset: number };
  readonly vectorBytes: number;

  constructor(k: KernelBuilder, product: TiledProduct, tokens: number, panels: number) {
    this.#k = k;
    this.#product = product;
    this.#panels = panels;
    this.vectorBytes = 4 * product.machine.lanes;
    this.#scratch = k.threadScratch(tokens * this.tokenBytes);
  }

  /** Bytes from one token to the next. */
  get tokenBytes(): number {
    return this.#panels * this.vectorBytes;
  }

  /** Byte offset of the sums of token `token` of the block. */
  at(token: Expr): Expr {
    return add(mul(token, this.tokenBytes), this.#scratch.byteOffset);
  }

  load(at: Expr): Expr {
    return this.#k.load(this.#scratch.buffer, 'f32', at, this.#product.machine.lanes);
  }

  store(at: Expr, sum: Expr): void {
    this.#k.store(this.#scratch.buffer, 'f32', at, sum);
  }

  clear(tokens: number): void {
    const [{ byteOffset }, bytes] = [this.#scratch, this.vectorBytes];
    const zero = constant(vectorType('f32', this.#product.machine.lanes), 0);
    this.#k.loop(byteOffset, byteOffset + tokens * this.tokenBytes, bytes, (at) => this.store(at, zero));
  }

  /** Stores the sums of the block's tokens, which begin at `first`, by `count` panels from `panel` on: rows that exist. */
  finish(first: Expr, tokens: number, panel: Expr, count: number): void {
    const [k, { n, results, machine }] = [this.#k, this.#product];
    const { lanes } = machine;
    k.loop(0, tokens, 1, (token) => {
      const at = k.let(this.at(token));
      const rowStart = k.let(mul(add(first, token), n));
      for (let p = 0; p < count; p++) {
        const [column, sum] = [k.let(mul(add(panel, p), lanes)), k.let(this.load(add(at, p * this.vectorBytes)))];
        const put = (rows: number): void => results.storeFirst(rowStart, column, sum, rows);
        if (n % lanes === 0 || p < count - 1) put(lanes);
        else
          k.if(
            binary('gt', column, n - lanes),
            () => put(n % lanes),
            () => put(lanes),
          );
      }
    });
  }
}

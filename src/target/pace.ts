/** How much of a plan to run at a time, so that a long run pauses often and a short one never: learned from run to run. */

/** A piece of this length is one frame's time or two: nobody notices it, and a pause costs less than a thousandth of it. */
const PIECE_MS = 30;

/** Pieces that a plan is cut into before anything is known of its speed. */
const FIRST_PIECES = 16;

/** The pace of one plan. Groups of steps cost unequally, so it follows what the last pieces took. */
export class Pace {
  readonly #nGroups: number;
  #perPiece: number;

  constructor(nGroups: number) {
    this.#nGroups = nGroups;
    this.#perPiece = Math.ceil(nGroups / FIRST_PIECES);
  }

  /** The group before which a piece from group `from` on should end. */
  end(from: number): number {
    return Math.min(from + this.#perPiece, this.#nGroups);
  }

  /** Tells how long a piece of `count` groups took. */
  took(count: number, ms: number): void {
    if (ms > PIECE_MS) this.#perPiece = Math.max(1, Math.floor(count / Math.ceil(ms / PIECE_MS)));
    else if (ms < PIECE_MS / 2 && count >= this.#perPiece) this.#perPiece = Math.min(2 * this.#perPiece, this.#nGroups);
  }
}

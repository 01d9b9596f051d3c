/** How weights lie on a device: float tensors as in their file, packed ones in panels of rows. */
import { rowCount, type TensorEntry } from '../format/index.ts';
import { type ElementType, isPacked } from '../ir/dtype.ts';
import { byteLength } from '../ir/shape.ts';
import { isNumberFormat, panel } from '../quant/index.ts';

/** How a tensor of the file lies on a device with panels of `panelRows` rows. */
export const placedElement = (element: ElementType, panelRows: number): ElementType =>
  isNumberFormat(element) ? panel(element, panelRows) : element;

/** Bytes of a tensor on a device with panels of `panelRows` rows. */
export function placedBytes(entry: TensorEntry, panelRows: number): number {
  return byteLength({ dtype: placedElement(entry.element, panelRows), shape: entry.shape });
}

/** Rows of a packed matrix that are read and laid in panels at a time, whole panels: a core's second-level cache holds them. */
export const STRIPE_ROWS = 1024;

/** Bytes of a stage that takes every stripe of a tensor, as the file has it or on the device. */
export function stripeBytes(entry: TensorEntry, panelRows = 1): number {
  const { element, shape } = entry;
  if (!isPacked(element)) return 0;
  const rows = Math.min(STRIPE_ROWS, rowCount(entry));
  return byteLength({ dtype: placedElement(element, panelRows), shape: [rows, shape.at(-1)!] });
}

/** Sliding windows of attention, layer by layer, as configurations describe them. */
import { type ConfigRecord, choicesField, sizeField } from '../config-reader.ts';

/**
 * What each layer's attention takes as its options: the last `sliding_window` positions where `layer_types`, or else
 * `isSliding`, says so. Throws BAD_FILE, UNSUPPORTED_FEATURE.
 */
export function readWindows(
  config: ConfigRecord,
  nLayers: number,
  isSliding: (layer: number) => boolean,
): readonly { readonly window?: number }[] {
  const types = choicesField(config, 'layer_types', ['full_attention', 'sliding_attention'], nLayers);
  return Array.from({ length: nLayers }, (_, i) => {
    const slides = types ? types[i] === 'sliding_attention' : isSliding(i);
    return slides ? { window: sizeField(config, 'sliding_window') } : {};
  });
}

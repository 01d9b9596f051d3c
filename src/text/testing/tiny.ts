/** The files of the embedded model's tokenizer, for tests. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { chatTemplateOfConfig } from '../chat-template.ts';
import { tokenizerToGguf } from '../gguf-export.ts';

/** Reads a JSON file beside the embedded model. */
export function tinyJson(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(`../../../assets/tiny/${name}`, import.meta.url), 'utf8'));
}

/** A deep copy of tokenizer.json, to be damaged. */
export const tinyTokenizerJson = (): Record<string, unknown> => tinyJson('tokenizer.json');

/** GGUF metadata of the embedded model's tokenizer, as a reader would give it. */
export function tinyGgufMetadata(): Map<string, unknown> {
  const tokenizerConfig = tinyJson('tokenizer_config.json');
  return tokenizerToGguf({
    tokenizerJson: tinyTokenizerJson(),
    tokenizerConfig,
    generationConfig: tinyJson('generation_config.json'),
    chatTemplate: chatTemplateOfConfig(tokenizerConfig),
    modelVocabSize: 4096,
  });
}

/** Well-formed text of all scripts, rich in what word cuts and special tokens stumble over. */
export const anyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.constantFrom(
        '<|end|>',
        '<|bos|',
        '|>',
        "I'LL",
        "'s",
        ' ',
        '  ',
        '\r\n',
        '\n',
        '12345',
        '\ufeff',
        '\u0085',
        '👩‍👩‍👧',
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

import { expect, test } from 'vitest';
import { showProgress } from './progress.ts';

test('tells phase, share, bytes of all bytes, and the speed of the last seconds', () => {
  const lines: string[] = [];
  let ms = 0;
  const show = showProgress({ status: (text) => void lines.push(text) }, () => ms);
  show({ phase: 'download', loadedBytes: 0, totalBytes: 4_000_000 });
  ms = 2000;
  show({ phase: 'download', loadedBytes: 1_000_000, totalBytes: 4_000_000, file: 'a.gguf' });
  ms = 12_000;
  show({ phase: 'download', loadedBytes: 2_000_000, totalBytes: 4_000_000, file: 'a.gguf' });
  ms = 12_500;
  show({ phase: 'download', loadedBytes: 4_000_000, totalBytes: 4_000_000, file: 'a.gguf' });
  show({ phase: 'weights', loadedBytes: 0, totalBytes: 0 });
  expect(lines).toEqual([
    'download  [                        ]  0 B of 4.0 MB',
    'download  [======                  ]  1.0 MB of 4.0 MB  500.0 kB/s  a.gguf',
    'download  [============            ]  2.0 MB of 4.0 MB  100.0 kB/s  a.gguf',
    'download  [========================]  4.0 MB of 4.0 MB  4.0 MB/s  a.gguf',
    'weights  [========================]  0 B of 0 B',
  ]);
});

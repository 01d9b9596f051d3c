/** All goldens of the embedded model, token for token, on every device. */
import { describeGoldens } from './goldens.fixture.ts';

describeGoldens({ device: 'wasm', threads: 1 }, 8, 64);
describeGoldens({ device: 'wasm', threads: 2 }, 8, 64);
describeGoldens({ device: 'interpreter' }, 8, 64);
describeGoldens({ device: 'x64', threads: 1 }, 8, 64);
describeGoldens({ device: 'x64', threads: 2 }, 8, 64);

/** The cases of machine code on x86-64: bitloom's x64 device against native peers and what the processor allows. */
import { type Case, type Contender, contender, plural, THREADS, UNITS } from './case.ts';
import type { ModelFormat, ModelSize } from './generate-model.ts';
import { BYTES_PER_WEIGHT, bytesPerDecodedToken, CONTEXT_LENGTH, modelCost } from './model-cost.ts';
import type { NativeArithmetic } from './native-probe.ts';

/** Every name here begins with it: `npm run bench -- x64-` runs them all. */
const PREFIX = 'x64-';
/** Working set that stays in the last-level cache, and in no smaller one even where two threads share it. */
const CACHED_BYTES = 16 << 20;

const ours = (work: string, threads: number, more: Contender['options'], name = 'bitloom x64'): Contender =>
  contender(name, 'ours', 'bitloom', { work, device: 'x64', threads, ...more });

/** A probe of arithmetic in machine code; `workRatio` turns its unit into that of the case. */
const arithmetic = (name: string, probe: NativeArithmetic, threads: number, workRatio = 1): Contender => ({
  ...contender(name, 'ceiling', 'native-ceiling', { probe, threads }),
  workRatio,
});

/** A probe of reads over a working set. */
const reads = (threads: number, workingSetBytes: number, workRatio = 1): Contender => ({
  ...contender('read ceiling', 'ceiling', 'native-ceiling', { probe: 'read', threads, workingSetBytes }),
  workRatio,
});

/** What the processor itself reaches, with what WebAssembly reaches of it. */
function machineCases(dramBytes: number): Case[] {
  return THREADS.flatMap((threads): Case[] => {
    const wasm = (name: string, probe: string, workingSetBytes = 0): Contender =>
      contender(name, 'ceiling', 'ceiling', { probe, threads, workingSetBytes });
    const about = plural(threads);
    const isQuick = false;
    return [
      {
        name: `${PREFIX}machine-f32-${threads}t`,
        title: `f32 multiply-add in machine code, ${about}`,
        unit: UNITS.gflops,
        isQuick,
        contenders: [
          arithmetic('AVX-512', 'fma-512', threads),
          arithmetic('AVX2', 'fma-256', threads),
          wasm('WebAssembly', 'fma'),
        ],
      },
      {
        name: `${PREFIX}machine-bf16-${threads}t`,
        title: `bf16 products in machine code, ${about}`,
        unit: UNITS.gflops,
        isQuick,
        contenders: [
          arithmetic('AVX-512 BF16', 'bf16-512', threads),
          arithmetic('AMX', 'amx-bf16', threads),
          arithmetic('f32, AVX-512', 'fma-512', threads),
        ],
      },
      {
        name: `${PREFIX}machine-int8-${threads}t`,
        title: `8-bit products in machine code, ${about}`,
        unit: UNITS.gops,
        isQuick,
        contenders: [
          arithmetic('AVX-512 VNNI', 'dot8-512', threads),
          arithmetic('AMX', 'amx-int8', threads),
          wasm('WebAssembly', 'dot8'),
        ],
      },
      ...(
        [
          ['cache', 'last-level cache', CACHED_BYTES],
          ['dram', 'memory', dramBytes],
        ] as const
      ).map(
        ([name, place, bytes]): Case => ({
          name: `${PREFIX}machine-${name}-${threads}t`,
          title: `read bandwidth in machine code, ${place}, ${about}`,
          unit: UNITS.bandwidth,
          isQuick,
          contenders: [{ ...reads(threads, bytes), name: 'machine code' }, wasm('WebAssembly', 'read', bytes)],
        }),
      ),
    ];
  });
}

function gemmCases(): Case[] {
  return [1024, 2048].flatMap((size) =>
    THREADS.map(
      (threads): Case => ({
        name: `${PREFIX}gemm-${size}-${threads}t`,
        title: `f32 matrix product ${size} in machine code, ${plural(threads)}`,
        unit: UNITS.gflops,
        isQuick: false,
        contenders: [
          ours('gemm', threads, { size }),
          contender('onnxruntime-node', 'peer', 'onnxruntime-node', { work: 'gemm', size, threads }),
          arithmetic('fma-512 ceiling', 'fma-512', threads),
        ],
        goals: [
          { against: 'onnxruntime-node', atLeast: 1.25 },
          ...(threads === 1 ? [{ against: 'roofline', atLeast: 0.75 }] : []),
        ],
      }),
    ),
  );
}

/** What else than 8-bit activations onnxruntime-node may take for MatMulNBits: 1 = f32. */
const ACCURACY_LEVELS = [4, 1] as const;

/** int4 weights 4096 x 4096 with one row of activations and with many. */
function int4Cases(): Case[] {
  const size = 4096;
  const bytes = size * size * BYTES_PER_WEIGHT.Q4_0;
  const rows: readonly [name: string, title: string, rows: number, atLeast: number][] = [
    ['int4-gemv', 'int4 matrix-vector product', 1, 1],
    ['int4-gemm', 'int4 matrix product, 128 rows,', 128, 5],
  ];
  return rows.flatMap(([name, title, nRows, atLeast]) =>
    THREADS.map((threads): Case => {
      const flopsPerByte = (2 * nRows * size * size) / bytes;
      const work = { work: 'int4', size, rows: nRows, threads };
      return {
        name: `${PREFIX}${name}-${threads}t`,
        title: `${title} ${size} in machine code, ${plural(threads)}`,
        unit: UNITS.gflops,
        isQuick: false,
        contenders: [
          ours('int4', threads, { size, rows: nRows }),
          ...ACCURACY_LEVELS.map((accuracyLevel) =>
            contender(`onnxruntime-node, level ${accuracyLevel}`, 'peer', 'onnxruntime-node', {
              ...work,
              accuracyLevel,
            }),
          ),
          ...(nRows === 1 ? [reads(threads, bytes, flopsPerByte)] : []),
          arithmetic('dot8-512 ceiling', 'dot8-512', threads),
        ],
        goals: [{ against: 'best peer', atLeast }],
      };
    }),
  );
}

/** Matrices of a set together: more than any cache that one machine's share holds for long. */
const SET_BYTES = 512 << 20;

/** One token's products with formats of few bits: what fewer bytes bring where memory is the limit. */
function fewBitCases(): Case[] {
  const size = 4096;
  const formats = ['Q2_K', 'Q3_K', 'Q4_K', 'Q4_0'] as const;
  return formats.flatMap((format) =>
    THREADS.map((threads): Case => {
      const bytesOf = (of: (typeof formats)[number]): number => size * size * BYTES_PER_WEIGHT[of];
      const set = (of: (typeof formats)[number]): Contender => ({
        ...ours('gemv-set', threads, { size, format: of, setBytes: SET_BYTES }, `bitloom x64 ${of}`),
        bytesPerUnit: bytesOf(of),
      });
      return {
        name: `${PREFIX}gemv-${format}-${threads}t`,
        title: `matrix-vector products ${size} from memory, ${format} in machine code, ${plural(threads)}`,
        unit: UNITS.matrices,
        isQuick: false,
        contenders: [
          set(format),
          ...(format === 'Q4_K' ? [] : [set('Q4_K')]),
          reads(threads, SET_BYTES, 1 / bytesOf(format)),
        ],
      };
    }),
  );
}

const PROMPT_TOKENS = 128;
/** Tokens of the short prompt before what is decoded. */
const DECODE_PROMPT_TOKENS = 5;

interface ModelRow {
  readonly size: ModelSize;
  readonly format: ModelFormat;
  /** Ours against native llama.cpp at as many threads, where that is promised. */
  readonly prefill?: number;
  /** Ours against native llama.cpp at its better thread count. */
  readonly decode: number;
  /** Share of the read bandwidth that decoding promises. */
  readonly ofReads?: number;
}

const MODELS: readonly ModelRow[] = [
  { size: '15M', format: 'Q4_0', decode: 2 },
  { size: '110M', format: 'Q4_0', prefill: 3, decode: 2 },
  { size: '110M', format: 'Q8_0', prefill: 3, decode: 2 },
  { size: '110M', format: 'F16', prefill: 3, decode: 2 },
  { size: '1.1B', format: 'Q4_0', prefill: 3, decode: 1.05, ofReads: 0.9 },
  { size: '1.1B', format: 'Q8_0', prefill: 3, decode: 1.05, ofReads: 0.9 },
];

const llama = (work: string, threads: number, more: Contender['options'], name = 'llama.cpp (native)'): Contender =>
  contender(name, 'peer', 'node-llama-cpp', { work, threads, ...more });

function prefillCase({ size, format, prefill }: ModelRow, threads: number): Case {
  const model = `${size}-${format}`;
  const { layerWeights } = modelCost(size);
  const probe = format === 'F16' ? 'fma-512' : 'dot8-512';
  const work = { model, tokens: PROMPT_TOKENS };
  return {
    name: `${PREFIX}prefill-${model}-${threads}t`,
    title: `prefill of ${PROMPT_TOKENS} tokens, ${model} in machine code, ${plural(threads)}`,
    unit: UNITS.tokens,
    isQuick: false,
    contenders: [
      ours('prefill', threads, work),
      llama('prefill', threads, work),
      arithmetic(`${probe} ceiling`, probe, threads, 1 / (2 * layerWeights)),
    ],
    goals: [{ against: 'llama.cpp (native)', atLeast: prefill! }],
  };
}

/** llama.cpp decodes small models faster on one thread than on two: it takes part with both, and the better one counts. */
function decodeCase({ size, format, decode, ofReads }: ModelRow, threads: number): Case {
  const model = `${size}-${format}`;
  const tokens = size === '1.1B' ? 8 : 32;
  const bytesPerToken = bytesPerDecodedToken(size, format, DECODE_PROMPT_TOKENS + tokens / 2);
  const work = { model, tokens };
  const most = Math.max(...THREADS);
  const isPromised = size !== '1.1B' || threads === most; // memory is faster with all threads, for theirs too
  return {
    name: `${PREFIX}decode-${model}-${threads}t`,
    title: `decode, ${model} in machine code, ${plural(threads)}`,
    unit: UNITS.tokens,
    isQuick: false,
    contenders: [
      { ...ours('decode', threads, work), bytesPerUnit: bytesPerToken },
      ...THREADS.map((n) => llama('decode', n, work, `llama.cpp (native), ${plural(n)}`)),
      reads(threads, bytesPerToken, 1 / bytesPerToken),
    ],
    goals: [
      ...(isPromised ? [{ against: 'best peer', atLeast: decode }] : []),
      ...(ofReads === undefined ? [] : [{ against: 'roofline', atLeast: ofReads }]),
    ],
  };
}

/** First token of a new process, and memory beside the mapped file. */
function coldCases(): Case[] {
  const model = '1.1B-Q4_0';
  const cacheMegabytes = (modelCost('1.1B').cacheBytesPerToken * CONTEXT_LENGTH) / 1e6;
  const shared = { perProcess: true, isQuick: false } as const;
  return [
    {
      ...shared,
      name: `${PREFIX}first-token-${model}`,
      title: `process start to first token, ${model} in machine code`,
      unit: UNITS.milliseconds,
      limit: 600,
      contenders: [ours('first-token', 2, { model })],
    },
    {
      ...shared,
      name: `${PREFIX}memory-${model}`,
      title: `resident memory beside the mapped file, ${model} in machine code`,
      unit: UNITS.megabytes,
      limit: 150 + cacheMegabytes,
      contenders: [ours('own-memory', 2, { model })],
    },
  ];
}

/** All of them. `dramBytes`: a working set that does not fit any cache of this machine. */
export const nativeCases = (dramBytes: number): Case[] => [
  ...machineCases(dramBytes),
  ...gemmCases(),
  ...int4Cases(),
  ...fewBitCases(),
  ...MODELS.filter(({ prefill }) => prefill !== undefined).flatMap((row) => THREADS.map((n) => prefillCase(row, n))),
  ...MODELS.flatMap((row) => THREADS.map((n) => decodeCase(row, n))),
  ...coldCases(),
];

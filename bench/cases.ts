/** The table of all cases. Adding a contender or a case is adding a row here and, at most, one adapter. */
import { type Case, type Contender, contender, plural, THREADS, UNITS, type Unit } from './case.ts';
import type { ModelFormat, ModelSize } from './generate-model.ts';
import { BYTES_PER_WEIGHT, CONTEXT_LENGTH, modelCost } from './model-cost.ts';
import { nativeCases } from './native-cases.ts';
import type { ProbeKind } from './probe.ts';
import { sparseCases } from './sparse-cases.ts';

/** Working set of a probe that stays in the last-level cache but in no smaller one. */
const CACHED_BYTES = 9_437_184;

const ours = (work: string, threads: number, more: Contender['options'] = {}, name = 'bitloom'): Contender =>
  contender(name, 'ours', 'bitloom', { work, threads, ...more });

/** A probe as the ceiling of a case: `workRatio` turns its unit into that of the case. */
const ceiling = (probe: ProbeKind, threads: number, workingSetBytes = 0, workRatio = 1): Contender => ({
  ...contender(probe === 'read' ? 'read ceiling' : `${probe} ceiling`, 'ceiling', 'ceiling', {
    probe,
    threads,
    workingSetBytes,
  }),
  workRatio,
});

/** The roofline itself, in the newest Node and in the one that runs this script. */
function machineCases(dramBytes: number): Case[] {
  const probes: readonly [string, string, ProbeKind, number, Unit][] = [
    ['fma', 'f32 multiply-add, SIMD128', 'fma', 0, UNITS.gflops],
    ['dot8', '8-bit dot product, relaxed SIMD', 'dot8', 0, UNITS.gops],
    ['cache', 'read bandwidth, last-level cache', 'read', CACHED_BYTES, UNITS.bandwidth],
    ['dram', 'read bandwidth, memory', 'read', dramBytes, UNITS.bandwidth],
  ];
  return probes.flatMap(([name, title, probe, workingSetBytes, unit]) =>
    THREADS.map((threads): Case => {
      const options = { probe, threads, workingSetBytes };
      return {
        name: `machine-${name}-${threads}t`,
        title: `${title}, ${plural(threads)}`,
        unit,
        isQuick: threads === 1,
        contenders: [
          contender('newest Node', 'ceiling', 'ceiling', options, 'newest'),
          contender('this Node', 'ceiling', 'ceiling', options, 'current'),
        ],
      };
    }),
  );
}

function gemmCases(): Case[] {
  return [1024, 2048].flatMap((size) =>
    THREADS.map(
      (threads): Case => ({
        name: `gemm-${size}-${threads}t`,
        title: `f32 matrix product ${size}, ${plural(threads)}`,
        unit: UNITS.gflops,
        isQuick: size === 1024,
        contenders: [
          ours('gemm', threads, { size }),
          contender('onnxruntime-web', 'peer', 'onnxruntime-web', { work: 'gemm', size, threads }),
          contender('jax-js', 'peer', 'jax', { work: 'gemm', size, threads }),
          ceiling('fma', threads),
        ],
        goals: [
          { against: 'onnxruntime-web', atLeast: 1.4 },
          { against: 'jax-js', atLeast: 1.4 },
          { against: 'roofline', atLeast: 0.85 },
        ],
      }),
    ),
  );
}

function gemvCases(): Case[] {
  const [size, flopsPerByte] = [4096, 2 / BYTES_PER_WEIGHT.Q4_0];
  const bytes = size * size * BYTES_PER_WEIGHT.Q4_0;
  return THREADS.map(
    (threads): Case => ({
      name: `gemv-int4-${threads}t`,
      title: `int4 matrix-vector product ${size}, ${plural(threads)}`,
      unit: UNITS.gflops,
      isQuick: true,
      contenders: [
        ours('int4', threads, { size }),
        contender('onnxruntime-web', 'peer', 'onnxruntime-web', { work: 'int4', size, threads }),
        ceiling('read', threads, bytes, flopsPerByte),
        ceiling('dot8', threads),
      ],
      goals: [
        { against: 'onnxruntime-web', atLeast: 40 },
        { against: 'roofline', atLeast: 0.6 },
      ],
    }),
  );
}

/** Name of the model that needs no file of bench/models. */
export const EMBEDDED_MODEL = 'tiny';
const PROMPT_TOKENS = 128;

/** Prefill and decode of one random-weight model, against native llama.cpp and what the machine allows. */
function modelCases(size: ModelSize, format: ModelFormat, isQuick: boolean): Case[] {
  const { layerWeights, decodeWeights } = modelCost(size);
  const model = `${size}-${format}`;
  const bytesPerToken = decodeWeights * BYTES_PER_WEIGHT[format];
  const dotRatio = (weights: number): number => 1 / (2 * weights);
  return THREADS.flatMap((threads): Case[] => {
    const rivals = (work: string, tokens: number): Contender[] => [
      ours(work, threads, { model, tokens }),
      contender('llama.cpp (native)', 'peer', 'node-llama-cpp', { work, model, tokens, threads }),
    ];
    const arithmetic = format === 'F16' ? 'fma' : 'dot8';
    return [
      {
        name: `prefill-${model}-${threads}t`,
        title: `prefill of ${PROMPT_TOKENS} tokens, ${model}, ${plural(threads)}`,
        unit: UNITS.tokens,
        isQuick: isQuick && threads === 1,
        contenders: [...rivals('prefill', PROMPT_TOKENS), ceiling(arithmetic, threads, 0, dotRatio(layerWeights))],
      },
      {
        name: `decode-${model}-${threads}t`,
        title: `decode, ${model}, ${plural(threads)}`,
        unit: UNITS.tokens,
        isQuick: isQuick && threads === 1,
        contenders: [
          ...rivals('decode', size === '1.1B' ? 8 : 32),
          ceiling('read', threads, bytesPerToken, 1 / bytesPerToken),
          ceiling(arithmetic, threads, 0, dotRatio(decodeWeights)),
        ],
        ...(model === '110M-Q4_0' ? { goals: [{ against: 'read ceiling', atLeast: 0.5 }] } : {}),
      },
    ];
  });
}

/** The same work on one thread and on two: what the second one brings. */
function threadCases(): Case[] {
  const works: readonly [string, string, Unit, Contender['options']][] = [
    ['gemm', 'f32 matrix product 1024', UNITS.gflops, { size: 1024 }],
    ['prefill', 'prefill, 110M-Q4_0', UNITS.tokens, { model: '110M-Q4_0', tokens: PROMPT_TOKENS }],
  ];
  return works.map(([work, title, unit, more]) => ({
    name: `threads-${work}`,
    title: `${title}: two threads against one`,
    unit,
    isQuick: false,
    contenders: [ours(work, 2, more, 'two threads'), ours(work, 1, more, 'one thread')],
    goals: [{ against: 'one thread', atLeast: 1.7 }],
  }));
}

/** Prompt of the large model in Chromium: the peer takes minutes for a longer one. */
const SHORT_PROMPT = 32;

/** The same work in a page of Chromium, against what runs language models on a browser's CPU today. */
function chromiumModelCases(): Case[] {
  const rows: readonly [ModelSize, ModelFormat, prompt: number, decoded: number, prefill: number, decode: number][] = [
    ['110M', 'Q4_0', PROMPT_TOKENS, 32, 12, 7],
    ['110M', 'Q8_0', PROMPT_TOKENS, 32, 12, 7],
    ['1.1B', 'Q4_0', SHORT_PROMPT, 4, 15, 10],
  ];
  return rows.flatMap(([size, format, promptTokens, decodedTokens, prefillGoal, decodeGoal]) => {
    const model = `${size}-${format}`;
    return THREADS.flatMap((threads): Case[] => {
      const { layerWeights, decodeWeights } = modelCost(size);
      const bytesPerToken = decodeWeights * BYTES_PER_WEIGHT[format];
      const about = `${model}, ${plural(threads)}, in Chromium`;
      return [
        {
          name: `chromium-prefill-${model}-${threads}t`,
          title: `prefill of ${promptTokens} tokens, ${about}`,
          unit: UNITS.tokens,
          isQuick: false,
          contenders: [
            ...inChromium(['wllama'], { work: 'prefill', model, tokens: promptTokens, threads }),
            ceiling('dot8', threads, 0, 1 / (2 * layerWeights)),
          ],
          goals: [{ against: 'wllama', atLeast: prefillGoal }],
        },
        {
          name: `chromium-decode-${model}-${threads}t`,
          title: `decode, ${about}`,
          unit: UNITS.tokens,
          isQuick: false,
          contenders: [
            ...inChromium(['wllama'], { work: 'decode', model, tokens: decodedTokens, threads }),
            ceiling('read', threads, bytesPerToken, 1 / bytesPerToken),
          ],
          goals: [{ against: 'wllama', atLeast: decodeGoal }],
        },
      ];
    });
  });
}

/** bitloom and its peers, each in a page of its own. */
const inChromium = (peers: readonly string[], options: Contender['options']): Contender[] => [
  contender('bitloom', 'ours', 'chromium', { page: 'bitloom', ...options }),
  ...peers.map((peer) => contender(peer, 'peer', 'chromium', { page: peer, ...options })),
];

/** From a file in memory to the first token, and f32 products, in Chromium. */
function chromiumCases(): Case[] {
  return THREADS.flatMap((threads): Case[] => [
    {
      name: `chromium-first-token-${threads}t`,
      title: `110M-Q4_0 from memory to the first token, ${plural(threads)}, in Chromium`,
      unit: UNITS.milliseconds,
      isQuick: false,
      contenders: inChromium(['wllama'], { work: 'first-token', model: '110M-Q4_0', threads }),
      goals: [{ against: 'wllama', atLeast: 2 }],
    },
    ...[512, 1024].map(
      (size): Case => ({
        name: `chromium-gemm-${size}-${threads}t`,
        title: `f32 matrix product ${size}, ${plural(threads)}, in Chromium`,
        unit: UNITS.gflops,
        isQuick: false,
        contenders: [
          ...inChromium(['tfjs-wasm', 'onnxruntime-web'], { work: 'gemm', size, threads }),
          ceiling('fma', threads),
        ],
      }),
    ),
  ]);
}

/** Process start to first token, peak memory, and the time to generate all kernels. */
function coldCases(): Case[] {
  const model = '1.1B-Q4_0';
  const { fileWeights, cacheBytesPerToken } = modelCost('1.1B');
  const fileMegabytes = (fileWeights * BYTES_PER_WEIGHT.Q4_0) / 1e6;
  const cacheMegabytes = (cacheBytesPerToken * CONTEXT_LENGTH) / 1e6;
  const rows: readonly [string, string, Unit, string, string, number][] = [
    [
      'first-token-tiny',
      'process start to first token, embedded model',
      UNITS.milliseconds,
      'first-token',
      'tiny',
      500,
    ],
    [`first-token-${model}`, `process start to first token, ${model}`, UNITS.milliseconds, 'first-token', model, 1500],
    [`compile-${model}`, `generating and compiling all kernels, ${model}`, UNITS.milliseconds, 'compile', model, 150],
    [
      `memory-${model}`,
      `peak memory, ${model}`,
      UNITS.megabytes,
      'peak-memory',
      model,
      1.15 * fileMegabytes + cacheMegabytes + 60,
    ],
  ];
  return rows.map(([name, title, unit, work, source, limit]) => ({
    name,
    title,
    unit,
    perProcess: true,
    isQuick: source === EMBEDDED_MODEL,
    limit,
    contenders: [ours(work, 2, { model: source })],
  }));
}

/** All cases. `dramBytes`: a working set that does not fit any cache of this machine. */
export const allCases = (dramBytes: number): Case[] => [
  ...machineCases(dramBytes),
  ...gemmCases(),
  ...gemvCases(),
  ...modelCases('110M', 'Q4_0', true),
  ...modelCases('110M', 'Q8_0', false),
  ...modelCases('110M', 'F16', false),
  ...modelCases('1.1B', 'Q4_0', false),
  ...threadCases(),
  ...coldCases(),
  ...nativeCases(dramBytes),
  ...sparseCases(),
  ...chromiumModelCases(),
  ...chromiumCases(),
];

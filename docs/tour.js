/**
 * The commands of the tour: follows one layer, gelu(x · w + bias), from the call to machine code.
 * Usage: node docs/tour.js graph | passes | plan | schedules | kernel | wasm | run
 */
import { createDevice, nn, numpy as np, setDefaultDevice } from 'bitloom';
import { planGraph } from 'bitloom/compile';
import { printGraph, topologicalOrder } from 'bitloom/ir';
import { kernelLibrary, printKernel, SIMD128 } from 'bitloom/kernel';
import { planModule } from 'bitloom/target/wasm';
import { trace } from 'bitloom/tensor';
import wabt from 'wabt';

/** @typedef {import('bitloom').Tensor} Tensor */
/** @type {import('bitloom/kernel').Machine} */
const machine = { ...SIMD128, hasFma: true };

/** What a user writes: x [64, 96], w [96, 128], bias [128]. @param {Tensor} x @param {Tensor} w @param {Tensor} bias */
const layer = (x, w, bias) => nn.gelu(np.add(np.matmul(x, w), bias));

const shapes = [[64, 96], [96, 128], [128]];
const { graph } = trace(
  layer,
  shapes.map((shape) => ({ dtype: 'f32', shape })),
);
const planned = planGraph(graph, machine, { name: 'layer', templates: kernelLibrary });
const kernel = /** @type {import('bitloom/kernel').Kernel} */ (planned.plan.steps[0]?.kernel);

/** `count` lines from the first that matches on, at most 100 characters each. @param {string} text @param {RegExp} from @param {number} count */
function excerpt(text, from, count) {
  const lines = text.split('\n');
  const start = Math.max(
    0,
    lines.findIndex((line) => from.test(line)),
  );
  const shown = lines.slice(start, start + count).map((line) => (line.length > 100 ? `${line.slice(0, 99)}…` : line));
  return [...(start > 0 ? ['…'] : []), ...shown, ...(start + count < lines.length ? ['…'] : [])].join('\n');
}

/** The layer on a device, as numbers. @param {'wasm' | 'interpreter'} name */
async function run(name) {
  const device = await createDevice(name, { onWarning() {} });
  setDefaultDevice(device);
  const inputs = shapes.map((shape, seed) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return np.array(
      Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898 + seed)),
      { shape, device },
    );
  });
  const result = await layer(.../** @type {[Tensor, Tensor, Tensor]} */ (inputs)).data();
  device.dispose();
  return result;
}

/** @type {Record<string, () => string | Promise<string>>} */
const steps = {
  graph: () => printGraph(graph).trimEnd(),
  passes() {
    const trace = planned.passes.map(
      ({ pass, graph }) => `${topologicalOrder(graph.outputs).length} values after ${pass}`,
    );
    return `${trace.join('\n')}\n${printGraph(planned.after).trimEnd()}`;
  },
  plan() {
    const calls = planned.steps.map(({ kind, template, epilogue, root, barrier }, i) => {
      const what = template === undefined ? kind : `hot kernel ${template}`;
      const fused = epilogue === undefined ? '' : ', bias and gelu computed before results are stored';
      return `${i + 1}. ${what}, up to ${root?.op.name}${fused}${barrier ? '; barrier' : ''}`;
    });
    const slots = planned.plan.slots.map((slot) =>
      slot.kind === 'arena' ? `arena + ${slot.byteOffset}` : `argument ${slot.index}`,
    );
    return `${calls.join('\n')}\nbuffers: ${slots.join(', ')}; the arena takes ${planned.plan.arenaBytes} bytes`;
  },
  schedules() {
    const product = planned.fusion.groups.find((group) => group.kind === 'template');
    if (product?.kind !== 'template') return 'no hot kernel';
    const candidates = product.template.schedules(product.request);
    const shown = candidates.slice(0, 5).map((schedule) => JSON.stringify(schedule));
    return `${candidates.length} candidates, best first by the cost model:\n${shown.join('\n')}`;
  },
  kernel: () => excerpt(printKernel(kernel), /r\d+: f32x4 = 0$/, 34),
  async wasm() {
    const bytes = planModule(planned.plan, { relaxedSimd: true, dotU8: false }, false);
    const tools = await wabt();
    const module = tools.readWasm(bytes, { simd: true, relaxed_simd: true, threads: true });
    const text = module.toText({ foldExprs: false, inlineExport: false });
    return `${bytes.length} bytes\n${excerpt(text, /f32x4.relaxed_madd/, 24)}`;
  },
  async run() {
    const [expected, actual] = [await run('interpreter'), await run('wasm')];
    const difference = Math.max(...actual.map((value, i) => Math.abs(value - Number(expected[i]))));
    return `${actual.length} numbers, the largest difference from the interpreter is below 1e-4: ${difference < 1e-4}`;
  },
};

const names = process.argv.slice(2);
const isKnown = names.length > 0 && names.every((name) => Object.hasOwn(steps, name));
if (!isKnown) console.error(`Usage: node docs/tour.js ${Object.keys(steps).join(' | ')}`);
for (const name of isKnown ? names : []) {
  if (names.length > 1) console.log(`$ node docs/tour.js ${name}`);
  console.log(await steps[name]?.());
}
process.exitCode = isKnown ? 0 : 2;

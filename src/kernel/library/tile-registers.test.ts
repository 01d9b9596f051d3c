/** Kernels in tile registers: every schedule against its op's meaning, and when they are chosen. */
import { describe, expect, it } from 'vitest';
import type { ElementType } from '../../ir/dtype.ts';
import { ops } from '../../ir/ops.ts';
import { activationFor, packedFormat } from '../../quant/formats.ts';
import { panel } from '../../quant/number-format.ts';
import { AMX, AVX512, type Machine } from '../machine.ts';
import type { KernelRequest, Schedule } from '../template.ts';
import { caseName, checkCase } from './case-check.fixture.ts';
import { caseData } from './case-data.ts';
import { kernelLibrary } from './index.ts';
import { tileRegisterCases } from './tile-register-cases.ts';

/** A machine whose caches cut even small products into pieces. */
const SMALL: Machine = { ...AMX, name: 'amx, small caches', threads: 2, l1Bytes: 4096, l2Bytes: 32 << 10 };

const inTiles = (schedule: Schedule): boolean => 'tilePanels' in schedule || 'tileDepthBytes' in schedule;

describe('kernels in tile registers against their ops', () => {
  it.each(tileRegisterCases().map((c) => [caseName(c), c] as const))('%s', (_, kernelCase) => {
    const data = caseData(kernelCase);
    for (const machine of [AMX, SMALL]) checkCase(kernelCase, data, machine, 64, inTiles);
  });
});

function linearRequest(m: number, size: number, x: ElementType, w: ElementType, machine: Machine): KernelRequest {
  const inputs = [
    { dtype: x, shape: [m, size] },
    { dtype: w, shape: [size, size] },
  ];
  return { inputs, output: { dtype: 'f32', shape: [m, size] }, attrs: {}, machine };
}

/** The best schedule, and whether its kernel has tiles. */
function chosen(op: string, request: KernelRequest): boolean {
  const template = kernelLibrary.find((t) => t.op === op && t.supports(request))!;
  const [schedule] = template.schedules(request);
  const hasTiles = template.build(request, schedule!).tiles.length > 0;
  expect(hasTiles).toBe(inTiles(schedule!));
  return hasTiles;
}

describe('tile registers are chosen', () => {
  it('for packed weights and many tokens, not for one', () => {
    for (const name of ['Q4_0', 'Q8_0', 'Q4_K', 'Q6_K', 'I4_G128', 'I8_G64Z']) {
      const w = packedFormat(name)!;
      const request = (m: number, machine: Machine) => linearRequest(m, 2048, activationFor(w), panel(w, 16), machine);
      expect(chosen('linear', request(512, AMX)), name).toBe(true);
      expect(chosen('linear', request(1, AMX)), name).toBe(false);
      expect(chosen('linear', request(512, AVX512)), name).toBe(false);
    }
  });

  it('for bf16 by bf16 of many rows, not for one, nor for other types', () => {
    const request = (m: number, x: ElementType, w: ElementType) => linearRequest(m, 2048, x, w, AMX);
    expect(chosen('linear', request(512, 'bf16', 'bf16'))).toBe(true);
    expect(chosen('linear', request(1, 'bf16', 'bf16'))).toBe(false);
    expect(chosen('linear', request(512, 'f32', 'bf16'))).toBe(false);
  });

  it('for products of bytes, which no vector kernel takes', () => {
    const shape = (dtype: ElementType) => [
      { dtype, shape: [64, 100] },
      { dtype, shape: [100, 80] },
    ];
    const attrs = { lhsBatch: [], rhsBatch: [], lhsContract: [1], rhsContract: [0] };
    const request = (dtype: ElementType, machine: Machine): KernelRequest => ({
      inputs: shape(dtype),
      output: { dtype: 'i32', shape: [64, 80] },
      attrs,
      machine,
    });
    for (const dtype of ['i8', 'u8'] as const) {
      expect(chosen(ops.dot_general.name, request(dtype, AMX))).toBe(true);
      expect(kernelLibrary.some((t) => t.op === 'dot_general' && t.supports(request(dtype, AVX512)))).toBe(false);
    }
    expect(kernelLibrary.some((t) => t.op === 'dot_general' && t.supports(request('i32', AMX)))).toBe(false);
  });
});

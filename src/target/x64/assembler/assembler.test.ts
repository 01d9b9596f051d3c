import { describe, expect, it } from 'vitest';
import { BitloomError } from '../../../ir/error.ts';
import {
  Assembler,
  imm,
  k,
  type Label,
  type Mnemonic,
  mem,
  mnemonics,
  r8,
  r32,
  r64,
  tmm,
  xmm,
  ymm,
  zmm,
} from './index.ts';

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** The code that a function writes. */
function code(write: (a: Assembler) => void): string {
  const assembler = new Assembler();
  write(assembler);
  return hex(assembler.finish());
}

function failure(write: (a: Assembler) => void): BitloomError {
  try {
    code(write);
  } catch (error) {
    expect(error).toBeInstanceOf(BitloomError);
    expect((error as BitloomError).code).toBe('INVALID_GRAPH');
    return error as BitloomError;
  }
  throw new Error('nothing was thrown');
}

describe('operands', () => {
  it('are one object per register', () => {
    expect(r64(3)).toBe(r64(3));
    expect(zmm(31)).toEqual({ kind: 'zmm', id: 31 });
  });

  it('end where the machine has no more', () => {
    for (const write of [() => r64(16), () => xmm(32), () => k(8), () => tmm(-1)])
      expect(failure(write).message).toMatch('ids run');
  });
});

describe('labels', () => {
  it('take short jumps back where they reach, and long ones else', () => {
    const back = (nNops: number) =>
      code((a) => {
        const top = a.label();
        a.bind(top);
        for (let i = 0; i < nNops; i++) a.emit('nop');
        a.emit('jne', top);
      });
    expect(back(126)).toMatch(/^(90 )+75 80$/);
    expect(back(127)).toMatch(/^(90 )+0f 85 7b ff ff ff$/);
  });

  it('take long jumps forward', () => {
    const write = (a: Assembler) => {
      const end = a.label();
      a.emit('jmp', end);
      a.emit('jb', end);
      a.emit('call', end);
      a.bind(end);
      a.emit('ret');
    };
    expect(code(write)).toBe('e9 0b 00 00 00 0f 82 05 00 00 00 e8 00 00 00 00 c3');
  });

  it('are addresses for lea and memory operands, counted from the end of the instruction', () => {
    const a = new Assembler();
    const place = a.label('place');
    a.emit('lea', r64(0), place);
    a.emit('vpshufd', xmm(1), mem({ label: place, displacement: 4 }), imm(9));
    a.bind(place);
    a.emit('mov', r32(2), mem({ label: place }));
    expect(hex(a.finish())).toBe('48 8d 05 09 00 00 00 c5 f9 70 0d 04 00 00 00 09 8b 15 fa ff ff ff');
    expect(a.offsetOf(place)).toBe(16);
    expect(a.size).toBe(22);
  });

  it('must be bound once, and in reach', () => {
    expect(failure((a) => a.emit('jmp', a.label('exit'))).message).toBe('the label exit is not bound');
    expect(failure((a) => a.offsetOf(a.label())).message).toMatch('is not bound');
    const twice = (a: Assembler) => {
      const label = a.label('top');
      a.bind(label);
      a.bind(label);
    };
    expect(failure(twice).message).toBe('the label top is bound twice');
    const far = (a: Assembler) => {
      const label = a.label('far');
      a.emit('lea', r64(0), mem({ label, displacement: 0x7fff_ffff }));
      a.emit('ret');
      a.bind(label);
    };
    expect(failure(far).message).toBe('the label far is out of reach');
  });
});

describe('constants', () => {
  const load = (a: Assembler, label: Label) => a.emit('vmovups', xmm(0), mem({ label }));

  it('stand behind the code, the widest first, equal ones once', () => {
    const a = new Assembler();
    const four = a.constant(Uint8Array.of(1, 2, 3, 4));
    const eight = a.constant(new Uint8Array(8).fill(7), 32);
    expect(a.constant(Uint8Array.of(1, 2, 3, 4), 2)).toBe(four);
    expect(a.constant(new Uint8Array(8).fill(7))).toBe(eight);
    load(a, four);
    load(a, eight);
    const bytes = a.finish();
    expect([a.offsetOf(eight), a.offsetOf(four), bytes.length]).toEqual([32, 40, 44]);
    expect(hex(bytes)).toBe(
      `c5 f8 10 05 20 00 00 00 c5 f8 10 05 10 00 00 00 ${'cc '.repeat(16)}${'07 '.repeat(8)}01 02 03 04`,
    );
  });

  it('keep the strictest alignment asked for', () => {
    const a = new Assembler();
    a.emit('ret');
    const label = a.constant(Uint8Array.of(5), 1);
    a.constant(Uint8Array.of(5), 64);
    a.finish();
    expect(a.offsetOf(label)).toBe(64);
  });

  it('are the bytes at the time of the call', () => {
    const bytes = Uint8Array.of(1);
    expect(
      code((a) => {
        a.constant(bytes);
        bytes[0] = 2;
      }),
    ).toBe('01');
  });
});

describe('align', () => {
  it('fills up with few nops', () => {
    const padding = (nBefore: number, bytes: number) => {
      const text = code((a) => {
        for (let i = 0; i < nBefore; i++) a.emit('ret');
        a.align(bytes);
      });
      return text.split(' ').slice(nBefore).join(' ');
    };
    expect(padding(0, 16)).toBe('');
    expect(padding(15, 16)).toBe('90');
    expect(padding(13, 16)).toBe('0f 1f 00');
    expect(padding(1, 16)).toBe('66 0f 1f 84 00 00 00 00 00 66 0f 1f 44 00 00');
    for (let n = 1; n < 32; n++) expect(padding(n, 32).split(' ')).toHaveLength(32 - n);
  });
});

describe('listing', () => {
  it('has one line for each instruction, with the bytes as they are at the end', () => {
    const a = new Assembler({ listing: true });
    const [top, exit] = [a.label('top'), a.label('exit')];
    a.bind(top);
    a.emit('je', exit);
    a.emitMasked(
      'vaddps',
      { mask: 2, zeroing: true },
      zmm(1),
      zmm(2),
      mem({ base: 0, index: 9, scale: 4, broadcast: true }),
    );
    a.emit('add.d', mem({ base: 5, displacement: -4 }), imm(1));
    a.emit('vpaddd', ymm(0), ymm(0), mem({ label: a.constant(new Uint8Array(4)) }));
    a.bind(exit);
    a.emit('movzx8', r32(0), r8(6));
    a.finish();
    expect(a.listing().split('\n')).toEqual([
      'top:',
      '000000  0f 84 13 00 00 00               je exit',
      '000006  62 b1 6c da 58 0c 88            vaddps zmm1{k2}{z}, zmm2, [rax+r9*4]{1to16}',
      '00000d  83 45 fc 01                     add dword ptr [rbp-4], 1',
      '000011  c5 fd fe 05 07 00 00 00         vpaddd ymm0, ymm0, [rip+C0]',
      'exit:',
      '000019  40 0f b6 c6                     movzx eax, sil',
      '000020  00 00 00 00                     C0: constant',
    ]);
  });

  it('is empty unless asked for', () => {
    const a = new Assembler();
    a.emit('ret');
    expect(a.listing()).toBe('');
  });
});

describe('what has no encoding', () => {
  const refused: [string, (a: Assembler) => void][] = [
    ['no form of vaddps takes (zmm0, ymm1, zmm2)', (a) => a.emit('vaddps', zmm(0), ymm(1), zmm(2))],
    ['no form of vpor takes (xmm16, xmm0, xmm0)', (a) => a.emit('vpor', xmm(16), xmm(0), xmm(0))],
    ['no form of add takes (rax, 2147483648)', (a) => a.emit('add', r64(0), imm(2 ** 31))],
    ['no form of add takes (eax, 0.5)', (a) => a.emit('add', r32(0), imm(0.5))],
    ['no form of add takes ([rax], 1)', (a) => a.emit('add', mem({ base: 0 }), imm(1))],
    ['no form of shl takes (eax, dl)', (a) => a.emit('shl', r32(0), r8(2))],
    ['no form of vpshufd takes (xmm0, xmm1, 256)', (a) => a.emit('vpshufd', xmm(0), xmm(1), imm(256))],
    [
      'no form of vpaddb takes (zmm0, zmm0, [rax]{1ton})',
      (a) => a.emit('vpaddb', zmm(0), zmm(0), mem({ base: 0, broadcast: true })),
    ],
    [
      'no form of vmovups takes ([rax]{k1}{z}, zmm0)',
      (a) => a.emitMasked('vmovups', { mask: 1, zeroing: true }, mem({ base: 0 }), zmm(0)),
    ],
    [
      'no form of vaddps takes (zmm0{k0}, zmm1, zmm2)',
      (a) => a.emitMasked('vaddps', { mask: 0 }, zmm(0), zmm(1), zmm(2)),
    ],
    [
      'no form of vaddps takes (zmm0, zmm1, zmm2)',
      (a) => a.emitMasked('vaddps', { zeroing: true }, zmm(0), zmm(1), zmm(2)),
    ],
    [
      'no form of vpsadbw takes (zmm0{k1}, zmm1, zmm2)',
      (a) => a.emitMasked('vpsadbw', { mask: 1 }, zmm(0), zmm(1), zmm(2)),
    ],
    [
      'no form of vgatherdps takes (zmm1, [rax+zmm2*4])',
      (a) => a.emit('vgatherdps', zmm(1), mem({ base: 0, index: 2, scale: 4, vector: 'zmm' })),
    ],
    ['no form of hcf takes ()', (a) => a.emit('hcf' as Mnemonic)],
    ['no address has this encoding: [rax+rsp*2]', (a) => a.emit('lea', r64(0), mem({ base: 0, index: 4, scale: 2 }))],
    ['no address has this encoding: [rax+2147483648]', (a) => a.emit('inc.d', mem({ base: 0, displacement: 2 ** 31 }))],
    ['no address has this encoding: [rip+L0+rax]', (a) => a.emit('inc.d', mem({ base: 0, label: a.label() }))],
    ['no address has this encoding: [rip+L0]', (a) => a.emit('tileloadd', tmm(0), mem({ label: a.label() }))],
  ];
  it.each(refused)('%s', (message, write) => {
    expect(failure(write).message).toBe(message);
  });

  it('leaves nothing behind', () => {
    const a = new Assembler();
    expect(() => a.emit('inc.d', mem({ base: 0, index: 4 }))).toThrow(BitloomError);
    expect(a.size).toBe(0);
  });

  it('comes after the end', () => {
    const a = new Assembler();
    expect(a.finish()).toBe(a.finish());
    expect(() => a.emit('ret')).toThrow('ret comes after finish()');
  });

  it('is known to the compiler by name', () => {
    const a = new Assembler();
    // @ts-expect-error: not an instruction
    expect(() => a.emit('vaddpx')).toThrow(BitloomError);
    const names: Mnemonic[] = ['lock xadd', 'cmovle', 'add.q', 'vex vpdpbusd', 'movzx16'];
    expect(mnemonics()).toEqual(expect.arrayContaining(names));
  });
});

/** The x64 target: what all targets do, and what it does where something is refused, missing or gone. */
import { describe, expect, it } from 'vitest';
import { BitloomError } from '../../ir/error.ts';
import { type NativeHost, type NativeMemory, platform } from '../../platform/index.ts';
import { chainPlan, describeTarget, filled, lawOf, N, read, values } from '../chain-plan.fixture.ts';
import { CONTROL, controlBytes } from './control.ts';
import { LEVELS } from './features.ts';
import { whyNotLevel } from './levels.fixture.ts';
import { X64Target } from './x64-target.ts';

const support = await platform.native();
const why = 'why' in support ? support.why : undefined;
const host = 'host' in support ? support.host : (undefined as unknown as NativeHost);

/** The host with some of its functions replaced. */
const changed = (changes: Partial<NativeHost>): NativeHost =>
  new Proxy(host, {
    get(target, key: keyof NativeHost) {
      const own = changes[key] ?? target[key];
      return typeof own === 'function' ? own.bind(target) : own;
    },
  });

describe.skipIf(why !== undefined)(`x64${why === undefined ? '' : ` (skipped: ${why})`}`, () => {
  for (const level of LEVELS) {
    const whyNot = whyNotLevel(level);
    describe.skipIf(whyNot !== '')(`level ${level}${whyNot}`, () =>
      describeTarget(`x64 ${level}`, (threads) => X64Target.create({ threads, level, isGuarded: true })),
    );
  }

  it('has no device where the system refuses executable pages', async () => {
    const refuse = () => {
      throw new BitloomError('UNSUPPORTED_FEATURE', 'mprotect: EACCES');
    };
    await expect(X64Target.create({ host: changed({ mapCode: refuse }) })).rejects.toThrow(/EACCES/);
  });

  it('has no device where threads do not start, and leaves none running', async () => {
    const started: ReturnType<NativeHost['startThread']>[] = [];
    const startThread: NativeHost['startThread'] = (entry, argument) => {
      if (started.length === 2) throw new BitloomError('NO_DEVICE', 'pthread_create: EAGAIN');
      const thread = host.startThread(entry, argument);
      started.push(thread);
      return thread;
    };
    await expect(X64Target.create({ threads: 4, host: changed({ startThread }) })).rejects.toMatchObject({
      code: 'NO_DEVICE',
    });
    expect(started.map((thread) => thread.isAlive())).toEqual([false, false]);
  });

  it('tells of memory that is not there, with both numbers, and goes on', async () => {
    const target = await X64Target.create({ threads: 2 });
    expect(() => target.allocate(2 ** 46)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
    const compiled = await target.compile(chainPlan(2));
    const [a, out] = [filled(target, values), target.allocate(N * 4)];
    await target.run(compiled, [a, a, out]);
    expect(read(target, out)).toEqual(lawOf(chainPlan(2), 2));
    const tooLarge = { ...chainPlan(2), arenaBytes: 2 ** 46 };
    const before = target.liveBytes;
    await expect(target.compile(tooLarge)).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' });
    expect(target.liveBytes).toBe(before);
    target.dispose();
  });

  it('refuses to run once a worker ended, also where threads meet inside a kernel, and can still be disposed', async () => {
    let block: NativeMemory | undefined;
    const watching: NativeHost['allocate'] = (byteLength) => {
      const memory = host.allocate(byteLength);
      if (byteLength === controlBytes(2)) block = memory;
      return memory;
    };
    const target = await X64Target.create({ threads: 2, host: changed({ allocate: watching }) });
    const compiled = await target.compile(chainPlan(2));
    const [a, out] = [filled(target, values), target.allocate(N * 4)];
    await target.run(compiled, [a, a, out]);
    // As `dismiss` does: the worker ends at the next job, before it takes part.
    new Int32Array(block!.bytes.buffer, block!.bytes.byteOffset, 128)[CONTROL.exit / 4] = 1;
    await expect(target.run(compiled, [a, a, out])).rejects.toMatchObject({ code: 'NO_DEVICE' });
    compiled.dispose();
    target.dispose();
  });

  it('keeps one copy of each kernel, and tells of machine code when asked', async () => {
    const texts: string[] = [];
    const target = await X64Target.create({ threads: 1, onListing: (text) => texts.push(text) });
    await target.compile(chainPlan(1));
    await target.compile(chainPlan(1));
    expect(texts.map((text) => text.split('\n', 1)[0])).toEqual(['kernels', 'plan chain', 'plan chain']);
    expect(texts[0]).toMatch(/vfmadd\d+ps/);
    target.dispose();
  });

  it('refuses a level that the processor does not have', async () => {
    const target = await X64Target.create({ threads: 1 });
    const missing = target.cpu.amx ? undefined : 'amx';
    target.dispose();
    if (missing) await expect(X64Target.create({ level: missing })).rejects.toMatchObject({ code: 'NO_DEVICE' });
  });
});

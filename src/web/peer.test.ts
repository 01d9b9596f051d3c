import { expect, test } from 'vitest';
import { BitloomError } from '../ir/error.ts';
import { type Method, Peer } from './peer.ts';

/** Two ends of a real port: everything in between is cloned. */
function connected(methods: Readonly<Record<string, Method>>): { caller: Peer; done(): void } {
  const { port1, port2 } = new MessageChannel();
  new Peer(port2, methods);
  return { caller: new Peer(port1), done: () => port1.close() };
}

async function failure(promise: Promise<unknown>): Promise<BitloomError> {
  try {
    await promise;
  } catch (error) {
    return error as BitloomError;
  }
  throw new Error('nothing was thrown');
}

test('values and sets come back as they were', async () => {
  const { caller, done } = connected({ echo: (value: unknown) => value });
  for (const value of [undefined, 3, 'text', new Set([1, 2]), { a: [1] }]) {
    expect(await caller.call('echo', [value])).toEqual(value);
  }
  done();
});

test('numbers that a method returns are given away, unless they lie in shared memory', async () => {
  const [own, shared] = [new Float32Array([1, 2]), new Uint8Array(new SharedArrayBuffer(2))];
  const { caller, done } = connected({ give: () => own, show: () => shared });
  expect(await caller.call('give', [])).toEqual(new Float32Array([1, 2]));
  expect(own.length).toBe(0);
  expect(await caller.call('show', [])).toEqual(new Uint8Array(2));
  expect(shared.length).toBe(2);
  done();
});

test('errors keep class, code, details and causes; strangers keep their names', async () => {
  const details = { size: 3, callback: () => 1 };
  const { caller, done } = connected({
    ours: async () => {
      throw new BitloomError('BAD_FILE', 'broken', details, { cause: new TypeError('inner') });
    },
    theirs: () => {
      throw new RangeError('theirs');
    },
  });
  const ours = await failure(caller.call('ours', []));
  expect(ours).toBeInstanceOf(BitloomError);
  expect(ours).toMatchObject({ code: 'BAD_FILE', message: 'broken', details: { size: 3 } });
  expect(ours.cause).toMatchObject({ name: 'TypeError', message: 'inner' });
  expect(await failure(caller.call('theirs', []))).toMatchObject({ name: 'RangeError', message: 'theirs' });
  expect(await failure(caller.call('nothing', []))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  done();
});

test('listeners are called at home, also after the call; other functions are refused by name', async () => {
  let tell: (text: string) => void = () => {};
  const { caller, done } = connected({
    begin({ onNews }: { onNews(text: string): void }) {
      tell = onNews;
      onNews('first');
      return 'begun';
    },
  });
  const news: string[] = [];
  expect(await caller.call('begin', [{ onNews: (text: string) => news.push(text) }])).toBe('begun');
  tell('later');
  await expect.poll(() => news).toEqual(['first', 'later']);
  const refused = await failure(caller.call('begin', [{ choose: () => 1 }]));
  expect(refused).toMatchObject({ code: 'INVALID_ARGUMENT', details: { option: 'choose' } });
  expect(await failure(caller.call('begin', [{ deep: { choose: () => 1 } }]))).toMatchObject({
    code: 'INVALID_ARGUMENT',
    details: { method: 'begin' },
  });
  done();
});

test('a signal reaches the other end, and its reason is the cause', async () => {
  const { caller, done } = connected({
    wait: ({ signal }: { signal: AbortSignal }) =>
      new Promise((_, reject) => {
        const abort = () => reject(new BitloomError('ABORTED', 'stopped'));
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort);
      }),
  });
  const controller = new AbortController();
  const waiting = failure(caller.call('wait', [{ signal: controller.signal }]));
  controller.abort('enough');
  expect(await waiting).toMatchObject({ code: 'ABORTED', cause: 'enough' });
  expect(await failure(caller.call('wait', [{ signal: AbortSignal.abort('before') }]))).toMatchObject({
    cause: 'before',
  });
  done();
});

/** A generator that counts how far it was asked to go, and whether it was closed. */
function counting() {
  const state = { made: 0, isClosed: false };
  async function* count(upTo: number) {
    try {
      for (let i = 0; i < upTo; i++) {
        state.made++;
        yield i;
      }
      return 'the end';
    } finally {
      state.isClosed = true;
    }
  }
  return { state, ...connected({ count }) };
}

test('items come in order and then the result; few are made ahead of their reader', async () => {
  const { state, caller, done } = counting();
  const items = caller.stream('count', [100]);
  expect(await items.next()).toEqual({ done: false, value: 0 });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(state.made).toBeLessThanOrEqual(5);
  for (let i = 1; i < 100; i++) expect(await items.next()).toEqual({ done: false, value: i });
  expect(await items.next()).toEqual({ done: true, value: 'the end' });
  expect(state.made).toBe(100);
  done();
});

test('who stops reading stops the making', async () => {
  const { state, caller, done } = counting();
  for await (const item of caller.stream('count', [1000])) if (item === 2) break;
  await expect.poll(() => state.isClosed).toBe(true);
  expect(state.made).toBeLessThan(20);
  done();
});

test('nothing starts before the first item is asked for', async () => {
  const { state, caller, done } = counting();
  caller.stream('count', [10]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(state.made).toBe(0);
  done();
});

test('closing ends what is under way and refuses what comes later', async () => {
  const { caller, done } = connected({ never: () => new Promise(() => {}) });
  const waiting = failure(caller.call('never', []));
  const items = failure(caller.stream('never', []).next());
  await new Promise((resolve) => setTimeout(resolve, 5));
  caller.close(new BitloomError('DISPOSED', 'gone'));
  expect(await waiting).toMatchObject({ code: 'DISPOSED' });
  expect(await items).toMatchObject({ code: 'DISPOSED' });
  expect(await failure(caller.call('never', []))).toMatchObject({ code: 'DISPOSED' });
  done();
});

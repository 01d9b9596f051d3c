/**
 * One end of a port between a page and a worker: calls methods of the other end and answers calls of its own. A
 * method gives a value, or items one by one; items are sent ahead of their reader, but only a few.
 */
import { BitloomError } from '../ir/error.ts';
import { type Message, type PackedArgument, packArgument, packError, unpackError } from './protocol.ts';

/** A Worker, a worker's own scope, or a MessagePort. */
export interface Port {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void;
  /** MessagePorts keep their messages until this. */
  start?(): void;
}

/**
 * A method takes what was sent, signals and listeners in their places again. A generator's items are streamed; an
 * array of numbers that it returns is given away, not copied.
 */
export type Method = (...args: never[]) => unknown;

/** Enough that a decoding engine need not wait for a page that draws. */
const CREDITS = 4;

/** What comes of a call, in order: items, then its end. */
type Outcome =
  | { readonly kind: 'item' | 'return'; readonly value: unknown }
  | { readonly kind: 'throw'; readonly error: unknown };

interface OutgoingCall {
  readonly listeners: ReadonlyMap<string, (...args: unknown[]) => void>;
  readonly signals: readonly AbortSignal[];
  /** Ends the watch on the signals. */
  readonly ended: AbortController;
  receive(outcome: Outcome): void;
}

interface IncomingCall {
  readonly aborts: ReadonlyMap<string, AbortController>;
  credits: number;
  isStopped: boolean;
  wake: () => void;
}

export class Peer {
  readonly #port: Port;
  readonly #methods: Readonly<Record<string, Method>>;
  readonly #outgoing = new Map<number, OutgoingCall>();
  readonly #incoming = new Map<number, IncomingCall>();
  #nextId = 1;
  #closed: BitloomError | undefined;

  constructor(port: Port, methods: Readonly<Record<string, Method>> = {}) {
    this.#port = port;
    this.#methods = methods;
    port.addEventListener('message', ({ data }) => this.#receive(data as Message));
    port.start?.();
  }

  /** Calls a method for its value. Throws what it throws. */
  call(method: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#open(method, args, (outcome) => {
        if (outcome.kind === 'return') resolve(outcome.value);
        else if (outcome.kind === 'throw') reject(outcome.error);
      });
    });
  }

  /** Calls a method for its items; the generator's result is the method's. Begins with the first item asked for. */
  async *stream(method: string, args: readonly unknown[]): AsyncGenerator<unknown, unknown> {
    const arrived: Outcome[] = [];
    let wake = (): void => {};
    const id = this.#open(method, args, (outcome) => {
      arrived.push(outcome);
      wake();
    });
    let hasEnded = false;
    try {
      for (;;) {
        if (arrived.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const outcome = arrived.shift()!;
        hasEnded = outcome.kind !== 'item';
        if (outcome.kind === 'throw') throw outcome.error;
        if (outcome.kind === 'return') return outcome.value;
        yield outcome.value;
        this.#post({ kind: 'more', id });
      }
    } finally {
      if (!hasEnded) this.#post({ kind: 'stop', id });
    }
  }

  /** Ends all calls with an error; later ones fail with it too. */
  close(reason: BitloomError): void {
    this.#closed ??= reason;
    const calls = [...this.#outgoing.values()];
    this.#outgoing.clear();
    for (const call of calls) call.receive({ kind: 'throw', error: reason });
  }

  #post(message: Message, transfer: Transferable[] = []): void {
    if (this.#closed === undefined) this.#port.postMessage(message, transfer);
  }

  /** Sends a call; `receive` hears of its items and its end. */
  #open(method: string, args: readonly unknown[], receive: OutgoingCall['receive']): number {
    if (this.#closed !== undefined) throw this.#closed;
    const id = this.#nextId++;
    const packed = args.map(packArgument);
    const listeners = new Map<string, (...args: unknown[]) => void>();
    const signals: AbortSignal[] = [];
    const ended = new AbortController();
    packed.forEach((argument, i) => {
      const properties = args[i] as Record<string, unknown>;
      for (const name of argument.listeners) listeners.set(name, properties[name] as () => void);
      for (const [name] of argument.signals) {
        const signal = properties[name] as AbortSignal;
        signals.push(signal);
        signal.addEventListener('abort', () => this.#post({ kind: 'abort', id, name }), { signal: ended.signal });
      }
    });
    try {
      this.#post({ kind: 'call', id, method, args: packed, credits: CREDITS });
    } catch (cause) {
      const message = `an argument of ${method} cannot be sent to the engine's worker: ${(cause as Error).message}`;
      throw new BitloomError('INVALID_ARGUMENT', message, { method }, { cause });
    }
    this.#outgoing.set(id, { listeners, signals, ended, receive });
    return id;
  }

  #receive(message: Message): void {
    if (message.kind === 'call') void this.#answer(message);
    else if (message.kind === 'notify') this.#outgoing.get(message.id)?.listeners.get(message.name)?.(...message.args);
    else if (message.kind === 'item') this.#outgoing.get(message.id)?.receive(message);
    else if (message.kind === 'return' || message.kind === 'throw') this.#finish(message);
    else if (message.kind !== 'ready') this.#steer(message);
  }

  #finish(message: Extract<Message, { kind: 'return' | 'throw' }>): void {
    const call = this.#outgoing.get(message.id);
    if (call === undefined) return;
    // The listeners of what was made stay: a model may warn after it was loaded.
    if (call.listeners.size === 0 || message.kind === 'throw') this.#outgoing.delete(message.id);
    call.ended.abort();
    if (message.kind === 'return') {
      call.receive(message);
      return;
    }
    const error = unpackError(message.error);
    // The other end knows that a signal fired; why it did is known here.
    const fired = call.signals.find((signal) => signal.aborted);
    if (error instanceof BitloomError && error.code === 'ABORTED' && fired) error.cause = fired.reason;
    call.receive({ kind: 'throw', error });
  }

  #steer(message: Extract<Message, { kind: 'more' | 'stop' | 'abort' }>): void {
    const call = this.#incoming.get(message.id);
    if (call === undefined) return;
    if (message.kind === 'abort') call.aborts.get(message.name)?.abort();
    else if (message.kind === 'more') call.credits++;
    else call.isStopped = true;
    call.wake();
  }

  async #answer({ id, method, args, credits }: Extract<Message, { kind: 'call' }>): Promise<void> {
    const aborts = new Map<string, AbortController>();
    const call: IncomingCall = { aborts, credits, isStopped: false, wake: () => {} };
    this.#incoming.set(id, call);
    try {
      const run = this.#methods[method];
      if (run === undefined) throw new BitloomError('INVALID_ARGUMENT', `no method ${method} at this end of the port`);
      const answer = run(...(args.map((argument) => this.#unpack(id, argument, aborts)) as never[]));
      const value = isGenerator(answer) ? await this.#sendItems(id, answer, call) : await answer;
      const isOwned = ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer;
      this.#post({ kind: 'return', id, value }, isOwned ? [value.buffer as ArrayBuffer] : []);
    } catch (error) {
      this.#post({ kind: 'throw', id, error: packError(error) });
    } finally {
      this.#incoming.delete(id);
    }
  }

  async #sendItems(id: number, items: AsyncGenerator<unknown, unknown>, call: IncomingCall): Promise<unknown> {
    for (;;) {
      const step = call.isStopped ? await items.return(undefined) : await items.next();
      if (step.done) return step.value;
      this.#post({ kind: 'item', id, value: step.value });
      call.credits--;
      while (call.credits <= 0 && !call.isStopped) {
        await new Promise<void>((resolve) => {
          call.wake = resolve;
        });
      }
    }
  }

  #unpack(id: number, { value, listeners, signals }: PackedArgument, aborts: Map<string, AbortController>): unknown {
    if (listeners.length + signals.length === 0) return value;
    const argument: Record<string, unknown> = { ...(value as object) };
    for (const name of listeners)
      argument[name] = (...args: unknown[]) => this.#post({ kind: 'notify', id, name, args });
    for (const [name, aborted] of signals) {
      const controller = new AbortController();
      if (aborted) controller.abort();
      aborts.set(name, controller);
      argument[name] = controller.signal;
    }
    return argument;
  }
}

const isGenerator = (value: unknown): value is AsyncGenerator<unknown, unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value && 'next' in value;

/**
 * What commands see of the process: results go to stdout, everything else to stderr, Ctrl-C is an
 * event, and a reader that goes away (`bitloom run | head -1`) is a signal, not an error.
 */
import { createInterface } from 'node:readline';
import { EXIT } from './exit-code.ts';

export interface Terminal {
  /** A person types and reads: stdin and stdout are both terminals. */
  readonly isInteractive: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Fires when nobody reads stdout any more. */
  readonly closed: AbortSignal;
  /** Writes results to stdout. */
  write(text: string): void;
  /** Writes a line to stderr. */
  note(text: string): void;
  /** Replaces the progress line on stderr; an empty text removes it. Does nothing where it could not be replaced. */
  status(text: string): void;
  /** Reads stdin to its end. */
  readAll(): Promise<string>;
  /** Asks for a line; undefined at the end of input or on Ctrl-C. */
  ask(prompt: string): Promise<string | undefined>;
  /** Calls `listener` on the first Ctrl-C; a second one ends the process at once. Returns how to stop listening. */
  onInterrupt(listener: () => void): () => void;
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout, stderr, env } = process;
  const closed = new AbortController();
  const hasStatusLine = stderr.isTTY === true && env.TERM !== 'dumb';
  let statusShown = false;
  let history: string[] = [];

  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (stream === stdout) closed.abort();
    });
  }
  let statusAt = 0;
  const status = (text: string): void => {
    if (!hasStatusLine || (text === '' && !statusShown)) return;
    // Loading tells of every tensor; eyes need ten a second.
    if (text !== '' && performance.now() - statusAt < 100) return;
    statusAt = performance.now();
    stderr.write(`\r\x1b[2K${text}`);
    statusShown = text !== '';
  };

  return {
    isInteractive: stdin.isTTY === true && stdout.isTTY === true,
    environment: env,
    closed: closed.signal,
    write(text) {
      status('');
      if (!closed.signal.aborted) stdout.write(text);
    },
    note(text) {
      status('');
      stderr.write(text.endsWith('\n') ? text : `${text}\n`);
    },
    status,
    async readAll() {
      const chunks: Buffer[] = [];
      for await (const chunk of stdin) chunks.push(chunk as Buffer);
      return new TextDecoder('utf-8', { fatal: false }).decode(Buffer.concat(chunks));
    },
    ask: (prompt) =>
      new Promise((resolve) => {
        // One interface per question: between questions the terminal is not raw, so Ctrl-C stays a signal.
        const lines = createInterface({ input: stdin, output: stdout, history, terminal: true });
        let answer: string | undefined;
        lines.on('SIGINT', () => lines.close());
        lines.on('history', (entries) => {
          history = entries;
        });
        lines.on('close', () => {
          if (answer === undefined) stdout.write('\n');
          resolve(answer);
        });
        lines.question(prompt, (line) => {
          answer = line;
          lines.close();
        });
      }),
    onInterrupt(listener) {
      let count = 0;
      const onSignal = (): void => {
        if (count++ > 0) process.exit(EXIT.interrupted);
        listener();
      };
      process.on('SIGINT', onSignal);
      process.on('SIGTERM', onSignal);
      return () => {
        process.off('SIGINT', onSignal);
        process.off('SIGTERM', onSignal);
      };
    },
  };
}

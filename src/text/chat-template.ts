/**
 * Chat templates: a conversation becomes the prompt that a model was trained on. Templates are Jinja programs from
 * the model's files, run by `@huggingface/jinja` with nothing but the values given here.
 */
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { BitloomError } from '../ir/error.ts';
import { strftime } from './strftime.ts';
import { isRecord } from './tokenizer-json.ts';

/** One turn of a conversation. Templates also see what further fields an object of this shape has. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** Texts that templates write around turns. */
export interface TemplateTokens {
  readonly bosToken: string;
  readonly eosToken: string;
}

/** Options of a rendering. */
export interface RenderOptions {
  /** End with the opening of the assistant's turn. Default: true. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Date and time for templates that state them. Default: now, in local time. */
  readonly date?: Date | undefined;
  /** Further values for the template, such as `tools` or `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Renders a conversation. The text holds its own BOS: encode it with `addBos: false`.
 * Throws: EMPTY_PROMPT for no messages; BAD_TEMPLATE if the template fails or refuses the conversation.
 */
export type RenderChat = (messages: readonly ChatMessage[], options?: RenderOptions) => string;

/** Numbers that one rendering may draw from `range`, so that a template cannot fill the memory. */
const RANGE_BUDGET = 100_000;

/**
 * Compiles a chat template.
 * Throws: BAD_TEMPLATE if it is not Jinja.
 */
export function chatTemplate(source: string, tokens: TemplateTokens): RenderChat {
  const program = guarded('parse', () => new Template(source).parsed as unknown);
  return (messages, options = {}) => {
    if (messages.length === 0) {
      throw new BitloomError('EMPTY_PROMPT', 'the conversation has no messages; give at least one');
    }
    return guarded('render', () => {
      const environment = new Environment() as { set(name: string, value: unknown): void };
      for (const [name, value] of Object.entries(globalsOf(options.date ?? new Date()))) environment.set(name, value);
      const values = {
        ...options.variables,
        messages,
        bos_token: tokens.bosToken,
        eos_token: tokens.eosToken,
        add_generation_prompt: options.addGenerationPrompt ?? true,
      };
      for (const [name, value] of Object.entries(values)) environment.set(name, value);
      return (new Interpreter(environment).run(program) as { value: string }).value;
    });
  };
}

/** Runs a step of the library; its errors become BAD_TEMPLATE. */
function guarded<T>(step: 'parse' | 'render', run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof BitloomError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BitloomError(
      'BAD_TEMPLATE',
      `the chat template fails to ${step}: ${reason}; give the prompt as plain text to go without it`,
      { step, reason },
      { cause },
    );
  }
}

/** Names that templates expect besides the conversation. */
function globalsOf(date: Date): Record<string, unknown> {
  let drawn = 0;
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    strftime_now: (format: string) => strftime(date, format),
    raise_exception: (reason: unknown) => {
      throw new BitloomError('BAD_TEMPLATE', `the chat template refuses this conversation: ${String(reason)}`, {
        reason,
      });
    },
    range: (first: number, second?: number, step = 1) => {
      const [start, end] = second === undefined ? [0, first] : [first, second];
      const count = Math.max(0, Math.ceil((end - start) / step));
      drawn += count;
      if (drawn <= RANGE_BUDGET) return Array.from({ length: count }, (_, index) => start + index * step);
      throw new Error(`it counts beyond ${RANGE_BUDGET}`);
    },
  };
}

/** Finds a template's source in the `chat_template` of tokenizer_config.json: a string, or a list of named ones. */
export function chatTemplateOfConfig(tokenizerConfig: unknown, name = 'default'): string | null {
  const value = isRecord(tokenizerConfig) ? tokenizerConfig.chat_template : null;
  if (typeof value === 'string') return name === 'default' ? value : null;
  const entry: unknown = Array.isArray(value) ? value.find((item) => isRecord(item) && item.name === name) : null;
  return isRecord(entry) && typeof entry.template === 'string' ? entry.template : null;
}

/** Finds a template's source in GGUF metadata. */
export function chatTemplateOfGguf(metadata: ReadonlyMap<string, unknown>, name = 'default'): string | null {
  const value = metadata.get(name === 'default' ? 'tokenizer.chat_template' : `tokenizer.chat_template.${name}`);
  return typeof value === 'string' ? value : null;
}

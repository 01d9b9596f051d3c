/**
 * Assembles WebAssembly modules byte by byte: the last step from a kernel to machine code.
 * Spec: WebAssembly Core Specification 3.0, section 5.5 (modules), and the threads proposal.
 */
import { BitloomError } from '../../ir/error.ts';
import { ByteWriter } from './byte-writer.ts';
import { END, FunctionBuilder, VALUE_TYPE, type ValueType } from './function-builder.ts';

export { FunctionBuilder, type Label, opcodes, type ValueType } from './function-builder.ts';

/** Limits of a memory in pages of 64 KiB. A shared memory needs a maximum. */
export interface MemoryLimits {
  readonly initialPages: number;
  readonly maximumPages?: number;
  readonly shared?: boolean;
}

interface Entry {
  readonly write: (out: ByteWriter) => void;
}

/** Collects the parts of one module and writes them. Imports must be declared before functions. */
export class ModuleBuilder {
  readonly #types = new Map<string, { index: number; params: readonly ValueType[]; results: readonly ValueType[] }>();
  readonly #imports: Entry[] = [];
  readonly #functions: FunctionBuilder[] = [];
  readonly #globals: Entry[] = [];
  readonly #exports: Entry[] = [];
  #nImportedFunctions = 0;

  #type(params: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${params.join()}:${results.join()}`;
    const known = this.#types.get(key);
    if (known) return known.index;
    const index = this.#types.size;
    this.#types.set(key, { index, params, results });
    return index;
  }

  /** Declares an imported function and gives its index for `call`. */
  importFunction(
    module: string,
    name: string,
    params: readonly ValueType[],
    results: readonly ValueType[] = [],
  ): number {
    if (this.#functions.length > 0) {
      throw new BitloomError('INVALID_ARGUMENT', `import ${module}.${name} must be declared before the first function`);
    }
    const type = this.#type(params, results);
    this.#import(module, name, (out) => {
      out.u8(0x00);
      out.u32(type);
    });
    return this.#nImportedFunctions++;
  }

  /** Declares the imported memory (memory 0). */
  importMemory(module: string, name: string, { initialPages, maximumPages, shared }: MemoryLimits): void {
    this.#import(module, name, (out) => {
      out.append([0x02, (shared ? 2 : 0) | (maximumPages === undefined ? 0 : 1)]);
      out.u32(initialPages);
      if (maximumPages !== undefined) out.u32(maximumPages);
    });
  }

  #import(module: string, name: string, describe: (out: ByteWriter) => void): void {
    this.#imports.push({
      write: (out) => {
        out.string(module);
        out.string(name);
        describe(out);
      },
    });
  }

  /** Adds a function; write its body through the result. The name shows in traces and disassembly. */
  function(name: string, params: readonly ValueType[], results: readonly ValueType[] = []): FunctionBuilder {
    const index = this.#nImportedFunctions + this.#functions.length;
    const builder = new FunctionBuilder(index, name, this.#type(params, results), params.length);
    this.#functions.push(builder);
    return builder;
  }

  /** Adds a mutable i32 global and gives its index. */
  global(initial: number): number {
    return (
      this.#globals.push({
        write: (out) => {
          out.append([VALUE_TYPE.i32, 1, 0x41]);
          out.s32(initial);
          out.u8(END);
        },
      }) - 1
    );
  }

  exportFunction(name: string, { index }: FunctionBuilder): void {
    this.#exports.push({
      write: (out) => {
        out.string(name);
        out.u8(0x00);
        out.u32(index);
      },
    });
  }

  /** The finished module. */
  bytes(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter(4096);
    out.append([0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    const types: Entry[] = [...this.#types.values()].map(({ params, results }) => ({
      write: (o) => {
        o.u8(0x60);
        o.sized(params.map((t) => VALUE_TYPE[t]));
        o.sized(results.map((t) => VALUE_TYPE[t]));
      },
    }));
    section(out, 1, types);
    section(out, 2, this.#imports);
    section(
      out,
      3,
      this.#functions.map(({ typeIndex }) => ({ write: (o) => o.u32(typeIndex) })),
    );
    section(out, 6, this.#globals);
    section(out, 7, this.#exports);
    section(
      out,
      10,
      this.#functions.map((f) => ({ write: (o) => f.writeTo(o) })),
    );
    this.#writeNames(out);
    return out.bytes().slice();
  }

  #writeNames(out: ByteWriter): void {
    const names = new ByteWriter();
    names.u32(this.#functions.length);
    for (const { index, name } of this.#functions) {
      names.u32(index);
      names.string(name);
    }
    const content = new ByteWriter();
    content.string('name');
    content.u8(1);
    content.sized(names.bytes());
    out.u8(0);
    out.sized(content.bytes());
  }
}

function section(out: ByteWriter, id: number, entries: readonly Entry[]): void {
  if (entries.length === 0) return;
  const content = new ByteWriter(1024);
  content.u32(entries.length);
  for (const entry of entries) entry.write(content);
  out.u8(id);
  out.sized(content.bytes());
}

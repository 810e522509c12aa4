import { setFlagsFromString } from 'node:v8';

/*
 * V8 compiles WebAssembly quickly first, and again with its optimizing compiler what runs often. For PostgreSQL's parser, whose one function
 * is larger than most programs, that takes 550 MB and half a second of another core, and a command has ended by then: measured, 67 MB
 * instead of 620, and 500 texts parsed in 174 ms instead of 248. An embedded database runs long enough to want it.
 * The flags are looked at whenever a function becomes hot; --liftoff-only alone implies the others only at the start of a process.
 * https://v8.dev/docs/wasm-compilation-pipeline
 */
const FLAGS = { 'liftoff-only': true, 'wasm-tier-up': false, 'wasm-dynamic-tiering': false };

/** For this whole process, so only where it is ours. */
export function skipOptimizing(): void {
  for (const [flag, value] of Object.entries(FLAGS)) setFlagsFromString(`--${value ? '' : 'no-'}${flag}`);
}

/** V8's own way again, also for what is loaded already. */
export function optimize(): void {
  for (const [flag, value] of Object.entries(FLAGS)) setFlagsFromString(`--${value ? 'no-' : ''}${flag}`);
}

// jest decorates console output with stack traces; the plain console keeps captured output readable.
import console from 'node:console';

globalThis.console = console;

// What a process needs that serves the API itself: `kg-operator dev`.
export { jsonLog, type Log } from './log.ts';
export { createPlatform } from './platform.ts';

// What a process needs that serves the API itself: `kg-operator dev`.
export { localExtractor } from './extract/local.ts';
export { jsonLog, type Log, Redaction } from './log.ts';
export { configuredObjects } from './objects/index.ts';
export { createPlatform } from './platform.ts';
export { openSite, type Site } from './site.ts';

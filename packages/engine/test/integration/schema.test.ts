import { jest } from '@jest/globals';
import { schemaContract } from '../contract/schema.ts';
import { embeddedServer } from '../embedded-server.ts';

jest.setTimeout(180_000);

schemaContract('the embedded PostgreSQL', embeddedServer);

import { embeddedServer } from '../../../engine/test/embedded-server.ts';
import { changesContract } from '../contract/changes.ts';

// Where nothing tells of changes, and they are looked for every second; the same on the PostgreSQL of our image: test/e2e.
changesContract('an embedded database', embeddedServer);

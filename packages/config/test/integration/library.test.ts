import { embeddedServer } from '../../../engine/test/embedded-server.ts';
import { loadConfigContract } from '../contract/load-config.ts';

// The same on the PostgreSQL of our image: test/e2e/config-library.test.ts.
loadConfigContract('an embedded database', embeddedServer);

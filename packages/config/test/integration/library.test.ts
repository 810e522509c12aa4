import { embeddedServer } from '../../../engine/test/embedded-server.ts';
import { loadConfigContract } from '../contract/load-config.ts';
import { rotationContract } from '../contract/rotation.ts';
import { watchConfigContract } from '../contract/watch-config.ts';

// The same on the PostgreSQL of our image: test/e2e/config-library.test.ts.
loadConfigContract('an embedded database', embeddedServer);
rotationContract('an embedded database', embeddedServer);
watchConfigContract('an embedded database', embeddedServer, { listens: false });

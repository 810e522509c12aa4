import { embeddedServer } from '../../../engine/test/embedded-server.ts';
import { claimsContract } from '../contract/claims.ts';

// The same on the PostgreSQL of our image: test/e2e.
claimsContract('an embedded database', embeddedServer);

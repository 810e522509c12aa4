import { migrationContract } from '../contract/migrations.ts';
import { emptyDatabase } from '../embedded-database.ts';

// The same on the image's PostgreSQL: test/e2e/database-contract.test.ts.
migrationContract('an embedded database', emptyDatabase);

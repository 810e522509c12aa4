import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { listBackups } from '../../src/backup/catalog.ts';
import { type BackupStatus, backupStatus } from '../../src/checks/backup.ts';
import { reportOf } from '../../src/checks/report.ts';
import { EXIT } from '../../src/model/errors.ts';
import { HOOKS, type Plan, STEP_KINDS } from '../../src/model/plan.ts';
import { planBackup, planCopies } from '../../src/plan/backup.ts';
import { planConversion, planRestore, planReturn } from '../../src/plan/restore.ts';
import { planRollback } from '../../src/plan/rollback.ts';
import { planStart } from '../../src/plan/start.ts';
import { planStop } from '../../src/plan/stop.ts';
import { planUpgrade } from '../../src/plan/upgrade.ts';
import { everythingWrong, folderWith, nothingSaved, record } from '../backups.ts';
import { certificates } from '../certificates.ts';
import { drifted, emptyHost, runningPlatform, unconfigured, upgrading } from '../observed.ts';

const validator = (name: string) => {
  const url = new URL(`../../../../schema/json/${name}.schema.json`, import.meta.url);
  return new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    strictRequired: false,
    strictTypes: false,
  }).compile(JSON.parse(readFileSync(url, 'utf8')));
};
/** The schema's complaints about a value; none when it fits. Values go through JSON, as they do for a reader. */
const complaints = (validate: ReturnType<typeof validator>, value: unknown) => {
  validate(JSON.parse(JSON.stringify(value)));
  return validate.errors ?? [];
};

describe('the JSON schemas describe what is printed', () => {
  test('plans, every kind of step among them', () => {
    const validate = validator('plan');
    const observed = [emptyHost(), unconfigured(), runningPlatform()];
    const plans = observed.flatMap((one) => [
      planStart(one, { infrastructure: true, application: true }),
      planStop(one, { keepInfrastructure: false, services: [] }),
    ]);
    for (const one of observed) {
      for (const only of [null, 'database', 'objects', 'config'] as const)
        plans.push(planRestore(one, { backup: 'b', only, incoming: 'i', outgoing: 'o', bucket: 'n' }));
      plans.push(planConversion('backup.sql'), planReturn(one, { incoming: 'i', outgoing: 'o' }));
      plans.push(planBackup({ id: 'b', verify: true, copyTo: ['elsewhere'], prune: true }));
      plans.push(planCopies({ id: 'b', copyTo: ['elsewhere'], prune: true }));
    }
    plans.push(...upgradePlans());
    for (const plan of plans) expect(complaints(validate, plan)).toEqual([]);
    expect(new Set(plans.flatMap(({ steps }) => steps.map(({ kind }) => kind)))).toEqual(new Set(STEP_KINDS));
    expect(complaints(validate, { ...plans[0], steps: [{ kind: 'drop-everything' }] })).not.toEqual([]);
  });

  test('status, in every state', () => {
    const validate = validator('status');
    const backups = [nothingSaved(), everythingWrong()].map((one) => backupStatus(one, new Date()));
    const failed = { message: 'm', code: 'RECOVERY_NEEDED', exitCode: EXIT.afterImpact, hint: null };
    for (const observed of [
      emptyHost(),
      unconfigured(),
      runningPlatform(),
      drifted(),
      upgrading(),
      upgrading({}, true),
      upgrading({ outcome: 'failed', error: failed }),
    ]) {
      for (const backup of backups)
        expect(complaints(validate, reportOf(observed, backup, '0.1.0', 'http://localhost:3000'))).toEqual(
          [],
        );
    }
    const [backup] = backups as [BackupStatus];
    const report = reportOf(emptyHost(), backup, '0.1.0', '');
    expect(complaints(validate, { ...report, password: 'x' })).not.toEqual([]);
    expect(complaints(validate, { ...report, backup: { ...backup, kit: 'AGE-SECRET' } })).not.toEqual([]);
  });

  test('certificates, in every state, alone and in status', () => {
    const alone = validator('cert-status');
    const within = validator('status');
    const states = certificates();
    expect(new Set(states.map(({ state }) => state)).size).toBe(8);
    for (const one of states) {
      expect(complaints(alone, one)).toEqual([]);
      const backup = backupStatus(nothingSaved(), new Date());
      expect(complaints(within, reportOf(runningPlatform(), backup, '0.1.0', 'https://x', one))).toEqual([]);
      expect(complaints(alone, { ...one, key: 'PRIVATE' })).not.toEqual([]);
    }
  });

  test('backup list', async () => {
    const validate = validator('backup-list');
    const backups = (await listBackups([folderWith(record())])) as unknown[];
    expect(backups).toHaveLength(1);
    expect(complaints(validate, { backups })).toEqual([]);
    expect(complaints(validate, { backups: [{ ...record(), destinations: [], state: 'fine' }] })).not.toEqual(
      [],
    );
    expect(complaints(validate, { backups: [record()] })).not.toEqual([]);
  });

  test('the document around them', () => {
    const validate = validator('document');
    const document = { schemaVersion: 1, ok: true, command: 'status', data: {}, warnings: [] };
    expect(complaints(validate, document)).toEqual([]);
    const { data, ...rest } = document;
    expect(data).toEqual({});
    expect(
      complaints(validate, { ...rest, ok: false, error: { code: 'LOCKED', message: 'busy', hint: 'wait' } }),
    ).toEqual([]);
    expect(complaints(validate, rest)).not.toEqual([]);
    expect(
      complaints(validate, { ...rest, ok: false, error: { code: 'X', message: 'y', argv: ['secret'] } }),
    ).not.toEqual([]);
  });
});

/** An upgrade over an expand and a contract migration, with everything it can have, and the ways back. */
function upgradePlans(): Plan[] {
  const pins = (version: string) => ({
    version,
    images: Object.fromEntries(['operator', 'api', 'web'].map((name) => [name, `${name}@sha256:${version}`])),
  });
  const hop = (version: string, contract: string[]) => ({
    ...pins(version),
    pending: ['0009_new'],
    contract,
    databaseCopy: 'kg_before_1',
    healthGate: {
      checks: [{ target: 'api' as const, path: '/ready', status: 200 }],
      timeoutSeconds: 60,
      stabilitySeconds: 5,
    },
  });
  const hops = [hop('1.1.0', []), hop('1.2.0', ['0009_new'])];
  const healthGate = hop('1.0.0', []).healthGate;
  const back = { from: pins('1.2.0'), to: pins('1.0.0'), healthGate, operator: true };
  const data = { incoming: 'kg_before_1', outgoing: 'kg_failed_1', backup: 'b' };
  return [
    planUpgrade(runningPlatform(), {
      ...{ from: pins('1.0.0'), hops, bundle: 'kg.tar', backup: { id: 'b', copyTo: ['elsewhere'] } },
      hooks: [...HOOKS],
    }),
    planRollback(runningPlatform(), { ...back, data: null, copy: 'kg_before_1' }),
    planRollback(runningPlatform(), { ...back, data, copy: null }),
  ];
}

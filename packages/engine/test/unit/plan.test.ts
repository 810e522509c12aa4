import { describe, expect, test } from '@jest/globals';
import { describeStep, type Hook, type Plan } from '../../src/model/plan.ts';
import { planBackup } from '../../src/plan/backup.ts';
import { notUp, planStart } from '../../src/plan/start.ts';
import { planStop } from '../../src/plan/stop.ts';
import { emptyHost, runningPlatform, unconfigured } from '../observed.ts';

const all = { infrastructure: true, application: true };

describe('planStart', () => {
  test('an empty host: the layers in order, the operator itself and the one-shot job left alone', () => {
    expect(planStart(emptyHost(), all).steps).toEqual([
      { kind: 'compose-up', services: ['postgres', 'garage', 'console', 'gateway'] },
      { kind: 'wait-healthy', services: ['postgres', 'garage', 'gateway'], timeoutSeconds: 180 },
      { kind: 'migrate', pending: null },
      { kind: 'check-encryption-key' },
      { kind: 'configure-object-store' },
      { kind: 'require-configuration' },
      { kind: 'compose-up', services: ['api', 'web'] },
      { kind: 'wait-healthy', services: ['api', 'web'], timeoutSeconds: 120 },
      { kind: 'probe', target: 'api', timeoutSeconds: 60 },
      { kind: 'probe', target: 'web', timeoutSeconds: 60 },
    ]);
  });

  test('hooks run around what they are named for, if they are there', () => {
    const hooks: Hook[] = ['pre-start', 'post-migrate', 'post-start', 'pre-upgrade'];
    const kinds = ({ steps }: Plan) =>
      steps.map((step) => (step.kind === 'run-hook' ? step.hook : step.kind));
    expect(kinds(planStart(emptyHost(), { infrastructure: true, application: false, hooks }))).toEqual([
      'pre-start',
      'compose-up',
      'wait-healthy',
      'migrate',
      'post-migrate',
      'check-encryption-key',
      'configure-object-store',
      'post-start',
    ]);
    expect(kinds(planStart(runningPlatform(), { ...all, hooks }))).not.toContain('post-migrate');
    const backup = { id: 'b', verify: true, copyTo: ['elsewhere'], prune: true };
    expect(kinds(planBackup({ ...backup, hooks: ['post-backup', 'pre-backup'] }))).toEqual([
      'pre-backup',
      'write-backup',
      'verify-backup',
      'copy-backup',
      'prune-backups',
      'post-backup',
    ]);
  });

  test('--infra-only stops below configuration', () => {
    const kinds = planStart(emptyHost(), { infrastructure: true, application: false }).steps.map(
      ({ kind }) => kind,
    );
    expect(kinds).toEqual([
      'compose-up',
      'wait-healthy',
      'migrate',
      'check-encryption-key',
      'configure-object-store',
    ]);
  });

  test('--app-only checks key and configuration before any container is started', () => {
    const kinds = planStart(unconfigured(), { infrastructure: false, application: true }).steps.map(
      ({ kind }) => kind,
    );
    expect(kinds.slice(0, 3)).toEqual(['check-encryption-key', 'require-configuration', 'compose-up']);
  });

  test('a running platform is neither migrated nor configured again', () => {
    const kinds = planStart(runningPlatform(), all).steps.map(({ kind }) => kind);
    expect(kinds).not.toContain('migrate');
    expect(kinds).not.toContain('configure-object-store');
  });

  test('pending migrations are named in the plan', () => {
    const observed = runningPlatform();
    observed.database = {
      reachable: true,
      schema: { head: '0001_a', applied: 1, pending: ['0002_b'] },
      config: null,
    };
    expect(planStart(observed, all).steps).toContainEqual({ kind: 'migrate', pending: ['0002_b'] });
  });

  test('plans are plain data: they survive JSON', () => {
    const plan = planStart(emptyHost(), all);
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  test('every step has a line for a person', () => {
    for (const step of planStart(emptyHost(), all).steps) expect(describeStep(step)).toMatch(/^[A-Z].{5,}/);
  });
});

describe('notUp', () => {
  test('names what the goal wants and does not see healthy', () => {
    const observed = runningPlatform();
    const api = observed.services.find(({ name }) => name === 'api');
    Object.assign(api?.containers[0] ?? {}, { health: 'unhealthy' });
    expect(notUp(observed, all).map(({ name }) => name)).toEqual(['api']);
    expect(notUp(observed, { infrastructure: true, application: false })).toEqual([]);
  });

  test('without what is optional the goal is reached', () => {
    const observed = runningPlatform();
    for (const service of observed.services) if (service.optional) service.containers = [];
    expect(
      observed.services.filter(({ containers, oneShot }) => containers.length === 0 && !oneShot),
    ).toHaveLength(1);
    expect(notUp(observed, all)).toEqual([]);
  });
});

describe('planStop', () => {
  test('application before infrastructure, never the operator itself', () => {
    expect(planStop(runningPlatform(), { keepInfrastructure: false, services: [] }).steps).toEqual([
      { kind: 'compose-stop', services: ['api', 'web'] },
      { kind: 'compose-stop', services: ['postgres', 'garage', 'console', 'gateway'] },
    ]);
  });

  test('--keep-infra and named services narrow it', () => {
    expect(planStop(runningPlatform(), { keepInfrastructure: true, services: [] }).steps).toEqual([
      { kind: 'compose-stop', services: ['api', 'web'] },
    ]);
    expect(planStop(runningPlatform(), { keepInfrastructure: false, services: ['web'] }).steps).toEqual([
      { kind: 'compose-stop', services: ['web'] },
    ]);
  });

  test('nothing runs, nothing to do', () => {
    expect(planStop(emptyHost(), { keepInfrastructure: false, services: [] }).steps).toEqual([]);
  });
});

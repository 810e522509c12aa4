import { describe, expect, test } from '@jest/globals';
import { assessLayers, nextCommands } from '../../src/checks/layers.ts';
import { emptyHost, runningPlatform, unconfigured } from '../observed.ts';

const oks = (observed: Parameters<typeof assessLayers>[0]) => assessLayers(observed).map(({ ok }) => ok);

describe('assessLayers', () => {
  test('a running platform is complete and needs nothing', () => {
    expect(oks(runningPlatform())).toEqual([true, true, true, true]);
    expect(nextCommands(runningPlatform())).toEqual([]);
  });

  test('what is optional makes no layer less ready', () => {
    const observed = runningPlatform();
    for (const { optional, containers } of observed.services)
      if (optional) Object.assign(containers[0] ?? {}, { state: 'restarting', health: 'unhealthy' });
    expect(oks(observed)).toEqual([true, true, true, true]);
    const down = { ...observed, database: emptyHost().database };
    expect(assessLayers(down)[1]?.summary).toBe('not readable: getaddrinfo ENOTFOUND postgres');
  });

  test('an empty host wants its infrastructure', () => {
    expect(oks(emptyHost())).toEqual([true, false, false, false]);
    expect(nextCommands(emptyHost())).toEqual(['./operator.sh start']);
    expect(assessLayers(emptyHost())[1]?.summary).toBe('not readable: postgres, garage, gateway not up');
  });

  test('missing configuration: the command of every missing item', () => {
    expect(oks(unconfigured())).toEqual([true, true, false, false]);
    expect(nextCommands(unconfigured())).toEqual([
      './operator.sh config admin user',
      './operator.sh config AI provider',
    ]);
  });

  test('nobody has claimed the platform: complete, and how it is done comes next', () => {
    const open = runningPlatform();
    if (open.database.reachable && open.database.config)
      open.database.config.claim = { expiresAt: new Date(0), counts: false };
    expect(oks(open)).toEqual([true, true, true, true]);
    expect(assessLayers(open)[2]?.summary).toContain('nobody has claimed');
    expect(nextCommands(open)).toEqual(['./operator.sh config claim']);
  });

  test('no secrets: init; the wrong key: said before anything else', () => {
    expect(nextCommands({ ...emptyHost(), encryptionKeyId: null })).toEqual(['./operator.sh init']);
    const wrong = { ...runningPlatform(), encryptionKeyId: 'ffffffffffffffff' };
    expect(oks(wrong)[0]).toBe(false);
    expect(assessLayers(wrong)[0]?.summary).toContain('0011223344556677');
  });

  test('a key that is being rotated is right by its old name, too', () => {
    const rotated = runningPlatform();
    if (rotated.database.reachable && rotated.database.config)
      Object.assign(rotated.database.config, {
        keyId: 'eeeeeeeeeeeeeeee',
        previousKeyId: '0011223344556677',
      });
    expect(oks(rotated)).toEqual([true, true, true, true]);
    expect(assessLayers(rotated)[0]?.summary).toContain('being rotated to eeeeeeeeeeeeeeee');
  });

  test('a credential that does not open is named with what sets it anew; with a wrong key, only the key is', () => {
    const damaged = runningPlatform();
    const finding = {
      problem: 'the stored credential "openai" is damaged',
      fix: './operator.sh config api-key openai',
    };
    if (damaged.database.reachable) damaged.database.config?.unreadable.push(finding);
    expect(oks(damaged)).toEqual([true, true, false, true]);
    expect(assessLayers(damaged)[2]?.summary).toBe(finding.problem);
    expect(nextCommands(damaged)).toEqual([finding.fix]);
    const wrong = { ...damaged, encryptionKeyId: 'ffffffffffffffff' };
    expect(nextCommands(wrong)).toEqual(['restore the .env that belongs to this database']);
    expect(assessLayers(wrong)[2]?.summary).not.toContain('damaged');
  });

  test('pending migrations and an unhealthy application are named', () => {
    const pending = runningPlatform();
    pending.database = {
      reachable: true,
      schema: { head: '0001_a', applied: 1, pending: ['0002_b'] },
      config: null,
    };
    expect(nextCommands(pending)).toEqual(['./operator.sh migrate']);
    const sick = runningPlatform();
    Object.assign(sick.services.find(({ name }) => name === 'web')?.containers[0] ?? {}, {
      health: 'unhealthy',
    });
    expect(nextCommands(sick)).toEqual(['./operator.sh logs web']);
  });
});

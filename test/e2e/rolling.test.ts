import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { ADMIN_PASSWORD, Installation } from './installation.ts';
import { trafficLine, underTraffic } from './platform-traffic.ts';
import { Publisher, publishExamples } from './releases.ts';

jest.setTimeout(600_000);

describe('upgrades under 50 requests a second through the gateway', () => {
  let publisher: Publisher;
  let kg: Installation;
  beforeAll(async () => {
    publisher = await Publisher.create();
    await publishExamples(publisher);
    kg = await Installation.standalone(publisher);
    const env = { KG_ADMIN_PASSWORD: ADMIN_PASSWORD, KG_AI_PROVIDER: 'local', KG_EMBEDDING: 'local' };
    await kg.ok(['up', '--yes'], { env });
  });
  afterAll(async () => {
    await kg?.destroy();
    await publisher.remove();
  });

  async function upgradeUnderTraffic(version: string, what: string) {
    const { result: upgraded, report } = await underTraffic(kg, () =>
      kg.run(['upgrade', '--to', version, '--yes']),
    );
    process.stderr.write(trafficLine(`upgrade to ${version}, ${what}`, report));
    if (report.failed > 0) process.stderr.write(`${report.failures.join('\n')}\n`);
    if (upgraded.code !== 0) throw new Error(`exit ${upgraded.code}\n${upgraded.stdout}\n${upgraded.stderr}`);
    const { api, web } = await kg.containers();
    for (const container of [api, web])
      expect(container?.Config.Labels['org.opencontainers.image.version']).toBe(version);
    // Nothing that was acknowledged is lost.
    const stored = await kg.psql(
      `SELECT name FROM cypher('knowledge', $$ MATCH (c:Concept) RETURN c.name $$) AS (name agtype);`,
    );
    expect(stored.map((name) => JSON.parse(name))).toEqual(expect.arrayContaining(report.acknowledged));
    return report;
  }

  test('other images only: no request fails, and none takes ten seconds', async () => {
    const report = await upgradeUnderTraffic('1.0.1', 'other images only');
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(report.latencyMs.max).toBeLessThan(10_000);
    expect(report.acknowledged.length).toBeGreaterThan(20);
  });

  test('an expand migration: no request fails, and none takes ten seconds', async () => {
    const report = await upgradeUnderTraffic('1.1.0', 'an expand migration');
    expect(report).toMatchObject({ failed: 0, failures: [] });
    expect(report.latencyMs.max).toBeLessThan(10_000);
  });

  test('start has nothing to do afterwards', async () => {
    const ids = await kg.containerIds();
    await kg.ok(['start']);
    expect(await kg.containerIds()).toEqual(ids);
  });

  test('a contract migration: the application is away for a while, and says so', async () => {
    const report = await upgradeUnderTraffic('1.2.0', 'a contract migration');
    expect(report.silenceMs).toBeLessThan(60_000);
    // The gateway answers for an application that is away; it never breaks a connection.
    expect(report.statuses[0]).toBeUndefined();
    const unavailable = (report.statuses[502] ?? 0) + (report.statuses[503] ?? 0);
    expect(unavailable).toBe(report.failed);
  });
});

import { once } from 'node:events';
import { Agent, createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { closeGently } from '../../src/close-gently.ts';

async function listen(answerAfterMs = 20): Promise<{ server: Server; port: number }> {
  const server = createServer((incoming, response) => {
    incoming.resume().on('end', () => setTimeout(() => response.end('done'), answerAfterMs));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** The body of the answer, or the code of the error. */
function ask(port: number, method: 'GET' | 'POST'): Promise<string> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, method, agent: new Agent() }, (response) => {
      response.setEncoding('utf8').on('data', resolve);
    });
    sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    sent.end(method === 'POST' ? 'x'.repeat(1000) : undefined);
  });
}

describe('closeGently', () => {
  test('requests under way are answered, a GET that comes later is not begun, a POST is', async () => {
    const { server, port } = await listen(600);
    const earlier = [ask(port, 'GET'), ask(port, 'POST')];
    await sleep(100);
    let ended = 0;
    closeGently(server, () => {
      ended = performance.now();
    });
    const later = [ask(port, 'GET'), ask(port, 'POST')];
    expect(await Promise.all(earlier)).toEqual(['done', 'done']);
    expect(await Promise.all(later)).toEqual(['ECONNRESET', 'done']);
    const answered = performance.now();
    expect(await ask(port, 'POST')).toBe('ECONNREFUSED');
    await sleep(100);
    expect(ended).toBeGreaterThan(answered - 50);
  });

  test('a caller that turns away at the first GET without an answer loses no POST', async () => {
    for (let round = 0; round < 5; round++) {
      const { server, port } = await listen();
      const closed = new Promise<void>((resolve) => {
        setTimeout(() => closeGently(server, resolve), 50);
      });
      const answers: Promise<string>[] = [];
      let turnedAway = false;
      for (let sent = 0; !turnedAway; sent++) {
        if (sent % 2 === 0) answers.push(ask(port, 'POST'));
        else
          void ask(port, 'GET').then((answer) => {
            turnedAway ||= answer !== 'done';
          });
        await sleep(2);
      }
      await closed;
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['done']));
    }
  });

  test('it ends although connections never stop coming', async () => {
    const { server, port } = await listen();
    let closed = false;
    closeGently(server, () => {
      closed = true;
    });
    const begun = performance.now();
    while (!closed && performance.now() - begun < 10_000) await Promise.all([ask(port, 'POST'), sleep(50)]);
    expect(performance.now() - begun).toBeLessThan(6_000);
  });
});

import { Agent, request } from 'node:http';
import type { Installation } from './installation.ts';
import { startTraffic, type TrafficReport } from './traffic.ts';

export interface PlatformTraffic {
  /** What happened, and the concepts whose storing was acknowledged. */
  stop(): Promise<TrafficReport & { acknowledged: string[] }>;
}

// As long as the description of a concept may be, and as a text of a few pages.
const DESCRIPTION = 'As it is. '.repeat(90);
const TEXT = 'A sentence of some length, to fill a page or two. '.repeat(200);

/**
 * What people do with a platform, through its gateway: pages and graphs read, concepts and documents written; over connections that are
 * kept, and over a new one for each request.
 */
export async function startPlatformTraffic(kg: Installation, perSecond = 50): Promise<PlatformTraffic> {
  const token = (await kg.logIn()).body.access_token;
  if (!token) throw new Error('no token');
  const kept = new Agent({ keepAlive: true });
  const api = `http://127.0.0.1:${kg.apiPort}`;
  const web = `http://127.0.0.1:${kg.webPort}`;
  const name = `Traffic ${Math.random().toString(36).slice(2, 8)}`;
  const acknowledged: string[] = [];
  const traffic = startTraffic(async (index) => {
    const agent = index % 2 === 0 ? kept : new Agent({ keepAlive: false });
    const call = (url: string, body?: object) => send(url, agent, token, body);
    switch (Math.floor(index / 2) % 5) {
      case 0:
        return call(`${api}/site`);
      case 1: {
        // Not a new one each time: finding one by its name takes longer the more there are.
        const concept = `${name} ${index % 60}`;
        const response = await call(`${api}/concepts`, { name: concept, description: DESCRIPTION });
        if (response.ok) acknowledged.push(concept);
        return response;
      }
      case 2:
        return call(`${web}/`);
      case 3:
        return call(`${web}/api/documents`, { title: `${name} ${index}`, text: TEXT });
      default:
        return call(`${web}/api/graph?limit=5`);
    }
  }, perSecond);
  return {
    async stop() {
      const report = await traffic.stop();
      kept.destroy();
      return { ...report, acknowledged };
    },
  };
}

/** What happened while `work` ran, and what it returned. */
export async function underTraffic<T>(
  kg: Installation,
  work: () => Promise<T>,
): Promise<{ result: T; report: Awaited<ReturnType<PlatformTraffic['stop']>> }> {
  const traffic = await startPlatformTraffic(kg);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await traffic.stop();
    throw error;
  }
  return { result, report: await traffic.stop() };
}

/** Not fetch(): it opens and keeps connections as it likes, and sends again by itself. */
function send(url: string, agent: Agent, token: string, body?: object): Promise<Response> {
  return new Promise((resolve, reject) => {
    const method = body ? 'POST' : 'GET';
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const sent = request(url, { method, agent, headers }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve(new Response(Buffer.concat(pieces), { status: response.statusCode ?? 0 })),
      );
    });
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

/** One line for whoever runs the tests. */
export function trafficLine(
  what: string,
  { requests, statuses, failed, held, silenceMs, latencyMs }: TrafficReport,
): string {
  const { p50, p99, max } = latencyMs;
  return `${what}: ${requests} requests ${JSON.stringify(statuses)}, ${failed} failed, ${held} held for more than 1 s; p50 ${p50} ms, p99 ${p99} ms, max ${max} ms; longest silence ${silenceMs} ms\n`;
}

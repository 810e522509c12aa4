import { createHash } from 'node:crypto';
import { type AiServer, startAiServer } from '../../packages/api/test/ai-server.ts';
import { docker } from './command.ts';

/** The AI test server where containers reach it as a model served on the host: http://host.docker.internal:PORT. */
export async function startAiOnHost(): Promise<AiServer & { baseUrl: string }> {
  // What Docker calls host-gateway: the address of its default bridge, which no other machine reaches.
  const gateway = await docker(
    'network',
    'inspect',
    'bridge',
    '--format',
    '{{(index .IPAM.Config 0).Gateway}}',
  );
  const server = await startAiServer(0, gateway);
  const port = new URL(server.url).port;
  return Object.assign(server, { baseUrl: `http://host.docker.internal:${port}/v1` });
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

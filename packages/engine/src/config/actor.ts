import { userInfo } from 'node:os';

/**
 * Who gives the commands, for the history: `os:NAME`. In the operator's container everybody is root, so operator.sh says who called it.
 */
export function commandActor(env: NodeJS.ProcessEnv = process.env): string {
  return `os:${(env.KG_ACTOR ?? '').replace(/[^\p{L}\p{N}._@\\-]/gu, '').slice(0, 64) || ownName()}`;
}

function ownName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a number that no name belongs to.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { type CommandShape, completionScript } from '../../src/cli/completion.ts';

const commands: CommandShape[] = [
  {
    words: ['config', 'ai-provider'],
    summary: "the provider's key",
    flags: ['--json', '--model'],
    values: ['openai', 'local'],
  },
  { words: ['config', 'show'], summary: '', flags: ['--json'], values: [] },
  { words: ['dev'], summary: '', flags: ['--demo', '--port'], values: [] },
];

const complete = (...words: string[]): string[] => {
  const script = `${completionScript('bash', 'kg-operator', commands)}
    COMP_WORDS=(kg-operator "$@"); COMP_CWORD=$#; _kg_operator; echo "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim().split(' ');
};

test('bash completes commands, arguments and flags, wherever flags stand', () => {
  expect(complete('')).toEqual(['config', 'dev']);
  expect(complete('d')).toEqual(['dev']);
  expect(complete('config', '')).toEqual(['ai-provider', 'show']);
  expect(complete('--json', 'config', 'ai-provider', 'o')).toEqual(['openai']);
  expect(complete('config', 'ai-provider', 'openai', '--m')).toEqual(['--model']);
});

test('zsh and fish scripts name every command and flag', () => {
  for (const shell of ['zsh', 'fish'] as const) {
    const script = completionScript(shell, 'kg-operator', commands);
    for (const word of ['ai-provider', 'show', 'dev', 'demo', 'port', 'openai'])
      expect(script).toContain(word);
  }
  expect(completionScript('fish', 'kg-operator', commands)).toContain("-d 'the provider\\'s key'");
});

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export interface CommandShape {
  /** `config admin` is ['config', 'admin']. */
  words: string[];
  summary: string;
  flags: string[];
  /** What its argument may be. */
  values: string[];
}

/**
 * A script that completes commands, flags and arguments without calling the program: everything is in it. (oclif's own plugin wants a
 * plugin folder and a cache beside an unbundled CLI.)
 */
export function completionScript(
  shell: (typeof SHELLS)[number],
  bin: string,
  commands: CommandShape[],
): string {
  if (shell === 'fish') return fish(bin, commands);
  const script = bash(bin, commands);
  return shell === 'bash'
    ? script
    : `#compdef ${bin}\nautoload -U +X bashcompinit && bashcompinit\n${script}`;
}

/** What can follow each beginning of a command line, by that beginning; '' is the empty one. */
export function wordsAfter(commands: CommandShape[]): Map<string, string[]> {
  const after = new Map<string, Set<string>>();
  const add = (line: string[], words: string[]) => {
    const key = line.join(' ');
    after.set(key, new Set([...(after.get(key) ?? []), ...words]));
  };
  for (const { words, flags, values } of commands) {
    for (const [index, word] of words.entries()) add(words.slice(0, index), [word]);
    add(words, [...values, ...flags]);
  }
  return new Map([...after].map(([line, words]) => [line, [...words]]));
}

function bash(bin: string, commands: CommandShape[]): string {
  const name = `_${bin.replaceAll('-', '_')}`;
  const cases = [...wordsAfter(commands)].map(
    ([line, words]) => `    '${line}') words='${words.join(' ')}' ;;`,
  );
  const known = [...wordsAfter(commands).keys()]
    .filter(Boolean)
    .map((line) => `'${line}'`)
    .join(' | ');
  return `${name}() {
  local line='' word words='' current=\${COMP_WORDS[COMP_CWORD]}
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) continue ;; esac
    case "$line\${line:+ }$word" in
      ${known}) line="$line\${line:+ }$word" ;;
    esac
  done
  case $line in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F ${name} ${bin}
`;
}

function fish(bin: string, commands: CommandShape[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = [`complete -c ${bin} -f`];
  for (const { words, summary, flags, values } of commands) {
    const before = words.slice(0, -1);
    const at =
      before.length === 0 ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${before.join(' ')}`;
    lines.push(`complete -c ${bin} -n ${quote(at)} -a ${quote(words.at(-1) ?? '')} -d ${quote(summary)}`);
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    if (values.length > 0) lines.push(`complete -c ${bin} -n ${quote(seen)} -a ${quote(values.join(' '))}`);
    for (const flag of flags) lines.push(`complete -c ${bin} -n ${quote(seen)} -l ${flag.slice(2)}`);
  }
  return `${lines.join('\n')}\n`;
}

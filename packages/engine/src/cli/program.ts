/** What the program is called by the person who runs it; npm says so when npx does. */
const PROGRAM = process.env.npm_command ? 'npx kg-operator' : 'kg-operator';

/**
 * Names the next command as it can be run here. Texts are written for `./operator.sh`, as it is with containers; without them it is the
 * program itself, and what starts the platform is `dev`.
 */
export function nameProgram(
  text: string,
  program = PROGRAM,
  containers = Boolean(process.env.KG_ROOT),
): string {
  if (containers) return text;
  return text
    .replaceAll(
      'start it with ./operator.sh start --infra-only',
      'is PostgreSQL running where DATABASE_URL or POSTGRES_HOST says?',
    )
    .replace(/\.\/operator\.sh (?:start|up)\b(?: --[a-z-]+)*/g, 'kg-operator dev')
    .replace(/\.\/operator\.sh (?=(?:backup|config|init|migrate|restore|status)\b)/g, 'kg-operator ')
    .replace(
      /(?<!npx )\bkg-operator (?=(?:backup|config|dev|init|migrate|psql|restore|status)\b)/g,
      `${program} `,
    );
}

/** The same for every text in a JSON document. */
export function nameProgramIn(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_key, item) =>
    typeof item === 'string' ? nameProgram(item) : item,
  );
}

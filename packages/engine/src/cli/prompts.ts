import { Secret } from '@kg-operator/config';

// Loaded when a person is asked something: it costs 100 ms that no other command should pay.
const load = () => import('@inquirer/prompts');
// stdout belongs to the answer.
const onStderr = { output: process.stderr };

/** Asks without echo. */
export async function askSecret(
  message: string,
  validate: (secret: Secret) => true | string,
): Promise<Secret> {
  const { password } = await load();
  return new Secret(
    await password({ message, mask: '*', validate: (value) => validate(new Secret(value)) }, onStderr),
  );
}

/** Asks for a new secret twice, until both agree. */
export async function askNewSecret(
  message: string,
  validate: (secret: Secret) => true | string,
): Promise<Secret> {
  const first = await askSecret(message, validate);
  await askSecret('Once more', (again) => again.reveal() === first.reveal() || 'the two differ');
  return first;
}

export async function askText(
  message: string,
  defaultValue: string,
  validate: (text: string) => true | string = () => true,
): Promise<string> {
  const { input } = await load();
  return input({ message, default: defaultValue, validate }, onStderr);
}

export async function askChoice<T extends string>(message: string, choices: readonly T[]): Promise<T> {
  const { select } = await load();
  return select({ message, choices: choices.map((value) => ({ name: value, value })) }, onStderr);
}

/** Runs a check that throws as the validation of a prompt: true, or the sentence to show. */
export function asValidation<T>(check: (answer: T) => void): (answer: T) => true | string {
  return (answer) => {
    try {
      check(answer);
      return true;
    } catch (error) {
      const { message, hint } = error as { message: string; hint?: string };
      return hint ? `${message}: ${hint}` : message;
    }
  };
}

/** Yes or no; Enter alone means no. */
export async function askConfirmation(message: string): Promise<boolean> {
  const { confirm } = await load();
  return confirm({ message, default: false }, onStderr);
}

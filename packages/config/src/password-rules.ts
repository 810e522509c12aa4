import { createHash } from 'node:crypto';
import type { Secret } from './secret.ts';

// Length is what counts, and rules of composition do not (NIST SP 800-63B §3.1.1.2). Its floor for a password alone is 15 since revision
// 4, and 8 before; 12 stays, because installations have such passwords.
export const MIN_PASSWORD_LENGTH = 12;
export const MAX_PASSWORD_LENGTH = 1024;

/**
 * What a password must not be made of alone, digits and punctuation left aside: words of default passwords, of this project and of its
 * documentation's examples. The same section asks for a list of commonly used, expected and context-specific values.
 */
const EXPECTED = new Set(
  `admin administrator root user guest test testing demo default secret password passwort passphrase changeme changethis changeit letmein
  welcome qwerty qwertyuiop qwertz asdfghjkl zxcvbnm qazwsx qazwsxedc abcdefghijkl iloveyou trustno sunshine princess football baseball
  superman monkey dragon master shadow correcthorsebatterystaple kg kgoperator operator knowledgegraph platform postgres garage`.split(
    /\s+/,
  ),
);

/**
 * Why `password` can't be the password of `username`, as what follows "the password"; null if it can. Lengths in UTF-16 units.
 * The text never repeats the password.
 */
export function passwordProblem(password: Secret, username: string): string | null {
  const text = password.reveal();
  if (text.length < MIN_PASSWORD_LENGTH || text.length > MAX_PASSWORD_LENGTH)
    return `has ${text.length} characters: use ${MIN_PASSWORD_LENGTH} to ${MAX_PASSWORD_LENGTH}`;
  if (new Set(text).size < 5) return 'repeats a few characters: use at least 5 different ones';
  const lower = text.toLowerCase();
  if (lower === username.toLowerCase()) return 'is the user name: use another';
  const letters = lower.replace(/[^\p{L}]/gu, '');
  const words = [...EXPECTED, username.toLowerCase().replace(/[^\p{L}]/gu, '')].filter(Boolean);
  if (letters === '' && isSequence(lower)) return 'is a sequence of digits: use another';
  const plain = withoutLookalikes(lower);
  if ((letters !== '' && consistsOf(letters, words)) || (plain !== '' && consistsOf(plain, words)))
    return 'is a default one, or the user name, with digits or punctuation: use words of your own';
  return null;
}

/** `123456789012` and `987654321098`: each digit is the neighbour of the one before. */
function isSequence(text: string): boolean {
  const steps = [...text].slice(1).map((digit, index) => (Number(digit) - Number(text[index]) + 10) % 10);
  return steps.every((step) => step === 1) || steps.every((step) => step === 9);
}

const LOOKALIKES: Record<string, string> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  $: 's',
  '5': 's',
  '7': 't',
};

/** `p@ssw0rd-2026` is `password`: what stands around a word is left away, what stands inside of it for a letter is read as that. */
function withoutLookalikes(text: string): string {
  const inner = text.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, '');
  return [...inner]
    .map((character) => LOOKALIKES[character] ?? character)
    .join('')
    .replace(/[^\p{L}]/gu, '');
}

/** Whether `letters` is one of the words, or several of them in a row. */
function consistsOf(letters: string, words: string[]): boolean {
  const reachable = new Set([0]);
  for (const start of reachable)
    for (const word of words) if (letters.startsWith(word, start)) reachable.add(start + word.length);
  return reachable.has(letters.length);
}

/** What the history shows of a password: the first 16 hexadecimal digits of SHA-256 over its argon2id text. Salted, so it tells nothing of it. */
export function passwordFingerprint(passwordHash: string): string {
  return createHash('sha256').update(passwordHash).digest('hex').slice(0, 16);
}

const USERNAME = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** What a user name may be, for people. `kg_api.users` has the same rule. */
export const USERNAME_RULE = 'use 1 to 63 of a-z, 0-9, ".", "_" and "-", starting with a letter or digit';

export function isUsername(text: string): boolean {
  return USERNAME.test(text);
}

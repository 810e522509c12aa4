/** Settings that lib.sh exports. @throws Error for one that is missing: these files are run by the scripts of the same name */
export function environment<Name extends string>(...names: Name[]): Record<Name, string> {
  return Object.fromEntries(
    names.map((name) => {
      const value = process.env[name];
      if (value === undefined) throw new Error(`${name} is not set: run the .sh of the same name`);
      return [name, value];
    }),
  ) as Record<Name, string>;
}

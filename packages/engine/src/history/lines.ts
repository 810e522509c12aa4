import { open } from 'node:fs/promises';

/** Gives, at each call, the lines of a file that were completed since the last one; none while there is no file. */
export function newLines(path: string): () => Promise<string[]> {
  let offset = 0;
  let rest = Buffer.alloc(0);
  return async () => {
    const more = await readFrom(path, offset);
    offset += more.length;
    rest = Buffer.concat([rest, more]);
    const end = rest.lastIndexOf(0x0a) + 1;
    const lines = rest.subarray(0, end).toString('utf8').split('\n').filter(Boolean);
    rest = Buffer.from(rest.subarray(end));
    return lines;
  };
}

/** Opened anew each time: a handle that is kept shows, over some bind mounts, the file as it was. */
async function readFrom(path: string, offset: number): Promise<Buffer> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    const size = (await file.stat()).size - offset;
    if (size <= 0) return Buffer.alloc(0);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Null for a line that was cut. */
export function parseLine<T>(line: string): T | null {
  try {
    return JSON.parse(line) as T;
  } catch {
    return null;
  }
}

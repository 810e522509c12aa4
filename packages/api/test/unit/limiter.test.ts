import { expect, test } from '@jest/globals';
import { Limiter } from '../../src/limiter.ts';

/** Tasks that run until they are told to end, and who is running. */
function tasks(limiter: Limiter) {
  const running: number[] = [];
  const ends = new Map<number, () => void>();
  const start = (id: number, signal?: AbortSignal) =>
    limiter.run(async () => {
      running.push(id);
      await new Promise<void>((resolve) => ends.set(id, resolve));
      running.splice(running.indexOf(id), 1);
      return id;
    }, signal);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  const end = async (id: number) => {
    ends.get(id)?.();
    await settle();
  };
  return { running, start, end, settle };
}

test('no more than the limit at once, the others in the order they came', async () => {
  const { running, start, end, settle } = tasks(new Limiter(2));
  const all = [1, 2, 3, 4].map((id) => start(id));
  await settle();
  expect(running).toEqual([1, 2]);
  await end(2);
  expect(running).toEqual([1, 3]);
  await end(1);
  expect(running).toEqual([3, 4]);
  await end(3);
  await end(4);
  expect(await Promise.all(all)).toEqual([1, 2, 3, 4]);
});

test('a task that fails makes room', async () => {
  const limiter = new Limiter(1);
  await expect(limiter.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await limiter.run(async () => 'next')).toBe('next');
});

test('who gives up while waiting leaves the queue, and never runs', async () => {
  const { running, start, end, settle } = tasks(new Limiter(1));
  const first = start(1);
  const giveUp = new AbortController();
  const second = start(2, giveUp.signal);
  const third = start(3);
  giveUp.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  await expect(start(4, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
  await end(1);
  expect(running).toEqual([3]);
  await end(3);
  await settle();
  expect(await Promise.all([first, third])).toEqual([1, 3]);
});

test('a higher limit lets the waiting in, a lower one waits until enough have ended', async () => {
  const limiter = new Limiter(1);
  const { running, start, end, settle } = tasks(limiter);
  const all = [1, 2, 3, 4].map((id) => start(id));
  await settle();
  limiter.limit = 3;
  await settle();
  expect(running).toEqual([1, 2, 3]);
  limiter.limit = 1;
  await end(1);
  await end(2);
  expect(running).toEqual([3]);
  await end(3);
  expect(running).toEqual([4]);
  await end(4);
  await Promise.all(all);
});

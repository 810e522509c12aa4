/** Passes items from a producer that pushes to a consumer that pulls, one at a time: `give` resolves when the item was taken. */
export interface Handoff<T> extends AsyncIterable<T> {
  /** Rejects when the consumer has stopped, with its reason. */
  give(item: T): Promise<void>;
  /** No more items; with a reason, the consumer fails with it. */
  end(reason?: unknown): void;
  /** The consumer has stopped: waiting and later `give` reject with this. */
  stop(reason: unknown): void;
}

export function handoff<T>(): Handoff<T> {
  let offered: { item: T; taken: () => void; refused: (reason: unknown) => void } | undefined;
  let ended: { reason: unknown } | undefined;
  let stopped: { reason: unknown } | undefined;
  let wake: () => void = () => undefined;
  return {
    give(item) {
      if (stopped) return Promise.reject(stopped.reason);
      return new Promise((taken, refused) => {
        offered = { item, taken, refused };
        wake();
      });
    },
    end(reason) {
      ended = { reason };
      wake();
    },
    stop(reason) {
      stopped = { reason };
      offered?.refused(reason);
      offered = undefined;
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        if (offered) {
          const { item, taken } = offered;
          offered = undefined;
          taken();
          yield item;
        } else if (ended) {
          if (ended.reason !== undefined) throw ended.reason;
          return;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
}

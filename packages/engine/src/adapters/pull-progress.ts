import { megabytes } from '../model/disk.ts';

/** A line of what Docker answers to a pull: https://docs.docker.com/reference/api/engine/, ImageCreate. */
export interface PullEvent {
  /** Of a layer. */
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
  error?: string;
}

const BETWEEN_LINES_MS = 1000;

/** Adds the layers of one pull up. `now` gives milliseconds. */
export function pullProgress(report: (line: string) => void, now = () => performance.now()) {
  const layers = new Map<string, { status: string; current: number; total: number | null }>();
  const begun = now();
  let lastLine = Number.NEGATIVE_INFINITY;

  function line(): string | null {
    const all = [...layers.values()];
    const loading = all.filter(({ status }) =>
      ['Pulling fs layer', 'Waiting', 'Downloading'].includes(status),
    );
    if (loading.length === 0) return all.some(({ status }) => status === 'Extracting') ? 'unpacking' : null;
    const done = all.reduce((sum, { current }) => sum + current, 0);
    if (done === 0) return null;
    // Docker tells a layer's size only when it begins to load it.
    const isSizeKnown = loading.every(({ total }) => total !== null);
    const total = all.reduce((sum, layer) => sum + (layer.total ?? 0), 0);
    const perSecond = done / Math.max(1, (now() - begun) / 1000);
    return `${megabytes(done)}${isSizeKnown ? ` of ${megabytes(total)}` : ''}, ${megabytes(perSecond)}/s`;
  }

  return {
    add({ id, status = '', progressDetail: { current, total } = {} }: PullEvent): void {
      if (id === undefined || status === '' || status.startsWith('Pulling from')) return;
      const layer = layers.get(id) ?? { status, current: 0, total: null };
      layers.set(id, layer);
      layer.status = status;
      if (status === 'Downloading') {
        layer.current = current ?? layer.current;
        layer.total = total || layer.total;
      } else if (!['Pulling fs layer', 'Waiting'].includes(status) && !status.startsWith('Retrying'))
        layer.current = layer.total ?? layer.current;
      const text = now() - lastLine < BETWEEN_LINES_MS ? null : line();
      if (text === null) return;
      lastLine = now();
      report(text);
    },
    /** Large layers are unpacked without a word for minutes on a slow disk. */
    isUnpacking: () => [...layers.values()].some(({ status }) => status === 'Extracting'),
  };
}

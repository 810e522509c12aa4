import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { ApiFailure, api, type Extracted } from './api.ts';
import { count } from './graph-view.tsx';

interface Props {
  field: RefObject<HTMLTextAreaElement | null>;
  /** Of a text as UTF-8. */
  maxBytes: number;
  onFound(): void;
  onSelect(name: string): void;
  onFailure(error: unknown): string;
}

export function AddText({ field, maxBytes, onFound, onSelect, onFailure }: Props) {
  const [title, setTitle] = useState('');
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const [storedId, setStoredId] = useState<string>();
  const [found, setFound] = useState<Extracted>();
  const seconds = useSeconds(busy);
  const bytesLeft = maxBytes - new TextEncoder().encode(text).length;
  const ready = !busy && text.trim() !== '' && bytesLeft >= 0;

  const run = async (body: Parameters<typeof api.extract>[0]) => {
    setBusy(true);
    setError('');
    setFound(undefined);
    try {
      setFound(await api.extract(body));
      setTitle('');
      setText('');
      setStoredId(undefined);
    } catch (failure) {
      setError(onFailure(failure));
      if (failure instanceof ApiFailure && failure.documentId) setStoredId(failure.documentId);
    }
    setBusy(false);
    onFound();
  };
  const submit = (event?: Event) => {
    event?.preventDefault();
    if (!ready) return;
    run(title.trim() ? { text, title: title.trim() } : { text });
  };

  return (
    <section class="card">
      <h2>Add text</h2>
      <form onSubmit={submit} data-testid="add-text">
        <label>
          Title <span class="muted">(optional)</span>
          <input value={title} maxlength={200} onInput={(event) => setTitle(event.currentTarget.value)} />
        </label>
        <label>
          Text
          <textarea
            ref={field}
            rows={6}
            required
            value={text}
            placeholder="Paste an article, notes, a story…"
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
            }}
          />
        </label>
        <div class="row">
          <button class="primary" type="submit" disabled={!ready}>
            {busy ? 'Reading…' : 'Find concepts'}
          </button>
          {bytesLeft < maxBytes * 0.2 && (
            <span class="muted">
              {bytesLeft < 0
                ? `${count(-bytesLeft, 'byte')} too long; at most ${count(maxBytes, 'byte')} are accepted`
                : `${count(bytesLeft, 'byte')} left`}
            </span>
          )}
        </div>
      </form>
      <div role="status">
        {busy && (
          <p class="progress">
            <span class="spinner" aria-hidden="true" />
            The text is stored, then read by the AI provider… <span aria-hidden="true">{seconds} s</span>
          </p>
        )}
        {found && (
          <div class="found" data-testid="extract-result">
            <p>
              <strong>
                {count(found.concepts.length, 'concept')} and {count(found.relations.length, 'relation')}
              </strong>{' '}
              in “{found.document.title}”. {novelty(found)}
            </p>
            <ul class="chips">
              {found.concepts.map(({ name }) => (
                <li key={name}>
                  <button type="button" class="chip" onClick={() => onSelect(name)}>
                    {name}
                  </button>
                </li>
              ))}
            </ul>
          </div>
        )}
      </div>
      {error && (
        <div class="error" role="alert">
          <p>{error}</p>
          {storedId && (
            <p>
              Your text is stored.{' '}
              <button
                type="button"
                class="link"
                disabled={busy}
                onClick={() => run({ documentId: storedId })}
              >
                Read it again
              </button>
            </p>
          )}
        </div>
      )}
    </section>
  );
}

/** How much of what was found is new; nothing to say when all is. */
function novelty({ concepts, relations, newConcepts, newRelations }: Extracted): string {
  if (newConcepts + newRelations === 0) return concepts.length > 0 ? 'All of it was known.' : '';
  if (newConcepts === concepts.length && newRelations === relations.length) return '';
  return `New: ${count(newConcepts, 'concept')}, ${count(newRelations, 'relation')}.`;
}

/** Seconds since `running` became true. */
function useSeconds(running: boolean): number {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (!running) return;
    setSeconds(0);
    const timer = setInterval(() => setSeconds((value) => value + 1), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return seconds;
}

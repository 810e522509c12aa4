import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type DocumentInfo } from './api.ts';

interface Props {
  documents: DocumentInfo[] | null;
  onFailure(error: unknown): string;
}

export function Documents({ documents, onFailure }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState<{ info: DocumentInfo; text: string }>();
  const [error, setError] = useState('');

  useEffect(() => {
    if (open) dialog.current?.showModal();
  }, [open]);

  const show = async (info: DocumentInfo) => {
    setError('');
    try {
      setOpen({ info, text: (await api.document(info.id)).text });
    } catch (failure) {
      setError(onFailure(failure));
    }
  };

  return (
    <section class="card" data-testid="documents">
      <h2>Documents</h2>
      {documents?.length === 0 && <p class="muted">Texts you add are kept here.</p>}
      <ul class="documents">
        {documents?.map((info) => (
          <li key={info.id}>
            <button type="button" class="link" onClick={() => show(info)}>
              {info.title}
            </button>
            <span class="muted">
              {date(info.createdAt)} · {size(info.bytes)}
            </span>
          </li>
        ))}
      </ul>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      <dialog ref={dialog} class="card" aria-labelledby="document-title" onClose={() => setOpen(undefined)}>
        <header>
          <h2 id="document-title">{open?.info.title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
            ×
          </button>
        </header>
        <p class="muted">
          {open && `Added by ${open.info.createdBy}, ${date(open.info.createdAt)}, ${size(open.info.bytes)}`}
        </p>
        <p class="document-text">{open?.text}</p>
      </dialog>
    </section>
  );
}

function date(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toFixed(bytes < 10_000 ? 1 : 0)} kB`;
}

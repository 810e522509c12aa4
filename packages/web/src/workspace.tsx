import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { AddText } from './add-text.tsx';
import { ApiFailure, api, type DocumentInfo, type Graph } from './api.ts';
import { ByHand } from './by-hand.tsx';
import { ChangePassword } from './change-password.tsx';
import { ConceptPanel } from './concept-panel.tsx';
import { Documents } from './documents.tsx';
import { count, GraphView } from './graph-view.tsx';
import { Logo } from './logo.tsx';

interface Props {
  title: string;
  maxDocumentBytes: number;
  /** Called with the reason to show on the login page. */
  onLeave(reason: string): void;
}

export function Workspace({ title, maxDocumentBytes, onLeave }: Props) {
  const [graph, setGraph] = useState<Graph | null>(null);
  const [documents, setDocuments] = useState<DocumentInfo[] | null>(null);
  const [selected, setSelected] = useState<string | null>(null);
  const [error, setError] = useState('');
  const [changingPassword, setChangingPassword] = useState(false);
  const textField = useRef<HTMLTextAreaElement>(null);

  const onFailure = (failure: unknown): string => {
    if (failure instanceof ApiFailure && failure.status === 401) {
      onLeave('Your session has ended. Please log in again.');
    }
    return (failure as Error).message;
  };
  const load = async () => {
    try {
      const [nextGraph, { documents: nextDocuments }] = await Promise.all([api.graph(), api.documents()]);
      setGraph(nextGraph);
      setDocuments(nextDocuments);
      setError('');
    } catch (failure) {
      setError(onFailure(failure));
    }
  };
  useEffect(() => void load(), []);
  const select = useCallback((name: string | null) => setSelected(name), []);

  return (
    <div class="workspace">
      <header class="bar">
        <Logo />
        <h1>{title}</h1>
        <span class="muted counts" data-testid="counts">
          {graph && `${count(graph.nodes.length, 'concept')} · ${count(graph.edges.length, 'relation')}`}
        </span>
        <button type="button" class="quiet" onClick={() => setChangingPassword(true)}>
          Password
        </button>
        <button type="button" class="quiet" onClick={() => onLeave('')}>
          Log out
        </button>
      </header>
      {changingPassword && (
        <ChangePassword onClose={() => setChangingPassword(false)} onFailure={onFailure} />
      )}
      {error && (
        <p class="error banner" role="alert">
          {error}{' '}
          <button type="button" class="link" onClick={load}>
            Try again
          </button>
        </p>
      )}
      <main>
        <GraphView
          graph={graph}
          selected={selected}
          onSelect={select}
          onAddText={() => textField.current?.focus()}
        />
        <aside aria-label="Concepts and texts">
          {graph && selected !== null && <ConceptPanel graph={graph} name={selected} onSelect={select} />}
          <AddText
            field={textField}
            maxBytes={maxDocumentBytes}
            onFound={load}
            onSelect={select}
            onFailure={onFailure}
          />
          <Documents documents={documents} onFailure={onFailure} />
          <ByHand
            onAdded={async (name) => {
              await load();
              setSelected(name);
            }}
            onFailure={onFailure}
          />
        </aside>
      </main>
      <datalist id="concept-names">
        {graph?.nodes.map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </div>
  );
}

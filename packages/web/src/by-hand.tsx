import { useState } from 'preact/hooks';
import { api } from './api.ts';

interface Props {
  onAdded(name: string): void;
  onFailure(error: unknown): string;
}

/** Adds one concept or one relation. */
export function ByHand({ onAdded, onFailure }: Props) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  const submit =
    (add: (field: (name: string) => string) => Promise<string>) => async (event: SubmitEvent) => {
      event.preventDefault();
      const form = event.currentTarget as HTMLFormElement;
      const data = new FormData(form);
      setBusy(true);
      setError('');
      try {
        const name = await add((field) => String(data.get(field) ?? '').trim());
        form.reset();
        onAdded(name);
      } catch (failure) {
        setError(onFailure(failure));
      }
      setBusy(false);
    };
  const addConcept = submit(async (field) => {
    const description = field('description');
    const { name } = await api.addConcept({ name: field('name'), ...(description ? { description } : {}) });
    return name;
  });
  const addRelation = submit(async (field) => {
    const { from } = await api.addRelation({ from: field('from'), type: field('type'), to: field('to') });
    return from;
  });

  return (
    <details class="card">
      <summary>Add by hand</summary>
      <form onSubmit={addConcept} data-testid="add-concept">
        <h3>Concept</h3>
        <label>
          Name
          <input name="name" required maxlength={200} />
        </label>
        <label>
          Description <span class="muted">(optional)</span>
          <input name="description" maxlength={2000} />
        </label>
        <button type="submit" disabled={busy}>
          Add concept
        </button>
      </form>
      <form onSubmit={addRelation} data-testid="add-relation">
        <h3>Relation</h3>
        <label>
          From
          <input name="from" list="concept-names" required maxlength={200} />
        </label>
        <label>
          Relation
          <input name="type" required maxlength={100} placeholder="is part of" />
        </label>
        <label>
          To
          <input name="to" list="concept-names" required maxlength={200} />
        </label>
        <button type="submit" disabled={busy}>
          Add relation
        </button>
      </form>
      {error && (
        <p class="error" role="alert">
          {error}
        </p>
      )}
    </details>
  );
}

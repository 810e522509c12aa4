import { useEffect, useRef, useState } from 'preact/hooks';
import { changePassword } from './api.ts';

interface Props {
  onClose(): void;
  onFailure(error: unknown): string;
}

/** One's own password; the server says what is wrong with a new one. */
export function ChangePassword({ onClose, onFailure }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setError('');
    try {
      await changePassword(String(form.get('current')), String(form.get('new')));
      setDone(true);
    } catch (failure) {
      setError(onFailure(failure));
    }
    setBusy(false);
  };

  return (
    <dialog ref={dialog} class="card narrow" aria-label="Change password" onClose={onClose}>
      {done ? (
        <form method="dialog">
          <p role="status">Your password is changed. Other sessions of yours have ended.</p>
          <button class="primary" type="submit">
            Close
          </button>
        </form>
      ) : (
        <form onSubmit={submit} data-testid="change-password">
          <h2>Change password</h2>
          <label>
            Current password
            <input name="current" type="password" autocomplete="current-password" required autofocus />
          </label>
          <label>
            New password <span class="muted">(at least 12 characters)</span>
            <input name="new" type="password" autocomplete="new-password" minlength={12} required />
          </label>
          {error && (
            <p class="error" role="alert">
              {error}
            </p>
          )}
          <div class="row">
            <button class="primary" type="submit" disabled={busy}>
              {busy ? 'Changing…' : 'Change password'}
            </button>
            <button class="quiet" type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
          </div>
        </form>
      )}
    </dialog>
  );
}

import { useState } from 'preact/hooks';
import { login } from './api.ts';
import { CLAIM_PATH } from './claim.tsx';
import { Logo } from './logo.tsx';

interface Props {
  title: string;
  notice: string;
  onLoggedIn(): void;
}

export function Login({ title, notice, onLoggedIn }: Props) {
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setError('');
    try {
      await login(String(form.get('username')), String(form.get('password')));
      onLoggedIn();
    } catch (failure) {
      setError((failure as Error).message);
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form class="card login-card" onSubmit={submit} data-testid="login">
        <Logo />
        <h1>{title || '\u00a0'}</h1>
        <p class="muted">Log in to see and extend the graph.</p>
        {notice && !error && (
          <p class="notice" role="status">
            {notice}
          </p>
        )}
        <label>
          User name
          <input
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            required
            autofocus
          />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <button class="primary" type="submit" disabled={busy}>
          {busy ? 'Logging in…' : 'Log in'}
        </button>
        <a href={CLAIM_PATH}>Set up the first administrator</a>
      </form>
    </main>
  );
}

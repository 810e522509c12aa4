import { useEffect, useState } from 'preact/hooks';
import { type ApiFailure, claim } from './api.ts';
import { Logo } from './logo.tsx';

export const CLAIM_PATH = '/claim';

/**
 * The token of the address, `/claim#TOKEN`. It is taken out of the address at once: it would stay in the history, and in every picture of
 * the window.
 */
function takeToken(): string {
  const token = location.hash.slice(1);
  if (token) history.replaceState(null, '', CLAIM_PATH);
  return token;
}

interface Props {
  title: string;
  onClaimed(): void;
  onLogin(): void;
}

/** Makes the first admin. The page is the same whether there is one or not: only the server knows, and it tells nobody. */
export function Claim({ title, onClaimed, onLogin }: Props) {
  const [given, setGiven] = useState(takeToken);
  // An address pasted over this page's own changes the fragment alone, and loads nothing.
  useEffect(() => {
    const take = () => setGiven((before) => takeToken() || before);
    addEventListener('hashchange', take);
    return () => removeEventListener('hashchange', take);
  }, []);
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const field = (name: string) => String(form.get(name) ?? '');
    if (field('password') !== field('again')) {
      setError('The two passwords differ.');
      return;
    }
    setBusy(true);
    setError('');
    try {
      await claim(given || field('token').trim(), field('username').trim(), field('password'));
      onClaimed();
    } catch (failure) {
      setError((failure as Error).message);
      // Another one can be typed.
      if ((failure as ApiFailure).status === 403) setGiven('');
      setBusy(false);
    }
  };

  return (
    <main class="login">
      <form class="card login-card" onSubmit={submit} data-testid="claim">
        <Logo />
        <h1>{title || '\u00a0'}</h1>
        <p class="muted">
          Make the first administrator, with the one-time token that was printed on the host's terminal.
        </p>
        {given ? (
          <p key="taken" class="notice">
            The token was taken from the address.
          </p>
        ) : (
          <label key="token">
            Token
            <input
              name="token"
              class="token"
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              required
              autofocus
            />
          </label>
        )}
        <label key="user name">
          User name
          <input
            name="username"
            autocomplete="username"
            autocapitalize="none"
            spellcheck={false}
            defaultValue="admin"
            required
          />
        </label>
        <label key="password">
          Password
          <input
            name="password"
            type="password"
            autocomplete="new-password"
            minlength={12}
            maxlength={1024}
            aria-describedby="password-rules"
            required
            autofocus={given !== ''}
          />
        </label>
        <p class="muted rules" id="password-rules">
          At least 12 characters. A few words of your own are better than one with digits.
        </p>
        <label key="password again">
          Password again
          <input name="again" type="password" autocomplete="new-password" required />
        </label>
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        <button class="primary" type="submit" disabled={busy}>
          {busy ? 'Claiming…' : 'Claim this platform'}
        </button>
        <a
          href="/"
          onClick={(event) => {
            event.preventDefault();
            onLogin();
          }}
        >
          Back to the login
        </a>
      </form>
    </main>
  );
}

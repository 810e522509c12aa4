import { useState } from 'preact/hooks';
import { session } from './api.ts';
import { Login } from './login.tsx';
import { Workspace } from './workspace.tsx';

export function App() {
  const [loggedIn, setLoggedIn] = useState(session.token !== null);
  const [notice, setNotice] = useState('');

  const leave = (reason: string) => {
    session.clear();
    setNotice(reason);
    setLoggedIn(false);
  };
  return loggedIn ? (
    <Workspace onLeave={leave} />
  ) : (
    <Login notice={notice} onLoggedIn={() => setLoggedIn(true)} />
  );
}

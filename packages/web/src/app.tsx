import { useEffect, useState } from 'preact/hooks';
import { type Site, session, site } from './api.ts';
import { CLAIM_PATH, Claim } from './claim.tsx';
import { Login } from './login.tsx';
import { Workspace } from './workspace.tsx';

/** What is shown where the server does not say. */
const UNKNOWN_SITE: Site = { title: 'Knowledge graph', maxDocumentBytes: Number.POSITIVE_INFINITY };

export function App() {
  const [loggedIn, setLoggedIn] = useState(session.token !== null);
  const [notice, setNotice] = useState('');
  const [claiming, setClaiming] = useState(location.pathname === CLAIM_PATH);
  const { title, maxDocumentBytes } = useSite(loggedIn);

  const leave = (reason: string) => {
    session.clear();
    setNotice(reason);
    setLoggedIn(false);
  };
  const leaveClaim = () => {
    history.replaceState(null, '', '/');
    setClaiming(false);
  };
  const enter = () => {
    if (claiming) leaveClaim();
    setLoggedIn(true);
  };
  if (claiming) return <Claim title={title} onClaimed={enter} onLogin={leaveClaim} />;
  return loggedIn ? (
    <Workspace title={title} maxDocumentBytes={maxDocumentBytes} onLeave={leave} />
  ) : (
    <Login title={title} notice={notice} onLoggedIn={enter} />
  );
}

/** Asked again after each login; until the first answer the title is empty. */
function useSite(loggedIn: boolean): Site {
  const [known, setKnown] = useState<Site>({ ...UNKNOWN_SITE, title: '' });
  useEffect(() => {
    // Nothing fails for want of a title: what is wrong with the server is told by what the user does next.
    site().then(setKnown, () => setKnown((before) => (before.title ? before : UNKNOWN_SITE)));
  }, [loggedIn]);
  useEffect(() => {
    if (known.title) document.title = known.title;
  }, [known.title]);
  return known;
}

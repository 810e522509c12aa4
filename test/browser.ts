import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const CHROMIUM = process.env.KG_CHROMIUM ?? '/usr/bin/chromium';

/** Whether there is a Chromium to test with; says loudly when there is none. @throws Error if KG_REQUIRE_BROWSER=1 demands one */
export function browserIsThere(): boolean {
  if (existsSync(CHROMIUM)) return true;
  if (process.env.KG_REQUIRE_BROWSER === '1') {
    throw new Error(`KG_REQUIRE_BROWSER=1, and there is no ${CHROMIUM}`);
  }
  console.warn(
    `** No ${CHROMIUM}: the web app was NOT tested in a browser. KG_REQUIRE_BROWSER=1 demands it. **`,
  );
  return false;
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // Without the background flags a machine without a way out sees many refused connections.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** What the page's globals are to `settled`; this project's types are node's. */
interface PageScope {
  document: { querySelectorAll(selector: string): Iterable<{ getAttribute(name: string): string | null }> };
  kgBefore?: string;
}

/** Runs in the page, for `waitForFunction`: the drawing has not moved since the call before. */
export function settled(): boolean {
  const scope = globalThis as unknown as PageScope;
  const now = [...scope.document.querySelectorAll('[data-testid=graph] [transform]')]
    .map((node) => node.getAttribute('transform'))
    .join();
  const same = scope.kgBefore === now;
  scope.kgBefore = now;
  return same;
}

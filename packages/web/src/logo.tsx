export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path class="logo-lines" d="M9 10 22 8M9 10l8 14M22 8l-5 16" />
      <circle cx="9" cy="10" r="5" />
      <circle cx="23" cy="8" r="4" />
      <circle cx="17" cy="24" r="5" />
    </svg>
  );
}

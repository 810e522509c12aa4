import type { Graph, Relation } from './api.ts';

interface Props {
  graph: Graph;
  name: string;
  onSelect(name: string | null): void;
}

/** What is known about the selected concept. */
export function ConceptPanel({ graph, name, onSelect }: Props) {
  const concept = graph.nodes.find((node) => node.name === name);
  if (!concept) return null;
  const out = graph.edges.filter((edge) => edge.from === name);
  const back = graph.edges.filter((edge) => edge.to === name && edge.from !== name);

  const other = (target: string) => (
    <button type="button" class="link" onClick={() => onSelect(target)}>
      {target}
    </button>
  );
  const item = (edge: Relation) => (
    <li key={edge.id}>
      {edge.from === name ? <span class="self">{name}</span> : other(edge.from)} <em>{edge.type}</em>{' '}
      {edge.to === name ? <span class="self">{name}</span> : other(edge.to)}
    </li>
  );
  return (
    <section class="card selected-concept" data-testid="concept-panel" aria-live="polite">
      <header>
        <h2>{name}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={() => onSelect(null)}>
          ×
        </button>
      </header>
      {concept.description && <p>{concept.description}</p>}
      {out.length + back.length > 0 ? (
        <ul class="relations">{[...out, ...back].map(item)}</ul>
      ) : (
        <p class="muted">No relations yet.</p>
      )}
    </section>
  );
}

import { useEffect, useRef } from 'preact/hooks';
import type { Graph } from './api.ts';
import { createDrawing, type Drawing } from './drawing.ts';

interface Props {
  graph: Graph | null;
  selected: string | null;
  onSelect(name: string | null): void;
  onAddText(): void;
}

export function GraphView({ graph, selected, onSelect, onAddText }: Props) {
  const element = useRef<SVGSVGElement>(null);
  const drawing = useRef<Drawing>(null);
  const empty = graph !== null && graph.nodes.length === 0;

  useEffect(() => {
    if (!element.current) return;
    const created = createDrawing(element.current, onSelect);
    drawing.current = created;
    return () => created.destroy();
  }, [onSelect]);
  useEffect(() => {
    if (graph) drawing.current?.update(graph);
  }, [graph]);
  useEffect(() => {
    drawing.current?.select(selected);
  }, [selected, graph]);

  const find = (event: Event) => {
    const input = event.currentTarget as HTMLInputElement;
    const wanted = input.value.trim().toLowerCase();
    const names = graph?.nodes.map(({ name }) => name) ?? [];
    const isChange = event.type === 'change';
    const name =
      names.find((candidate) => candidate.toLowerCase() === wanted) ??
      (isChange && wanted ? names.find((candidate) => candidate.toLowerCase().includes(wanted)) : undefined);
    if (!name) return;
    onSelect(name);
    drawing.current?.center(name);
  };

  return (
    <section class="graph" aria-label="Knowledge graph">
      {/* biome-ignore lint/a11y/useSemanticElements: a group of drawn things, not of form fields */}
      <svg
        ref={element}
        role="group"
        data-testid="graph"
        aria-label={
          graph
            ? `Graph of ${count(graph.nodes.length, 'concept')} and ${count(graph.edges.length, 'relation')}. Arrow keys move between concepts, Enter selects.`
            : 'Graph, loading'
        }
      />
      {!empty && (
        <div class="toolbar">
          <input
            type="search"
            class="find"
            list="concept-names"
            placeholder="Find a concept"
            aria-label="Find a concept"
            onInput={find}
            onChange={find}
          />
          <div class="zoom">
            <button type="button" aria-label="Zoom out" onClick={() => drawing.current?.zoomBy(1 / 1.4)}>
              −
            </button>
            <button type="button" aria-label="Zoom in" onClick={() => drawing.current?.zoomBy(1.4)}>
              +
            </button>
            <button type="button" onClick={() => drawing.current?.fit()}>
              Fit
            </button>
          </div>
        </div>
      )}
      {graph?.truncated && (
        <p class="hint">Showing the newest {count(graph.nodes.length, 'concept')}; there are more.</p>
      )}
      {empty && (
        <div class="empty">
          <h2>Nothing here yet</h2>
          <p>Add a text, and the concepts in it and how they relate appear here.</p>
          <button type="button" class="primary" onClick={onAddText}>
            Add text
          </button>
        </div>
      )}
    </section>
  );
}

/** `1 concept`, `2 concepts`. */
export function count(amount: number, noun: string): string {
  return `${amount.toLocaleString('en')} ${noun}${amount === 1 ? '' : 's'}`;
}

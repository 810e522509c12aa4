import { type D3DragEvent, drag } from 'd3-drag';
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from 'd3-force';
import { select } from 'd3-selection';
import 'd3-transition';
import { type D3ZoomEvent, zoom, zoomIdentity } from 'd3-zoom';
import type { Concept, Graph, Relation } from './api.ts';
import { bends, type Direction, edgePath, fit, nearest, radius, shorten } from './geometry.ts';

interface Node extends SimulationNodeDatum, Concept {
  x: number;
  y: number;
  r: number;
  degree: number;
}

interface Link {
  id: string;
  relation: Relation;
  source: Node;
  target: Node;
  bend: number;
}

/** A graph that is drawn and moves. */
export interface Drawing {
  update(graph: Graph): void;
  /** Marks a concept and its neighbours; null marks nothing. */
  select(name: string | null): void;
  /** Brings a concept to the middle. */
  center(name: string): void;
  fit(): void;
  zoomBy(factor: number): void;
  destroy(): void;
}

/** Relation types are written on all edges up to this many, beyond only on those of the marked concept. */
const MAX_LABELS = 60;
/** Height at the top that the search field and the zoom buttons cover, in pixels. */
const TOOLBAR = 40;

/** Draws into an SVG element; d3 owns what is inside it. */
export function createDrawing(element: SVGSVGElement, onSelect: (name: string | null) => void): Drawing {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const svg = select(element);
  const view = svg.append('g');
  const edgeLayer = view.append('g');
  const nodeLayer = view.append('g');
  svg
    .append('defs')
    .selectAll('marker')
    .data(['arrow', 'arrow-near'])
    .join('marker')
    .attr('id', (id) => id)
    .attr('class', (id) => id)
    .attr('viewBox', '0 0 8 8')
    .attr('refX', 7)
    .attr('refY', 4)
    .attr('markerUnits', 'userSpaceOnUse')
    .attr('markerWidth', 10)
    .attr('markerHeight', 10)
    .attr('orient', 'auto')
    .append('path')
    .attr('d', 'M0,0.8L8,4L0,7.2Z');

  let nodes: Node[] = [];
  let links: Link[] = [];
  let selected: string | null = null;
  let hovered: string | null = null;
  let focusable: string | null = null;
  // Until the user moves the picture, it is kept in view.
  let untouched = true;

  const simulation = forceSimulation<Node>([])
    .velocityDecay(0.45)
    .force(
      'charge',
      forceManyBody<Node>()
        .strength((node) => -420 - node.degree * 50)
        .distanceMax(900),
    )
    .force(
      'collide',
      forceCollide<Node>((node) => node.r + 24 + Math.min(shorten(node.name).length, 20) * 1.6),
    )
    .force('x', forceX<Node>(0).strength(0.05))
    .force('y', forceY<Node>(0).strength(0.07))
    .on('tick', draw)
    .stop();

  const zooming = zoom<SVGSVGElement, unknown>()
    .scaleExtent([0.05, 4])
    .on('zoom', (event: D3ZoomEvent<SVGSVGElement, unknown>) => {
      if (event.sourceEvent) untouched = false;
      const { k } = event.transform;
      view.attr('transform', event.transform.toString());
      // Seen from afar, names stay readable; what the relations are is left to a closer look.
      view.style('--label-scale', Math.min(2, Math.max(1, 0.85 / k)));
      svg.classed('far', k < 0.55);
    });
  svg.call(zooming).on('dblclick.zoom', null);
  svg.on('click', (event: MouseEvent) => {
    if (event.target === element) onSelect(null);
  });

  const resize = new ResizeObserver(() => {
    if (untouched) show(false);
  });
  resize.observe(element);

  const dragging = drag<SVGGElement, Node>()
    .clickDistance(4)
    .on('start', (event: D3DragEvent<SVGGElement, Node, Node>) => {
      event.subject.fx = event.subject.x;
      event.subject.fy = event.subject.y;
    })
    .on('drag', (event: D3DragEvent<SVGGElement, Node, Node>) => {
      untouched = false;
      event.subject.fx = event.x;
      event.subject.fy = event.y;
      if (calm) {
        event.subject.x = event.x;
        event.subject.y = event.y;
        draw();
      } else simulation.alphaTarget(0.25).restart();
    })
    .on('end', (event: D3DragEvent<SVGGElement, Node, Node>) => {
      simulation.alphaTarget(0);
      event.subject.fx = null;
      event.subject.fy = null;
    });

  function show(animated: boolean): void {
    const { clientWidth: width, clientHeight: height } = element;
    if (!width || !height || nodes.length === 0) return;
    const margin = Math.min(56, width / 9);
    const { k, x, y } = fit(nodes, { width, height: height - TOOLBAR }, { margin });
    move(zoomIdentity.translate(x, y + TOOLBAR).scale(k), animated);
  }

  function move(transform: typeof zoomIdentity, animated: boolean): void {
    if (animated && !calm) svg.transition().duration(350).call(zooming.transform, transform);
    else svg.call(zooming.transform, transform);
  }

  function draw(): void {
    nodeLayer
      .selectAll<SVGGElement, Node>('g.node')
      .attr('transform', (node) => `translate(${node.x.toFixed(1)},${node.y.toFixed(1)})`);
    edgeLayer.selectAll<SVGGElement, Link>('g.edge').each(function (link) {
      const { path, label } = edgePath(link.source, link.target, link.bend);
      const group = select(this);
      group.select('path').attr('d', path);
      group.select('text').attr('x', label.x).attr('y', label.y);
    });
    if (untouched) show(false);
  }

  function mark(): void {
    const center = hovered ?? selected;
    const near = new Set<string>(center ? [center] : []);
    for (const { relation } of links) {
      if (relation.from === center) near.add(relation.to);
      if (relation.to === center) near.add(relation.from);
    }
    nodeLayer
      .selectAll<SVGGElement, Node>('g.node')
      .classed('selected', (node) => node.name === selected)
      .classed('faint', (node) => center !== null && !near.has(node.name))
      .attr('aria-pressed', (node) => String(node.name === selected))
      .attr('tabindex', (node) => (node.name === focusable ? 0 : -1));
    const isNear = ({ relation }: Link) => relation.from === center || relation.to === center;
    edgeLayer
      .selectAll<SVGGElement, Link>('g.edge')
      .classed('near', isNear)
      .classed('faint', (link) => center !== null && !isNear(link))
      .select('path')
      .attr('marker-end', (link) => (isNear(link) ? 'url(#arrow-near)' : 'url(#arrow)'));
  }

  function onKey(event: KeyboardEvent, node: Node): void {
    if (event.key === 'Enter' || event.key === ' ') onSelect(node.name);
    else if (event.key === 'Escape') onSelect(null);
    else if (event.key.startsWith('Arrow')) {
      const next = nearest(node, nodes, event.key as Direction);
      if (next) focus(next.name);
    } else return;
    event.preventDefault();
  }

  function focus(name: string): void {
    focusable = name;
    mark();
    nodeLayer
      .selectAll<SVGGElement, Node>('g.node')
      .filter((node) => node.name === name)
      .node()
      ?.focus();
  }

  return {
    update(graph) {
      const before = new Map(nodes.map((node) => [node.name, node]));
      const degrees = new Map<string, number>();
      for (const { from, to } of graph.edges) {
        degrees.set(from, (degrees.get(from) ?? 0) + 1);
        if (to !== from) degrees.set(to, (degrees.get(to) ?? 0) + 1);
      }
      nodes = graph.nodes.map((concept, index) => {
        const degree = degrees.get(concept.name) ?? 0;
        const old = before.get(concept.name);
        const facts = { ...concept, degree, r: radius(degree) };
        if (old) return Object.assign(old, facts);
        // A new concept starts beside one it belongs to, otherwise on a spiral (the golden angle), so that nothing lies on top of another.
        const edge = graph.edges.find(({ from, to }) => from === concept.name || to === concept.name);
        const friend = edge && before.get(edge.from === concept.name ? edge.to : edge.from);
        const angle = index * 2.39996;
        const distance = friend ? 70 : 28 * Math.sqrt(index + 0.5);
        return {
          ...facts,
          x: (friend?.x ?? 0) + distance * Math.cos(angle),
          y: (friend?.y ?? 0) + distance * Math.sin(angle),
        };
      });
      const byName = new Map(nodes.map((node) => [node.name, node]));
      const bendOf = bends(graph.edges);
      links = graph.edges.flatMap((relation) => {
        const [source, target] = [byName.get(relation.from), byName.get(relation.to)];
        return source && target
          ? [{ id: relation.id, relation, source, target, bend: bendOf.get(relation.id) ?? 0 }]
          : [];
      });
      if (focusable === null || !byName.has(focusable)) focusable = nodes[0]?.name ?? null;

      edgeLayer
        .selectAll<SVGGElement, Link>('g.edge')
        .data(links, (link) => link.id)
        .join((enter) => {
          const group = enter
            .append('g')
            .attr('class', 'edge')
            .attr('data-testid', 'edge')
            .attr('role', 'img')
            .attr('aria-label', ({ relation }) => `${relation.from} ${relation.type} ${relation.to}`);
          group.append('path');
          group.append('text').text(({ relation }) => shorten(relation.type));
          return group;
        });
      svg.classed('crowded', links.length > MAX_LABELS);

      nodeLayer
        .selectAll<SVGGElement, Node>('g.node')
        .data(nodes, (node) => node.id)
        .join((enter) => {
          const group = enter
            .append('g')
            .attr('class', 'node')
            .attr('data-testid', 'node')
            .attr('data-name', (node) => node.name)
            .attr('role', 'button')
            .on('click', (_event: MouseEvent, node) => onSelect(node.name))
            .on('mouseenter', (_event: MouseEvent, node) => {
              hovered = node.name;
              mark();
            })
            .on('mouseleave', () => {
              hovered = null;
              mark();
            })
            .on('keydown', onKey)
            .on('focus', (_event: FocusEvent, node) => {
              focusable = node.name;
              mark();
            })
            .call(dragging);
          group.append('title').text((node) => node.name);
          group.append('circle');
          group.append('text').text((node) => shorten(node.name));
          return group;
        })
        .attr(
          'aria-label',
          ({ name, degree }) => `${name}, ${degree} ${degree === 1 ? 'relation' : 'relations'}`,
        )
        .call((group) => {
          group.select('circle').attr('r', (node) => node.r);
          group.select('text').attr('y', (node) => node.r + 15);
        });

      simulation.nodes(nodes).force(
        'link',
        forceLink<Node, Link>(links)
          .id((node) => node.id)
          .distance(({ source, target, relation }) => {
            return source.r + target.r + Math.max(80, 44 + shorten(relation.type).length * 6);
          }),
      );
      simulation.alpha(before.size ? 0.6 : 1);
      if (calm) {
        simulation.stop().tick(300);
        draw();
      } else {
        // Most of the way at once: the picture appears nearly in order.
        if (before.size === 0) simulation.tick(60);
        simulation.restart();
      }
      mark();
    },

    select(name) {
      selected = name;
      if (name !== null) focusable = name;
      mark();
    },

    center(name) {
      const node = nodes.find((candidate) => candidate.name === name);
      if (!node) return;
      untouched = false;
      const { clientWidth: width, clientHeight: height } = element;
      move(
        zoomIdentity
          .translate(width / 2, height / 2)
          .scale(1.1)
          .translate(-node.x, -node.y),
        true,
      );
    },

    fit() {
      show(true);
      untouched = true;
    },

    zoomBy(factor) {
      untouched = false;
      if (calm) svg.call(zooming.scaleBy, factor);
      else svg.transition().duration(200).call(zooming.scaleBy, factor);
    },

    destroy() {
      simulation.stop();
      resize.disconnect();
      svg.on('.zoom', null).on('click', null).selectAll('*').remove();
    },
  };
}

/** Colours of a terminal with a dark background: https://en.wikipedia.org/wiki/ANSI_escape_code#Colors */
const COLOURS: Record<number, string> = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 36: '#79c0ff' };
const [FOREGROUND, BACKGROUND, DIM] = ['#e6edf3', '#0d1117', '#8b949e'];
/** Select graphic rendition: all that is printed besides text. */
const STYLE_CODE = new RegExp(`${String.fromCharCode(27)}\\[([\\d;]*)m`);
const [CELL, LINE, PADDING, FONT_SIZE] = [8, 19, 16, 13];

interface Run {
  text: string;
  /** Where it begins, from 0. */
  column: number;
  colour: string;
  bold: boolean;
}

/** A command line (`$ …`) and what it printed on a terminal, colours included, as an SVG with the command as its title; its text can be read again with `textOfPicture()`. */
export function terminalPicture(output: string): string {
  const lines = output.replaceAll('\r', '').replace(/\n+$/, '').split('\n').map(runsOf);
  const columns = Math.max(...lines.flat().map(({ column, text }) => column + text.length));
  const [width, height] = [columns * CELL + 2 * PADDING, lines.length * LINE + 2 * PADDING - 4];
  const rows = lines.map((runs, row) => {
    const spans = runs.map(({ text, column, colour, bold }) => {
      const weight = bold ? ' font-weight="bold"' : '';
      // The length holds every font to the grid.
      return `<tspan x="${PADDING + column * CELL}" textLength="${text.length * CELL}" fill="${colour}"${weight}>${escapeText(text)}</tspan>`;
    });
    return `<text y="${PADDING + row * LINE + FONT_SIZE - 1}">${spans.join('')}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT_SIZE}">
<title>${escapeText(output.slice(2, output.indexOf('\n')))}</title>
<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>
${rows.join('\n')}
</svg>
`;
}

/** The lines of a picture, as they were printed, but for spaces at their ends. */
export function textOfPicture(svg: string): string {
  return [...svg.matchAll(/<text [^>]*>(.*?)<\/text>/g)]
    .map(([, row = '']) => {
      let line = '';
      for (const [, x, words = ''] of row.matchAll(/<tspan x="(\d+)"[^>]*>(.*?)<\/tspan>/g))
        line = line.padEnd((Number(x) - PADDING) / CELL) + unescapeText(words);
      return line;
    })
    .join('\n');
}

function unescapeText(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

function runsOf(line: string): Run[] {
  const runs: Run[] = [];
  let [column, colour, bold] = [0, FOREGROUND, false];
  // The text and the codes between it, one after the other.
  for (const [index, part] of line.split(STYLE_CODE).entries()) {
    if (index % 2 === 0) {
      // SVG keeps one space of several: what is behind them is a run of its own.
      for (const { 0: text, index: offset } of part.matchAll(/\S+(?: \S+)*/g))
        runs.push({ text, column: column + offset, colour, bold });
      column += part.length;
      continue;
    }
    for (const code of part.split(';').map(Number)) {
      if (code === 0 || code === 39) colour = FOREGROUND;
      if (code === 0 || code === 22) bold = false;
      if (code === 22 && colour === DIM) colour = FOREGROUND;
      if (code === 1) bold = true;
      if (code === 2) colour = DIM;
      colour = COLOURS[code] ?? colour;
    }
  }
  return runs;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

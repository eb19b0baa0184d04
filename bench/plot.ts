/**
 * A picture of the benchmarks' tables: a chart for each column that holds times, with its scenario
 * as title, an axis in ms, ours in one colour and each peer in its own.
 */

interface Chart {
  title: string;
  bars: { label: string; ms: number }[];
}

const WIDTH = 900;
const LABELS = 320;
const ROW = 20;
const SCALE = WIDTH - LABELS - 100;
const OURS = "#2458a6";
/** Of the peers, by what their names begin with. */
const PEERS: readonly (readonly [RegExp, string])[] = [
  [/^Go's|^ip netns|^shell script/, "#d9822b"],
  [/^netavark/, "#8a6fb0"],
  [/^an empty|^deleting|^the same by ip/, "#9aa0a6"],
];

/** An SVG with the charts one below the other. */
export function plot(sections: readonly { name: string; text: string }[]): string {
  const parts: string[] = [];
  let y = 10;
  for (const chart of sections.flatMap(({ name, text }) => chartsOf(name, text))) {
    y += 30;
    parts.push(label(10, y, chart.title, ` font-weight="bold" font-size="14"`));
    const longest = Math.max(...chart.bars.map(({ ms }) => ms));
    const step = tick(longest);
    const bottom = y + 10 + ROW * chart.bars.length;
    for (let value = 0; value <= longest; value += step) {
      const x = LABELS + SCALE * value / longest;
      const at = `x1="${x.toFixed(1)}" x2="${x.toFixed(1)}"`;
      parts.push(
        `<line ${at} y1="${y + 8}" y2="${bottom}" stroke="#ddd"/>`,
        label(x, bottom + 14, `${Number(value.toFixed(3))}`, ` text-anchor="middle" fill="#555"`),
      );
    }
    parts.push(label(WIDTH - 60, bottom + 14, "ms", ` fill="#555"`));
    for (const { label: name, ms } of chart.bars) {
      y += ROW;
      const length = Math.max(1, SCALE * ms / longest);
      parts.push(
        label(LABELS - 10, y, name, ` text-anchor="end"`),
        `<rect x="${LABELS}" y="${y - 11}" width="${length.toFixed(1)}" height="14" fill="${
          colour(name)
        }"/>`,
        label(LABELS + length + 6, y, `${ms}`),
      );
    }
    y = bottom + 24;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 16}" ` +
    `font-family="sans-serif" font-size="12">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}

function colour(name: string): string {
  return PEERS.find(([pattern]) => pattern.test(name))?.[1] ?? OURS;
}

/** 1, 2 or 5 times a power of ten, so that an axis has some six marks. */
function tick(longest: number): number {
  const power = 10 ** Math.floor(Math.log10(longest / 5));
  return power * [1, 2, 5, 10].find((times) => times * power * 7 >= longest)!;
}

/** The columns with times of each table below a heading, if at least two rows have one. */
function chartsOf(section: string, markdown: string): Chart[] {
  const charts: Chart[] = [];
  let title = section.replaceAll("_", " ");
  let head: string[] | undefined;
  const open = new Map<string, Chart>();
  for (const line of markdown.split("\n")) {
    const heading = /^### (.*)/.exec(line)?.[1];
    if (heading) title = heading;
    if (!line.startsWith("| ")) {
      head = undefined;
      open.clear();
      continue;
    }
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    if (!head) head = cells;
    else {
      cells.forEach((cell, i) => {
        const ms = i > 0 && /^([\d.]+) ms\b/.exec(cell)?.[1];
        if (!ms) return;
        let chart = open.get(head![i]!);
        if (!chart) charts.push(chart = { title: `${title}: ${head![i]}`, bars: [] });
        open.set(head![i]!, chart);
        chart.bars.push({ label: cells[0]!, ms: Number(ms) });
      });
    }
  }
  return charts.filter(({ bars }) => bars.length > 1);
}

function label(x: number, y: number, text: string, attributes = ""): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y}"${attributes}>${escaped}</text>`;
}

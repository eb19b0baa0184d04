/** A bar for every row of the benchmarks' tables that holds a time. */

interface Bar {
  label: string;
  ms: number;
}

const WIDTH = 900;
const LABELS = 430;
const ROW = 18;

/** An SVG with a group of bars for each section, to a scale of its own. */
export function plot(sections: readonly { name: string; text: string }[]): string {
  const parts: string[] = [];
  let y = 10;
  for (const { name, text } of sections) {
    const bars = barsOf(text);
    if (bars.length === 0) continue;
    y += 24;
    parts.push(label(10, y, name.replaceAll("_", " "), ` font-weight="bold"`));
    const longest = Math.max(...bars.map((bar) => bar.ms));
    for (const { label: what, ms } of bars) {
      y += ROW;
      const length = Math.max(1, (WIDTH - LABELS - 90) * ms / longest);
      parts.push(
        label(LABELS - 10, y, what, ` text-anchor="end"`),
        `<rect x="${LABELS}" y="${y - 10}" width="${
          length.toFixed(1)
        }" height="12" fill="#3b6fb6"/>`,
        label(LABELS + length + 6, y, `${ms} ms`),
      );
    }
    y += 8;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 16}" ` +
    `font-family="sans-serif" font-size="12">\n` +
    `<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}

/** The first time of each row, under the row's other words and its table's heading. */
function barsOf(markdown: string): Bar[] {
  return markdown.split("\n").filter((line) => line.startsWith("| ")).flatMap((line) => {
    const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
    const time = cells.findIndex((cell) => /^[\d.]+ (ms\b|\(least)/.test(cell));
    if (time < 1) return [];
    return [{ label: cells.slice(0, time).join(", "), ms: parseFloat(cells[time]!) }];
  });
}

function label(x: number, y: number, text: string, attributes = ""): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y}"${attributes}>${escaped}</text>`;
}

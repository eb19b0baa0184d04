/** One HTML file that loads nothing from elsewhere. */
import { plain } from "../../base/printable.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --soft: #f3f4f6; --line: #c9ced6; --dim: #59616c; --good: #13703a; --bad: #b3261e; --none: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14171b; --soft: #1e2329; --line: #3a424c; --dim: #9aa4b0; --good: #5fd38d; --bad: #ff8a80; --none: #9aa4b0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; } p { margin: .3rem 0; } .dim { color: var(--dim); }
code, .id { font-family: ui-monospace, monospace; font-size: .88em; }
.good { color: var(--good); } .bad { color: var(--bad); } .none { color: var(--none); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .55rem; border: 1px solid var(--line); text-align: left; vertical-align: top; } th { background: var(--soft); font-weight: 600; overflow-wrap: normal; white-space: nowrap; }
th.mark, td.mark { text-align: center; } th.id, td.id { min-width: 11rem; max-width: 22rem; } td.cause { min-width: 16rem; }
pre { margin: .6rem 0; padding: .5rem .8rem; background: var(--soft); font-size: .85rem; white-space: pre-wrap; } pre.finding { border-left: 3px solid var(--bad); }
`;

export function page(title: string, body: readonly string[]): string {
  return [
    "<!doctype html>",
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${html(title)}</title><style>${STYLE}</style></head><body>`,
    ...body,
    "</body></html>",
  ].join("\n");
}

/** Text as HTML has it. */
export function html(text: string): string {
  return plain(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;").replaceAll("'", "&#39;");
}

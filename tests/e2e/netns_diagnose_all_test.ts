/** `diagnose --all`: a matrix, JSON, and one HTML file that loads nothing and reads in light and dark. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists } from "../../lib/base/exists.ts";
import { BRIDGE, Clinic } from "../harness/clinic.ts";
import { bridgeNetwork } from "../harness/stock_agent.ts";

const IDS = ["2f6d4c1e-9b0a-4f63-8a52-7d1f0f3f8a11", "b81d7c52-41e5-49dd-a2f0-3f1c8f2f6a90"];

async function ward(): Promise<Clinic> {
  const clinic = await Clinic.open();
  for (const container of [clinic.patient, clinic.neighbour]) {
    await container.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  }
  for (const [i, id] of IDS.entries()) {
    await clinic.admit(id, [bridgeNetwork(`net-${i}`, `10.${21 + i}.0.0/16`)]);
  }
  return clinic;
}

Deno.test("all containers are a matrix, and the exit code tells whether one is ill", async () => {
  await using clinic = await ward();
  const healthy = await clinic.netns("diagnose", "--all");
  assertEquals([healthy.code, healthy.stderr], [0, ""], healthy.stdout);
  assertMatch(healthy.stdout, /^ID +GATEWAY +NEIGHBOUR +OUTSIDE +DNS +AGENT +PORT +STATE +CAUSE\n/);
  assertMatch(healthy.stdout, new RegExp(`${IDS[0]} +✓ .*healthy`));
  await clinic.patient.ok(["ip", "route", "del", "default"]);
  const ill = await clinic.netns("diagnose", "--all", "--json");
  assertEquals(ill.code, 1);
  const { rows } = JSON.parse(ill.stdout);
  const of = (id: string) => rows.find((row: { id: string }) => row.id === id).diagnosis;
  assertEquals(of("patient").findings[0].code, "no_default_route");
  assert(of(IDS[0]!).healthy && of(IDS[1]!).healthy);
  for (const wrong of [["web"], ["--from=patient"], ["--fix"], ["--format=pdf"]]) {
    assertEquals((await clinic.netns("diagnose", "--all", ...wrong)).code, 2, wrong.join());
  }
});

/** The report of a ward whose bridge is down. */
async function reportOfIll(): Promise<string> {
  await using clinic = await ward();
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "down"]);
  const { code, stdout, stderr } = await clinic.netns("diagnose", "--all", "--format=html");
  assertEquals([code, stderr], [1, ""]);
  return stdout;
}

Deno.test("the report is one HTML file that loads nothing", async () => {
  const html = await reportOfIll();
  assert(!/https?:|<script|<link|<img|src=|@import|url\(/i.test(html), "it loads something");
  for (const text of [...IDS, `the bridge ${BRIDGE} is down`, "prefers-color-scheme: dark"]) {
    assertStringIncludes(html, text);
  }
});

const BROWSER = "/usr/bin/chromium";
const hasBrowser = exists(BROWSER);

Deno.test({
  name: `no name of the report spills in a browser${hasBrowser ? "" : ` (needs ${BROWSER})`}`,
  ignore: !hasBrowser,
  fn: lookAtReport,
});

async function lookAtReport(): Promise<void> {
  const html = await reportOfIll();
  const dir = Deno.makeTempDirSync();
  try {
    // The copy measures itself, which the report's own policy would not let it do.
    const measured = html.replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, "").replace(
      "</body>",
      `<script>const d = document.documentElement; const s = getComputedStyle(document.body);
      const wide = [...document.querySelectorAll(".node, td.id")].filter((one) => one.scrollWidth > one.clientWidth + 1);
      const broken = [...document.querySelectorAll("th")].filter((one) => one.offsetHeight > 48);
      const narrow = [...document.querySelectorAll("td.cause")].filter((one) => one.offsetWidth < 200);
      d.dataset.measured = [d.scrollWidth <= d.clientWidth, wide.length + broken.length + narrow.length, s.color, s.backgroundColor].join("|");</script></body>`,
    );
    Deno.writeTextFileSync(`${dir}/report.html`, measured);
    const seen: string[] = [];
    for (const width of [1280, 480]) {
      for (const scheme of ["light", "dark"]) {
        const { stdout } = await new Deno.Command(BROWSER, {
          args: [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            `--user-data-dir=${dir}/profile`,
            `--window-size=${width},900`,
            // 0 is dark, 1 is light.
            `--blink-settings=preferredColorScheme=${scheme === "dark" ? 0 : 1}`,
            "--dump-dom",
            `file://${dir}/report.html`,
          ],
          stdin: "null",
          stderr: "null",
          env: { HOME: dir },
        }).output();
        const dom = new TextDecoder().decode(stdout);
        const [fits, spilling, ink, paper] = /data-measured="([^"]*)"/.exec(dom)?.[1]?.split("|") ??
          [];
        assertEquals([fits, spilling], ["true", "0"], `${width} ${scheme}`);
        seen.push(`${scheme} ${ink} ${paper}`);
      }
    }
    assertEquals(new Set(seen).size, 2, seen.join("; "));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** The licences of what is in the binary, for THIRD_PARTY_NOTICES.txt. */
import type { Package } from "./packages.ts";

const DENO_LICENSE = `MIT License

Copyright 2018-2026 the Deno authors

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

export function notices(deno: string, packages: readonly Package[]): string {
  const sections = [
    {
      title: `Deno ${deno} (MIT)`,
      text: `${DENO_LICENSE}

The runtime contains V8 (BSD 3-Clause) and other libraries, whose licences are with its source:
https://github.com/denoland/deno/tree/v${deno}`,
    },
    ...packages.map(({ name, version, license, licenseText }) => ({
      title: `${name} ${version} (${license})`,
      text: licenseText,
    })),
  ];
  return [
    "mesos-cni is under the Apache License 2.0. Its binary contains the following software.\n",
    ...sections.map(({ title, text }) => `${"=".repeat(78)}\n${title}\n\n${text}\n`),
  ].join("\n");
}

#!/usr/bin/env bash
# package.sh [MESOS-CNI]: makes dist/mesos-cni.vsix, with the schema of that program (mesos-cni of PATH, unless
# one is named). npm fetches the client's library, as package-lock.json has it, and Visual Studio Code's
# own packager.
set -euo pipefail
program=$(command -v "${1:-mesos-cni}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/{package.json,package-lock.json,.npmrc,.vscodeignore,extension.js,README.md} "$here/../../LICENSE" "$work"
"$program" lint --schema >"$work/cni.schema.json"
mkdir -p "$here/../../dist"
cd "$work"
npm ci --silent --ignore-scripts
npx --yes @vscode/vsce@3.9.2 package --allow-missing-repository --no-rewrite-relative-links --out "$here/../../dist/mesos-cni.vsix"

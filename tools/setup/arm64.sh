# Another CPU by emulation: an arm64 Deno under QEMU, with the libraries of Debian's arm64. Sourced by
# ./dev.

# The oldest that npm has for arm64 and that runs our code; only tests are run by it.
readonly DENO_ARM64_VERSION=2.7.7
readonly DENO_ARM64_SHA512=433db4e8baff504f4e90ab061e259d494761e8639152ac2122e507e79e2c4c8f1fbf6f93961f88fb0ffba59d62d9749eeb99e45493d5c469498f158af8e64d26

# setup_arm64: a Deno to call, as .tools/arm64/deno.
setup_arm64() {
  local dir="$TOOLS/arm64" work
  setup_packages qemu-user-static:/usr/bin/qemu-aarch64-static
  [ ! -x "$dir/deno" ] || return 0
  say "fetching Deno $DENO_ARM64_VERSION for arm64 from npm (48 MB), and Debian's C library …"
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  fetch_npm "@deno/linux-arm64-glibc@$DENO_ARM64_VERSION" "$DENO_ARM64_SHA512" deno "$work/deno.bin"
  chmod 755 "$work/deno.bin"
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
  "$DENO" cache --quiet "${NETWORK_FLAGS[@]}" tools/test/main.ts "${FILES[@]}"
  mkdir -p "$TOOLS/arm64/deno_dir"
  cp -ru "$DENO_DIR/npm" "$TOOLS/arm64/deno_dir/"
  # Emulation is twenty times slower, and QEMU passes some calls by: tests ask for this variable.
  export MESOS_CNI_TEST_EMULATED=1 MESOS_CNI_TEST_TIMEOUT="${MESOS_CNI_TEST_TIMEOUT:-1800}"
  MESOS_CNI_TEST_DENO="$TOOLS/arm64/deno" MESOS_CNI_TEST_DENO_DIR="$TOOLS/arm64/deno_dir" \
    "$DENO" run "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-all tools/test/main.ts \
    "${NETWORK_FLAGS[@]}" --quiet --no-check -- "${FILES[@]}"
}

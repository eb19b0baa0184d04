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
  local package wanted=()
  for package in "$@"; do
    [[ $package != linux-image-* ]] || package=$(kernel_image "$package" "${options[@]}")
    wanted+=("$package")
  done
  (cd "$work/debs" && apt-get "${options[@]}" download "${wanted[@]}") || return
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

# build_arm64: the program for arm64, as dist/arm64/mesos-cni. npm has a base binary of `deno compile` for it, which
# is of another runtime than the release's. What V8 would make of the scripts there is not made here.
build_arm64() {
  local base="$TOOLS/denort-$ARM64_DENO-arm64" out="$ROOT/dist/arm64" deno
  build
  deno=$(fetch_deno "$(machine_architecture)" "$ARM64_DENO")
  fetch_denort "$base" @stdy/cli-linux-arm64@0.22.2 "$ARM64_DENORT_SHA512" bin/steady \
    90596104 9c888d915647ff971a497acd39ee45ea63da5f19d12d4363124942c257c055ef
  [ "$(cat "$out/made_of" 2>/dev/null)" != "$(cat dist/made_of)" ] || return 0
  say "making dist/arm64/mesos-cni …"
  rm -rf "$out" && mkdir -p "$out" && cp -r dist/program "$out/program"
  find "$out/program" -name '*.made' -exec truncate --size=0 {} +
  (cd "$out/program" && DENORT_BIN="$base" DENO_DIR="$TOOLS/deno_dir-$ARM64_DENO" "$deno" compile --quiet --no-check \
    --no-config --no-lock --no-code-cache "$ENGINE" "${PERMISSIONS[@]}" --target aarch64-unknown-linux-gnu \
    --output ../mesos-cni start.js)
  append "$out/program" "$out/mesos-cni"
  cp dist/made_of "$out/made_of"
}

# setup_arm64_machine: what virtual machines of that processor are made of, in $ARM64_MACHINE: Debian's kernel, and
# below root programs with what they load.
setup_arm64_machine() {
  ARM64_MACHINE="$TOOLS/machine-arm64"
  setup_packages qemu-system-arm:/usr/bin/qemu-system-aarch64 qemu-user-static:/usr/bin/qemu-aarch64-static \
    kmod:/usr/sbin/depmod busybox:/usr/bin/busybox e2fsprogs:/usr/sbin/mke2fs
  [ ! -e "$ARM64_MACHINE" ] || return 0
  local work
  say "fetching Debian's kernel and programs for arm64 (25 MB) …"
  work=$(mktemp -d "$TOOLS/fetch.XXXXXX")
  { fetch_arm64_packages "$work" linux-image-cloud-arm64 libc6 libgcc-s1 busybox-static nftables libnftables1 libnftnl11 \
    libmnl0 libjansson4 libxtables12 libgmp10 libedit2 libtinfo6 libbsd0 libmd0 && take_kernel "$work/root" "$work"; } \
    >>"$TOOLS/apt.log" 2>&1 || die "Debian's packages for arm64 could not be had; see .tools/apt.log"
  mv "$work" "$ARM64_MACHINE"
}

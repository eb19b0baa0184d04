# What `./dev unit`, `test` and `coverage` share. Sourced by ./dev.

# find_tests DIRECTORY [FILTER…]: the test files below, or those whose path holds a FILTER, in
# ${FILES[@]}.
find_tests() {
  local directory=$1 file filter
  shift
  FILES=()
  while IFS= read -r file; do
    [ $# -gt 0 ] || FILES+=("$file")
    for filter in "$@"; do
      [[ "$file" != *"$filter"* ]] || { FILES+=("$file"); break; }
    done
  done < <(find "$directory" -name '*_test.ts' | sort)
  [ ${#FILES[@]} -gt 0 ] || die "no test file's path holds: $*"
}

# leave_out PREFIX: the files of ${FILES[@]} without those whose path begins so.
leave_out() {
  local kept=() file
  for file in "${FILES[@]}"; do [[ "$file" == "$1"* ]] || kept+=("$file"); done
  FILES=("${kept[@]}")
}

# Unit tests need nothing, integration tests the tools that they call, all others the binary too.
setup_for_tests() {
  # The program that is tested reads it, too.
  [ ! -e /etc/mesos-cni.json ] || die "this machine has settings of an installed mesos-cni: move /etc/mesos-cni.json away for the time of the tests"
  setup_deno
  case "${FILES[*]}" in
    *tests/e2e/* | *tests/faults/* | *tests/docs/* | *tests/mesos/* | *tests/runtimes/* | *tests/machine/* | *tests/twins/* | *tests/upstream/*)
      test_packages && build ;;
    *tests/integration/*) packages nftables:/usr/sbin/nft tcpdump:/usr/bin/tcpdump && build ;;
  esac
  case "${FILES[*]}" in
    *tests/e2e/lint_editors*)
      (setup_packages neovim:/usr/bin/nvim emacs-nox:/usr/bin/emacs elpa-eglot:/usr/share/doc/elpa-eglot) ||
        say "Neovim and Emacs: not to be had here, so their tests are skipped" ;;
  esac
  case "${FILES[*]}" in
    *tests/e2e/launcher*)
      (setup_packages binutils:/usr/bin/as binutils-aarch64-linux-gnu:/usr/bin/aarch64-linux-gnu-as \
        qemu-user-static:/usr/bin/qemu-aarch64-static) ||
        say "an assembler and an emulator: not to be had here, so launchers are tried on this architecture alone" ;;
  esac
  # Made here, since npm is asked for its parts and the tests have no network.
  case "${FILES[*]}" in
    *tests/e2e/lint_editors*) editors/vscode/package.sh "$PROGRAM" >"$TOOLS/vsix.$$" 2>&1 || {
      rm -f dist/mesos-cni.vsix
      cat "$TOOLS/vsix.$$" >&2
      say "Visual Studio Code's extension could not be packaged (above), so its test is skipped"
    }; rm -f "$TOOLS/vsix.$$" ;;
  esac
  case "${FILES[*]}" in
    *tests/runtimes/*) packages podman:/usr/bin/podman containerd:/usr/bin/containerd ;;
  esac
  case "${FILES[*]}" in
    *tests/machine/*) (setup_machine) || say "virtual machines: not to be had here, so their tests are skipped" ;;
  esac
  case "${FILES[*]}" in
    *tests/upstream/* | *tests/machine/upstream*) if setup_upstream; then export UPSTREAM_REFERENCE="$REFERENCE"; fi ;;
  esac
  case "${FILES[*]}" in
    *tests/mesos/*) packages python3:/usr/bin/python3 procps:/usr/bin/pgrep ;;
  esac
}

# run_tests [DENO-FLAG…]: runs ${FILES[@]}. The packages of npm are fetched here, since the tests
# themselves run without the machine's network.
run_tests() {
  "$DENO" cache --quiet "${NETWORK_FLAGS[@]}" tools/test/main.ts "${FILES[@]}"
  "$DENO" run "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-all tools/test/main.ts \
    "${NETWORK_FLAGS[@]}" --quiet --no-check "$@" -- "${FILES[@]}"
}

coverage() {
  local data=dist/coverage status=0
  rm -rf "$data"
  run_tests --coverage="$data/raw" || status=$?
  "$DENO" coverage --quiet --include="^file://$ROOT/(lib|plugins|main)" "$data/raw" | tee "$data/summary.txt"
  "$DENO" coverage --quiet --include="^file://$ROOT/(lib|plugins|main)" --lcov --output="$data/lcov.info" "$data/raw"
  say "line by line: $data/lcov.info"
  return "$status"
}

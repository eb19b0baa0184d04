# run_tests [FILTER…]: the whole suite, or the files whose path holds a FILTER. Sourced by ./dev.
# The last line is "N passed, N failed".

run_tests() {
  local files=() file filter log=dist/test.log status=0
  while IFS= read -r file; do
    [ $# -gt 0 ] || files+=("$file")
    for filter in "$@"; do
      [[ "$file" != *"$filter"* ]] || { files+=("$file"); break; }
    done
  done < <(find tests -name '*_test.ts' | sort)
  [ ${#files[@]} -gt 0 ] || die "no test file's path holds: $*"

  # The packages are fetched here, since the suite itself runs without the machine's network.
  "$DENO" cache --quiet "${NETWORK_FLAGS[@]}" "${files[@]}"
  # A test that hangs must not take the machine of CI with it.
  timeout "${MESOS_CNI_TEST_TIMEOUT:-840}" "${THROWAWAY[@]}" "$DENO" test "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-all "${files[@]}" 2>&1 | tee "$log" || status=$?

  # Deno's own closing line: "ok | 12 passed (3 steps) | 1 failed | …".
  sed 's/\x1b\[[0-9;]*m//g' "$log" | awk -F'|' -v status="$status" '
    /^(ok|FAILED) \| [0-9]+ passed/ { passed = $2 + 0; failed = $3 + 0 }
    END {
      if (status != 0 && failed == 0) failed = 1   # it broke off before it could count
      printf "%d passed, %d failed\n", passed, failed
      exit failed > 0
    }'
}

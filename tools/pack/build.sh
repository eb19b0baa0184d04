# The program, made from its sources. Sourced by ./dev after tools/setup.

# What the binary may do, baked in at compile time. It has no network permission (its sockets
# are unix sockets and netlink) and no --allow-all; SECURITY.md says what this list does and
# does not promise to a program that runs as root with FFI.
readonly PERMISSIONS=(--no-prompt --allow-read --allow-write --allow-env --allow-run --allow-ffi)

# V8 collects its garbage early: a service has a heap for each of its threads. And its quickest compiler
# works on the thread that runs: handing over can cost a millisecond, for which that thread sleeps, and
# what is kept of it (tools/pack) would not be the same each time. Nor does its best compiler hand over:
# V8 has one thread for all that is handed over where there are two processors. With Deno 2.6 that thread was
# seen to wait within a job for ever, while two others of a service went round within V8 and answered nothing,
# each time that metrics were scraped beside a thousand attaches; and no more since nothing is handed over.
# A process that lives for 60 ms gains nothing from what V8's optimizing compilers make, which it would compile early
# in what was trained; nor from collecting garbage by several threads, for which it would wait where the processors have
# other work, or from beginning with less than the room that there is.
readonly ENGINE=--v8-flags=--optimize-for-size,--min-semi-space-size=1,--max-semi-space-size=1,--no-parallel-scavenge,--no-concurrent-sparkplug,--no-concurrent-recompilation,--no-profile-guided-optimization,--invocation-count-for-maglev=2000

# Bundled first: a module costs a third of a millisecond to load and packages five to find. Then
# gathered into packs of scripts, and compiled by V8 in advance (tools/pack), so that the program starts
# in the time of an empty one. The program's path is $PROGRAM afterwards.
build() {
  setup_deno
  setup_denort
  setup_bundler
  local out=dist
  is_compiled || out=dist/uncompiled
  PROGRAM="$ROOT/$out/mesos-cni"
  export MESOS_CNI_TEST_PROGRAM="$PROGRAM"
  local sum program="$out/program"
  sum=$(made_of)
  [ ! -x "$PROGRAM" ] || [ "$(cat "$out/made_of" 2>/dev/null)" != "$sum" ] || return 0
  say "making $out/mesos-cni …"
  rm -rf "$out/made_of" "$out/bundle" "$program"
  mkdir -p "$program"
  "$DENO" bundle --quiet "${NETWORK_FLAGS[@]}" --code-splitting --outdir "$out/bundle" main.ts
  "$DENO" bundle --quiet "${NETWORK_FLAGS[@]}" --output "$program/start.js" tools/pack/start.ts
  "$DENO" bundle --quiet "${NETWORK_FLAGS[@]}" --output "$out/trainer.js" tools/pack/trainer.ts
  "$DENO" run "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-read --allow-write --allow-env --allow-ffi --allow-sys \
    tools/pack/gather.ts "$out/bundle" "$program"
  if [ -n "${MESOS_CNI_UNTRAINED:-}" ]; then
    say "MESOS_CNI_UNTRAINED is set: the program will take longer to start"
  else
    make_file "$out/trainer" "$out/trainer.js"
    "${THROWAWAY[@]}" "$DENO" run --quiet --no-check --no-config --allow-read --allow-write --allow-env --allow-run \
      tools/pack/train.ts "$out/trainer" "$program" ||
      say "calls could not be made here (above): the program will take longer to start, by what V8 compiles for them"
  fi
  make_file "$PROGRAM.new" "$program/start.js"
  ! is_compiled || append "$program" "$PROGRAM.new"
  "$PROGRAM.new" version >/dev/null || die "the program does not start"
  mv "$PROGRAM.new" "$PROGRAM"
  echo "$sum" >"$out/made_of"
}

# Whether there is a base binary of `deno compile` for this runtime.
is_compiled() {
  [ -n "${DENORT_BIN:-}" ] || [ "$(cat "$TOOLS/runtime" 2>/dev/null)" = "$DENO_VERSION" ]
}

# append DIRECTORY FILE: puts the scripts of a directory into a compiled program.
append() {
  "$DENO" run "${NETWORK_FLAGS[@]}" --quiet --no-check --allow-read --allow-write tools/pack/append.ts "$@"
}

# make_file OUTPUT SCRIPT [DENO-FLAG…]: a file that runs the script. Without a base binary that is a
# launcher, which has this runtime run the script from where it is.
# --no-code-cache: else the program would load V8 code from a file in /tmp, where tasks can write.
make_file() {
  local output=$1 script=$2
  shift 2
  if is_compiled; then
    "$DENO" compile --quiet --no-check --no-config --no-lock --no-code-cache "$ENGINE" "${PERMISSIONS[@]}" "$@" \
      --output "$output" "$script"
  else
    setup_packages gcc:/usr/bin/cc
    local words
    # One module for both, since a service's workers begin with it as well.
    printf 'import "%s";\nawait import("%s");\n' "$ROOT/tools/pack/launched.js" "$(realpath "$script")" >"$script.launched.js"
    words=$(printf '"%s", ' run --quiet --no-config --no-lock --no-remote --no-npm --no-code-cache "$ENGINE" \
      "${PERMISSIONS[@]}" "$(realpath "$script.launched.js")")
    cc -O1 -static -DDENO="\"$(realpath "$DENO")\"" -DWORDS="${words%, }" -o "$output" tools/pack/launcher.c
  fi
}

# A sum of all that the program depends on: the sources with what they import, how they are made into a
# program, by what, and whether calls can be made to train it.
made_of() {
  {
    echo "$DENO_VERSION $STD ${MESOS_CNI_UNTRAINED:+untrained} $(is_compiled && echo compiled || echo "launched in $ROOT")"
    command -v iptables nft || true
    find main.ts deno.json deno.lock dev lib plugins tools/pack tools/setup tools/closed_network -type f -print0 |
      sort -z | xargs -0 sha256sum
    [ "$STD" != directory ] || (cd "$MESOS_CNI_STD" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
    [ -z "${DENORT_BIN:-}" ] || stat -L --format='%n %s %Y' "$DENORT_BIN"
  } | sha256sum
}

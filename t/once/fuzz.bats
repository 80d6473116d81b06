# SPDX-License-Identifier: ISC
# The fuzzers, for a moment: that they are built, run and find nothing at once.

load ../lib

@test "each fuzzer is built and runs from its corpus" {
	local name names

	cd "$ROOT"
	names=(fuzz/*.c)
	names=("${names[@]#fuzz/}")
	names=("${names[@]%.c}")
	make -s -j2 "${names[@]/#/build/fuzz/}"
	for name in "${names[@]}"; do
		mkdir -p "$BATS_TEST_TMPDIR/$name" "fuzz/corpus/$name"
		"build/fuzz/$name" -runs=2000 -max_len=1024 \
		    -artifact_prefix="$BATS_TEST_TMPDIR/" \
		    "$BATS_TEST_TMPDIR/$name" "fuzz/corpus/$name" \
		    2>"$BATS_TEST_TMPDIR/out" ||
			fail "$name: $(tail -n 20 "$BATS_TEST_TMPDIR/out")"
	done
}

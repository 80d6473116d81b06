# SPDX-License-Identifier: ISC
# The fuzzers, for a moment: that they are built, run and find nothing at once.

load ../lib

@test "each fuzzer is built and runs from its corpus" {
	local name

	cd "$ROOT"
	for name in fuzz/*.c; do
		name=${name#fuzz/} name=${name%.c}
		make -s "build/fuzz/$name"
		mkdir -p "$BATS_TEST_TMPDIR/$name" "fuzz/corpus/$name"
		"build/fuzz/$name" -runs=2000 -max_len=1024 \
		    -artifact_prefix="$BATS_TEST_TMPDIR/" \
		    "$BATS_TEST_TMPDIR/$name" "fuzz/corpus/$name" \
		    2>"$BATS_TEST_TMPDIR/out" ||
			fail "$name: $(tail -n 20 "$BATS_TEST_TMPDIR/out")"
	done
}

# SPDX-License-Identifier: ISC
# Each branch of the engine is taken both ways by the tests in process: what
# none of them reaches is either a test that is missing or code that is dead.

load ../lib

@test "the tests in process take every branch of the engine" {
	cd "$ROOT"
	run make -s coverage
	((status == 0)) || fail
	[[ $output =~ TOTAL\ +[0-9]+\ +[0-9]+\ +100% ]] || fail
}

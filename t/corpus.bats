# SPDX-License-Identifier: ISC
# What the fuzzer starts from and what it has found, with its checks: however
# the octets are cut, the same replies and the same message.
load lib

@test "the corpus, whole, by octets and cut at each" {
	run "$TOOLS/replay" "$ROOT"/t/corpus/*
	((status == 0)) || fail
	((${#lines[@]} >= 50)) || fail "only ${#lines[@]} inputs"
}

# SPDX-License-Identifier: ISC
# A sample of `make faults`, always the same one, and a short `make soak`.
load ../lib

@test "system calls fail, or end a session: no message is lost, halved or doubled" {
	run "$PYTHON" "$ROOT/t/faults/faults.py" -s "$SMTPD" -n 250 -r 1
	! grep -E '^(LOST|HALF|DUP|OPEN|ORPHAN): ' <<<"$output" || fail
	# The table was made from samples: a call more or less in a run chooses
	# other cases, and one of those may be the first of its kind.
	[[ $output =~ ([0-9]+)\ not\ explained ]] || fail
	((BASH_REMATCH[1] <= 3)) || fail
	# Nearly all of the faults were reached.
	[[ ! $output =~ ([0-9]+)\ UNREACHED ]] || ((BASH_REMATCH[1] < 25))
	[[ $output == *'250 of '* ]]
}

@test "load, reloads, crashes: what was told 250 is kept once, and all is logged" {
	run "$PYTHON" "$ROOT/t/faults/soak.py" -s "$SMTPD" -t 20 -i 50 -a 20 -p 1
	((status == 0)) || fail
	[[ $output =~ ([0-9]+)\ crashes ]] && ((BASH_REMATCH[1] > 2))
}

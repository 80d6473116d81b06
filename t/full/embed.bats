# SPDX-License-Identifier: ISC
# examples/embed under load: ten thousand sessions in one process.

load ../lib
load ../embed

@test "10 000 sessions at once, 30 000 messages, verdicts late at random" {
	built
	ulimit -n "$(ulimit -Hn)"
	SPOOL=$(mktemp -d -p /dev/shm)
	embedded "$BATS_FILE_TMPDIR/server" -l 0 "$SPOOL"
	clients 10000 30000
	rm -r "$SPOOL"
}

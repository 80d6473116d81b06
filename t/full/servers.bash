# SPDX-License-Identifier: ISC
# servers.bash - for tests that start a real server once a file.
#
# Servers live in $BATS_FILE_TMPDIR and are started in setup_file with
# server_start; teardown_file calls server_stop.  Some will not run as root:
# they get a directory and a user of their own.

load ../lib

# What the tests of a file share is read in each test's process again.
SERVER_PIDS=${BATS_FILE_TMPDIR:-/nonexistent}/pids

# server_dir NAME USER: a directory in $DIR that the user may write.
server_dir() {
	DIR=$BATS_FILE_TMPDIR/$1
	mkdir -p "$DIR"
	[[ $(id -u) != 0 ]] || {
		# On the way there it is enough to pass.
		chmod a+x "$BATS_RUN_TMPDIR" "${BATS_FILE_TMPDIR%/*}" \
		    "$BATS_FILE_TMPDIR"
		chown "$2:" "$DIR"
	}
	export DIR
}

# server_start USER LOG COMMAND ...: as that user if we are root, else as
# ourselves; its pid is in $!, its process group its own.
server_start() {
	local user=$1 log=$2 be=()

	shift 2
	[[ $(id -u) != 0 ]] || be=(setpriv --reuid="$user"
	    --regid="$(id -g "$user")" --init-groups)
	setsid "${be[@]}" "$@" </dev/null >>"$log" 2>&1 3>&- &
	echo $! >>"$SERVER_PIDS"
	disown
}

# as USER COMMAND ...: the same, and waits for it.
as() {
	local user=$1

	shift
	[[ $(id -u) != 0 ]] || set -- setpriv --reuid="$user" \
	    --regid="$(id -g "$user")" --init-groups "$@"
	"$@"
}

# As wait_for, for servers that take their time on a busy machine.
wait_long() {
	local i

	for ((i = 0; i < 9; i++)); do
		! wait_for "$@" >/dev/null || return 0
	done
	wait_for "$@"
}

# server_stop [SIGNAL]: all of them, and whatever they have started.
server_stop() {
	local pid signal=${1-TERM}

	[[ -s $SERVER_PIDS ]] || return 0
	while read -r pid; do
		kill "-$signal" -- "-$pid" 2>/dev/null || true
	done <"$SERVER_PIDS"
	while read -r pid; do
		wait_for group_gone "$pid" >/dev/null ||
			kill -KILL -- "-$pid" 2>/dev/null || true
	done <"$SERVER_PIDS"
	rm -f "$SERVER_PIDS"
}

# A process that nobody has waited for yet is gone as well.
group_gone() {
	! ps -eo pgid=,stat= | grep -q "^ *$1 [^Z]"
}

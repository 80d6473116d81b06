# SPDX-License-Identifier: ISC
# auth.bash - what the tests of AUTH share.  Users are in $USERS.

auth_setup() {
	test_setup
	USERS=$BATS_TEST_TMPDIR/users
}

# b64 FORMAT: octets as printf has them, in base64.
b64() {
	# shellcheck disable=SC2059 # it is a format
	printf "$1" | base64 -w 0
}

plain() {
	b64 "\\000$1\\000$2"
}

# any [ARGUMENT ...]: a rig that takes all credentials, in clear.
any() {
	smtp -o spool="$SPOOL" -o auth-any=yes -o auth-cleartext=yes "$@"
}

# with_file [ARGUMENT ...]: users alice (SHA-512) and bob (SCRAM), in clear.
with_file() {
	[[ -e $USERS ]] || users >"$USERS"
	smtp -o spool="$SPOOL" -o auth-file="$USERS" -o auth-cleartext=yes "$@"
}

# The password of both is "secret".
users() {
	cat <<-'END'
	# users

	alice:$6$rounds=1000$ab$3tLFZOSDxcyiDWcYSrieU1uloXMcbPJQRTcotZNqEJiB1iizwjzbn2jECOCvw6wslPpiTPzli2jppqTUXUq9N0
	bob:{SCRAM-SHA-256}4096,eOIYWi+UYXg07DdmjNs7zA==,qcBA2+2XEJ/Glhj/amX5TRCFD+u76aWeexcW+fLiL54=,BFXdVankj2YARrrVW/uLpHmBvWYiuu8L06XiGy+h1mA=
	END
}

# with_program 'WORD ...' [ARGUMENT ...]: the checker, in clear.
with_program() {
	smtp -o spool="$SPOOL" -o auth-cleartext=yes -o timeout=2 \
	    -o auth-program="$1" "${@:2}"
}

# checker BODY: a shell script that has $user and $password.
checker() {
	CHECKER=$BATS_TEST_TMPDIR/checker
	cat >"$CHECKER" <<-END
	#!/bin/bash
	IFS= read -r -d '' user <&3
	IFS= read -r -d '' password <&3
	$1
	END
	chmod 755 "$CHECKER"
}

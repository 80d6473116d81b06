# SPDX-License-Identifier: ISC
# checkpassword.bats - auth-program.

load lib
load auth

setup() {
	auth_setup
}

@test "auth-program: exit 0 is right, 1 is wrong" {
	checker 'printf "%s|%s\n" "$user" "$password" >"$0.saw"
	[ "$password" = right ]'
	with_program "$CHECKER" <<-END
	EHLO c
	AUTH PLAIN $(plain u:ser wrong)
	AUTH PLAIN $(plain u:ser right)
	QUIT
	END
	replies 220 250 535 235 221
	[[ $(<"$CHECKER.saw") == 'u:ser|right' ]]
}

@test "auth-program: any other end is 454" {
	checker 'case $password in
	sig) kill -SEGV $$ ;;
	sleep) exec sleep 30 ;;
	*) exit $password ;;
	esac'
	with_program "$CHECKER" <<-END
	EHLO c
	AUTH PLAIN $(plain user 2)
	AUTH PLAIN $(plain user 111)
	AUTH PLAIN $(plain user 99)
	AUTH PLAIN $(plain user sig)
	AUTH PLAIN $(plain user sleep)
	QUIT
	END
	replies 220 250 454 454 454 454 454 221
	said '454 4.7.0'
	logged 'exit status 111'
	logged 'signal 11'
	logged 'timed out'
}

@test "auth-program: without pidfds its end is noticed as well" {
	load deliver
	checker '[ "$password" != sleep ] || exec sleep 30
	[ "$password" = right ]'
	failing pidfd_open:ENOSYS:0
	with_program "$CHECKER" <<-END
	EHLO c
	AUTH PLAIN $(plain user wrong)
	AUTH PLAIN $(plain user sleep)
	AUTH PLAIN $(plain user right)
	QUIT
	END
	replies 220 250 535 454 235 221
	logged 'timed out'
}

@test "auth-program: one whose end our parent ignores" {
	checker '[ "$password" = right ]'
	(
		trap '' CHLD
		with_program "$CHECKER" <<-END
		EHLO c
		AUTH PLAIN $(plain user wrong)
		AUTH PLAIN $(plain user right)
		QUIT
		END
		replies 220 250 535 235 221
	)
}

@test "auth-program: SIGTERM does not wait for it" {
	SECONDS=0
	# The session is the parent of its runner.
	checker 'read -r _ _ _ session _ </proc/$PPID/stat
	kill -TERM $session; exec sleep 100'
	talk -- "$SMTPD" -o hostname=mx.test -o spool="$SPOOL" \
	    -o auth-cleartext=yes -o auth-program="$CHECKER" <<-END
	< 220
	> EHLO c
	< 250
	> AUTH PLAIN $(plain user pass)
	< 454
	< 421
	eof
	END
	((SECONDS < 20))
}

@test "auth-program: cannot be started" {
	with_program /nonexistent/checker <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 250 454 221
	logged /nonexistent/checker
}

@test "auth-program: sees no client, no shell, a clean environment" {
	checker 'ls -l /proc/$$/fd >"$0.fds"; printf "%s\n" "$@" >"$0.args"
	tr "\0" "\n" </proc/$$/environ >"$0.env"
	echo out; echo err >&2; cat >"$0.in"'
	REMOTE_ADDR=192.0.2.7 REMOTE_PORT=4711 SECRET=x \
	with_program "$CHECKER "'$(id) ; *' <<-END
	EHLO c
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 250 235 221
	not_said out
	not_said err
	[[ $(<"$CHECKER.args") == '$(id)'$'\n;\n*' ]]
	[[ ! -s $CHECKER.in ]]
	[[ $(grep -c -- '-> /dev/null' "$CHECKER.fds") == 3 ]]
	run -1 grep -q -e socket: -e "$LOG" "$CHECKER.fds"
	grep -x REMOTE_ADDR=192.0.2.7 "$CHECKER.env"
	run -1 grep -q -e SECRET -e "$HOME" "$CHECKER.env"
	not_logged pass
}

@test "auth-program: one that reads nothing, and more than it may read" {
	with_program /bin/true <<-END
	EHLO c
	AUTH PLAIN $(plain "$(printf '%0255d' 0)" "$(printf '%0255d' 0)")
	AUTH PLAIN $(plain user pass)
	QUIT
	END
	replies 220 250 535 235 221
}

@test "the example of a checker asks a web server" {
	cat >"$BATS_TEST_TMPDIR/web.py" <<-'END'
	import base64, http.server, sys
	class H(http.server.BaseHTTPRequestHandler):
	    def do_GET(self):
	        a = base64.b64decode(self.headers['Authorization'][6:])
	        code = 500 if a[:4] == b'down' else \
	            204 if a == b'user:p"a\\ss' else 401
	        self.send_response(code)
	        self.end_headers()
	    def log_message(self, *a):
	        pass
	s = http.server.HTTPServer(('127.0.0.1', 0), H)
	print(s.server_port, flush=True)
	s.serve_forever()
	END
	serve_with "$PYTHON" "$BATS_TEST_TMPDIR/web.py"
	with_program "$ROOT/examples/checkpassword http://127.0.0.1:$PORT/" \
	    <<-END
	EHLO c
	AUTH PLAIN $(plain user wrong)
	AUTH PLAIN $(plain down x)
	AUTH PLAIN $(plain user 'p"a\\ss')
	QUIT
	END
	replies 220 250 535 454 235 221
}

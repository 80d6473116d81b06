# SPDX-License-Identifier: ISC
# Mail libraries of other languages, as their users call them: with AUTH, and
# with whatever line ends they have.

load ../lib

setup() {
	test_setup
	printf '%s:%s\n' bob "$(mkpasswd -m sha-512 -R 1000 secret)" \
	    >"$BATS_TEST_TMPDIR/users"
	serve -o spool="$SPOOL" -o auth=require -o auth-cleartext=yes \
	    -o auth-file="$BATS_TEST_TMPDIR/users"
}

# One message came, from bob.
came() {
	messages 1
	message | grep -Eq 'with (ESMTP|UTF8SMTP)A id' || fail "$(message)"
	logged 'event=auth status=ok'
}

@test "Ruby's Net::SMTP" {
	ruby -rnet/smtp -e 'Net::SMTP.start("127.0.0.1", ARGV[0].to_i,
	    helo: "my_pc", user: "bob", secret: "secret", authtype: :login,
	    starttls: false) { |s|
	    s.send_message "Subject: x\n\none\n.two\n", "a@b", "u@mx.test" }' \
	    "$PORT"
	came
}

@test "aiosmtplib" {
	"$PYTHON" - "$PORT" <<-'END'
		import aiosmtplib, asyncio, sys
		asyncio.run(aiosmtplib.send("Subject: x\n\none\n",
		    sender="a@b", recipients=["u@mx.test"], hostname="127.0.0.1",
		    port=int(sys.argv[1]), username="bob", password="secret"))
	END
	came
}

@test "Django" {
	"$PYTHON" - "$PORT" <<-'END'
		import sys
		from django.conf import settings
		settings.configure(EMAIL_HOST="127.0.0.1",
		    EMAIL_PORT=int(sys.argv[1]), EMAIL_HOST_USER="bob",
		    EMAIL_HOST_PASSWORD="secret")
		from django.core.mail import send_mail
		assert send_mail("x", "one\n", "a@b.test", ["u@mx.test"]) == 1
	END
	came
}

@test "Perl's Net::SMTP" {
	perl -MNet::SMTP -e 'my $s = Net::SMTP->new("127.0.0.1",
	    Port => $ARGV[0], Hello => "my_pc") or die;
	    $s->auth("bob", "secret") or die $s->message;
	    $s->mail("a\@b") && $s->to("u\@mx.test") &&
	    $s->data("Subject: x\n\none\n.two\n") or die $s->message;
	    $s->quit' "$PORT"
	came
}

@test "Go's net/smtp" {
	cat >"$BATS_TEST_TMPDIR/send.go" <<-'END'
		package main

		import ("net/smtp"; "os")

		func main() {
			auth := smtp.PlainAuth("", "bob", "secret", "127.0.0.1")
			err := smtp.SendMail("127.0.0.1:"+os.Args[1], auth, "a@b",
				[]string{"u@mx.test"}, []byte("Subject: x\n\none\n"))
			if err != nil {
				panic(err)
			}
		}
	END
	HOME=$BATS_TEST_TMPDIR GOFLAGS=-mod=mod go run \
	    "$BATS_TEST_TMPDIR/send.go" "$PORT"
	came
}

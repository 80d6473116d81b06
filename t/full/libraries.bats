# SPDX-License-Identifier: ISC
# Mail libraries of other languages, as their users call them: with STARTTLS and
# AUTH, and with whatever line ends they have.

load ../lib

# The server's certificate is for localhost, which is what they check.
setup_file() {
	certs
	make_cert localhost ecdsa localhost tls_www_server
}

setup() {
	test_setup
	printf '%s:%s\n' bob "$(mkpasswd -m sha-512 -R 1000 secret)" \
	    >"$BATS_TEST_TMPDIR/users"
	serve -o spool="$SPOOL" -o tls=require \
	    -o tls-cert="$CERTS/localhost.pem" \
	    -o tls-key="$CERTS/localhost.key" -o auth=require \
	    -o auth-file="$BATS_TEST_TMPDIR/users" -o log-level=debug
	# Where OpenSSL and Go look for authorities.
	export SSL_CERT_FILE=$CERTS/ca.pem
}

# came [MECHANISM]: one message, from bob, with its lines.
came() {
	messages 1
	message | grep -Eq 'with (ESMTP|UTF8SMTP)SA id' || fail "$(message)"
	[[ $(message) == *$'\n\none\n.two' ]] || fail "$(message)"
	logged "event=auth status=ok mechanism=${1-PLAIN} user=bob"
	not_logged status=failed
}

@test "Ruby's Net::SMTP" {
	ruby -rnet/smtp -e 'Net::SMTP.start("localhost", ARGV[0].to_i,
	    helo: "my_pc", user: "bob", secret: "secret", authtype: :login,
	    starttls: :always) { |s|
	    s.send_message "Subject: x\n\none\n.two\n", "a@b", "u@mx.test" }' \
	    "$PORT"
	came LOGIN
}

@test "aiosmtplib" {
	"$PYTHON" - "$PORT" <<-'END'
		import aiosmtplib, asyncio, sys
		asyncio.run(aiosmtplib.send("Subject: x\n\none\n.two\n",
		    sender="a@b", recipients=["u@mx.test"],
		    hostname="localhost", port=int(sys.argv[1]),
		    start_tls=True, username="bob", password="secret"))
	END
	came
}

@test "Django" {
	"$PYTHON" - "$PORT" <<-'END'
		import sys
		from django.conf import settings
		settings.configure(EMAIL_HOST="localhost",
		    EMAIL_PORT=int(sys.argv[1]), EMAIL_USE_TLS=True,
		    EMAIL_HOST_USER="bob", EMAIL_HOST_PASSWORD="secret")
		from django.core.mail import send_mail
		assert send_mail("x", "one\n.two\n", "a@b.test",
		    ["u@mx.test"]) == 1
	END
	came
}

@test "Perl's Net::SMTP" {
	perl -MNet::SMTP -e 'my $s = Net::SMTP->new("localhost",
	    Port => $ARGV[0], Hello => "my_pc") or die;
	    $s->starttls or die $s->message;
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
			auth := smtp.PlainAuth("", "bob", "secret", "localhost")
			err := smtp.SendMail("localhost:"+os.Args[1], auth, "a@b",
				[]string{"u@mx.test"}, []byte("Subject: x\n\none\n.two\n"))
			if err != nil {
				panic(err)
			}
		}
	END
	HOME=$BATS_TEST_TMPDIR GOFLAGS=-mod=mod go run \
	    "$BATS_TEST_TMPDIR/send.go" "$PORT"
	came
}

@test "JavaMail" {
	cat >"$BATS_TEST_TMPDIR/Send.java" <<-'END'
		import java.util.Properties;
		import javax.mail.*;
		import javax.mail.internet.*;

		public class Send {
			public static void main(String[] args) throws Exception {
				Properties set = new Properties();
				set.put("mail.smtp.starttls.required", "true");
				set.put("mail.smtp.ssl.checkserveridentity", "true");
				set.put("mail.smtp.localhost", "my_pc");
				Session session = Session.getInstance(set);
				MimeMessage message = new MimeMessage(session);
				message.setFrom("a@b.test");
				message.setRecipients(Message.RecipientType.TO, "u@mx.test");
				message.setSubject("x");
				message.setText("one\n.two\n");
				Transport transport = session.getTransport("smtp");
				transport.connect("localhost", Integer.parseInt(args[0]),
				    "bob", "secret");
				transport.sendMessage(message, message.getAllRecipients());
				transport.close();
			}
		}
	END
	keytool -importcert -noprompt -alias ca -file "$CERTS/ca.pem" \
	    -keystore "$BATS_TEST_TMPDIR/store" -storepass secret 2>/dev/null
	java -Djavax.net.ssl.trustStore="$BATS_TEST_TMPDIR/store" \
	    -Djavax.net.ssl.trustStorePassword=secret \
	    -cp /usr/share/java/javax.mail.jar:/usr/share/java/javax.activation.jar \
	    "$BATS_TEST_TMPDIR/Send.java" "$PORT"
	came LOGIN
}

# symfony PASSWORD
symfony() {
	cat >"$BATS_TEST_TMPDIR/send.php" <<-'END'
		<?php
		require 'Symfony/Component/Mailer/autoload.php';
		use Symfony\Component\Mailer\Transport;
		use Symfony\Component\Mime\Email;
		$to = Transport::fromDsn("smtp://bob:$argv[2]@localhost:$argv[1]");
		$to->send((new Email())->from('a@b.test')->to('u@mx.test')
		    ->subject('x')->text("one\n.two\n"));
	END
	php "$BATS_TEST_TMPDIR/send.php" "$PORT" "$1"
}

@test "Symfony Mailer" {
	symfony secret
	came LOGIN
}

@test "Symfony Mailer: a wrong password, by LOGIN and PLAIN, is one failure" {
	! symfony sceret 2>/dev/null >&2 || fail 'it was sent'
	[[ $(grep -c status=failed "$LOG") == 1 ]] || fail 'not one failure'
	logged 'status=repeated mechanism=PLAIN user=bob'
	messages 0
}

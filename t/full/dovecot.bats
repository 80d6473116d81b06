# SPDX-License-Identifier: ISC
# dovecot.bats - Dovecot takes messages (dovecot-lda) and reads the spool.

load servers

setup_file() {
	local uid gid user=root

	IMAP=$(free_port)
	export IMAP
	server_dir dovecot nobody
	uid=$(stat -c %u "$DIR") gid=$(stat -c %g "$DIR")
	mkdir -p "$DIR/run" "$DIR/home"
	[[ $(id -u) != 0 ]] || chown "$uid:$gid" "$DIR/home"
	printf '%s:{PLAIN}secret:%s:%s::%s::%s\n' \
	    bob@mx.test "$uid" "$gid" "$DIR/home/bob" '' \
	    small@mx.test "$uid" "$gid" "$DIR/home/small" \
	    'userdb_quota_rule=*:bytes=10' \
	    spool "$uid" "$gid" "$DIR/spool" '' >"$DIR/users"
	cat >"$DIR/dovecot.conf" <<END
base_dir = $DIR/run
state_dir = $DIR/run
log_path = $DIR/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
first_valid_uid = 0
mail_plugins = quota
plugin {
	quota = count:all
	quota_vsizes = yes
}
passdb {
	driver = passwd-file
	args = $DIR/users
}
userdb {
	driver = passwd-file
	args = $DIR/users
}
service imap-login {
	inet_listener imap {
		port = $IMAP
	}
	inet_listener imaps {
		port = 0
	}
}
service anvil {
	chroot =
}
END
	[[ $(id -u) == 0 ]] || {
		user=$(id -un)
		cat >>"$DIR/dovecot.conf" <<END
default_internal_user = $user
default_internal_group = $(id -gn)
default_login_user = $user
service imap-login {
	chroot =
}
END
	}
	server_start root "$DIR/out" dovecot -F -c "$DIR/dovecot.conf"
	wait_long imap bob@mx.test '' || {
		cat "$DIR/log" "$DIR/out" || true
		return 1
	}
}

teardown_file() {
	server_stop
}

# imap USER PATH
imap() {
	curl -sS -u "$1:secret" "imap://127.0.0.1:$IMAP/$2"
}

lda() {
	smtp -o exec="/usr/lib/dovecot/dovecot-lda -e -c $DIR/dovecot.conf \
-f {sender} -d {recipient}" <<END
EHLO client.test
MAIL FROM:<a@client.test>
$(printf 'RCPT TO:<%s>\n' "$@")
DATA
Subject: one

Text
.
QUIT
END
}

@test "dovecot-lda takes a message, and IMAP has it" {
	lda bob@mx.test
	replies 220 250 250 250 354 250 221
	run imap bob@mx.test 'INBOX;UID=1'
	[[ $status == 0 && $output == *$'Subject: one\r\n\r\nText\r' &&
	    $output == *'Return-Path: <a@client.test>'* ]] ||
	    fail 'not in the mailbox'
}

@test "a user that dovecot-lda does not know is 550" {
	lda nobody@mx.test
	replies 220 250 250 250 354 550 221
	said '550 5.1.1 '
}

@test "a mailbox that is full is 451, since dovecot-lda exits with 77" {
	lda small@mx.test
	replies 220 250 250 250 354 451 221
	logged Quota
}

@test "a Dovecot that is not there is 451" {
	sed "s|^base_dir = .*|base_dir = $BATS_TEST_TMPDIR|" \
	    "$DIR/dovecot.conf" >"$BATS_TEST_TMPDIR/dovecot.conf"
	DIR=$BATS_TEST_TMPDIR lda bob@mx.test
	replies 220 250 250 250 354 451 221
}

@test "Dovecot reads the spool as it is" {
	local home=$DIR/spool name

	mkdir "$home"
	for name in one two; do
		smtp -o spool="$home/Maildir" <<END
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
DATA
Subject: $name

Text of $name
.
QUIT
END
		replies 220 250 250 250 354 250 221
	done
	[[ $(id -u) != 0 ]] || chown -R nobody: "$home"
	run imap spool 'INBOX?ALL'
	[[ $output == *'SEARCH 1 2'* ]] || fail 'not two messages'
	run imap spool 'INBOX;UID=1'
	[[ $output == *'Return-Path: <a@client.test>'*'Subject: '*'Text of '* ]]
	# As any Maildir that was looked into: out of new/.
	[[ $(find "$home/Maildir/cur" -type f | wc -l) == 2 ]]
}

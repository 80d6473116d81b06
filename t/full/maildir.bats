# SPDX-License-Identifier: ISC
# maildir.bats - the spool is a Maildir to those who read one.

load ../lib

setup() {
	test_setup
	local n

	for n in one two; do
		smtp -o spool="$SPOOL" <<END
EHLO client.test
MAIL FROM:<a@client.test>
RCPT TO:<b@mx.test>
DATA
From: Ann <a@client.test>
Subject: number $n

Text of $n
.
QUIT
END
		replies 220 250 250 250 354 250 221
	done
}

@test "Python's mailbox reads the spool" {
	run "$PYTHON" - "$SPOOL" <<'END'
import mailbox
import sys
box = mailbox.Maildir(sys.argv[1], create=False)
for message in sorted(box, key=lambda m: m['Subject'], reverse=True):
    print(message['Return-Path'], message['Delivered-To'], message['Subject'],
          message.get_payload(), message.get_subdir(), sep='|')
for key in box.keys():
    box.discard(key)
END
	[[ $output == '<a@client.test>|b@mx.test|number two|Text of two
|new
<a@client.test>|b@mx.test|number one|Text of one
|new' ]] || fail 'not what was sent'
	messages 0
}

# mutt needs a terminal; script(1) is one.
@test "mutt reads the spool" {
	local rc=$BATS_TEST_TMPDIR/muttrc

	cat >"$rc" <<END
set folder = "$BATS_TEST_TMPDIR"
set mbox_type = Maildir
set move = no
set confirmappend = no
set confirmcreate = no
set wait_key = no
set delete = yes
set quit = yes
set sort = subject
push "<tag-pattern>~N<enter><tag-prefix><copy-message>$BATS_TEST_TMPDIR/out<enter><quit>"
END
	HOME=$BATS_TEST_TMPDIR TERM=xterm timeout 20 script -qec \
	    "mutt -n -F $rc -f $SPOOL" "$BATS_TEST_TMPDIR/typescript" \
	    </dev/null >/dev/null
	[[ $(find "$BATS_TEST_TMPDIR/out" -type f | wc -l) == 2 ]] || {
		cat -v "$BATS_TEST_TMPDIR/typescript"
		fail 'mutt did not copy two messages'
	}
	grep -rqx 'Subject: number one' "$BATS_TEST_TMPDIR/out"
	grep -rqx 'Text of two' "$BATS_TEST_TMPDIR/out"
}

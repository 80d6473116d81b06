# SPDX-License-Identifier: ISC
# awkward.bats - the messages that Python's email package is tested with: not
# quite MIME, or not at all.  What is stored is what was sent.

load ../lib

setup() {
	test_setup
	CORPUS=/usr/lib/python3.11/test/test_email/data
	SCRIPT=$BATS_TEST_TMPDIR/awkward.py
	cat >"$SCRIPT" <<-'END'
	import glob, os, re, sys

	what, corpus, how = sys.argv[1:4]
	names = "*.txt" if how in ("data", "bdat") else "*"

	def sent(path):
	    with open(path, "rb") as f:
	        data = f.read()
	    if how in ("data", "bdat"):
	        data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
	    return data

	# In chunks that cut lines, CRLF and characters anywhere.
	def chunks(data):
	    for start in range(0, len(data), 509):
	        yield b"BDAT %d\r\n" % len(data[start:start + 509])
	        yield data[start:start + 509]
	    yield b"BDAT 0 LAST\r\n"

	def dialogue(out):
	    out.write(b"EHLO client.test\r\n")
	    for path in paths:
	        body = {"data": b"8BITMIME", "bdat": b"8BITMIME"}.get(how,
	            b"BINARYMIME")
	        out.write(b"MAIL FROM:<a@b.test> BODY=" + body + b"\r\n")
	        out.write(b"RCPT TO:<u@mx.test>\r\n")
	        if how == "data":
	            out.write(b"DATA\r\n" + re.sub(rb"(?m)^\.", b"..",
	                sent(path)) + b".\r\n")
	        else:
	            out.writelines(chunks(sent(path)))
	    out.write(b"QUIT\r\n")

	# Below our Received, the first of them.
	def stored(file):
	    with open(os.path.join(os.environ["SPOOL"], "new", file), "rb") as f:
	        data = f.read()
	    return re.split(rb"(?m)^Received: .*\n(?:[ \t].*\n)*", data, 1)[1]

	def compare(log, newline):
	    files = re.findall(r"status=accepted .* number=\d+ file=(\S+)", log)
	    assert len(files) == len(paths) > 40, (len(files), len(paths))
	    for path, file in zip(paths, files):
	        data = sent(path)
	        # What begins with text has an empty line before it.
	        if not re.match(rb"[!-9;-~]+[ \t]*:|From |\r\n", data):
	            data = b"\r\n" + data
	        if newline == "lf":
	            data = data.replace(b"\r\n", b"\n")
	        assert stored(file) == data, path

	paths = sorted(glob.glob(os.path.join(corpus, names)))
	if what == "dialogue":
	    dialogue(sys.stdout.buffer)
	else:
	    compare(open(os.environ["LOG"]).read(), sys.argv[4])
	END
}

# kept HOW NEWLINE [ARGUMENT ...]
kept() {
	"$PYTHON" "$SCRIPT" dialogue "$CORPUS" "$1" |
	    "$SMTPD" -o hostname=mx.test -o spool="$SPOOL" -o newline="$2" \
	    -o max-messages=0 "${@:3}" 2>>"$LOG" >"$BATS_TEST_TMPDIR/replies"
	"$PYTHON" "$SCRIPT" compare "$CORPUS" "$1" "$2" ||
		{ grep -a '^[45]' "$BATS_TEST_TMPDIR/replies"; return 1; }
}

@test "DATA" {
	kept data crlf
}

@test "DATA, stored with LF" {
	kept data lf
}

@test "BDAT" {
	kept bdat crlf
}

@test "BDAT, stored with LF" {
	kept bdat lf
}

@test "BINARYMIME, with pictures and sounds as they are" {
	kept binary crlf
}

@test "none of it needs to be tolerated" {
	kept data crlf "${STRICT[@]}"
	rm -r "$SPOOL"
	: >"$LOG"
	kept bdat crlf "${STRICT[@]}"
}

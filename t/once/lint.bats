# SPDX-License-Identifier: ISC
# What can be said of the files without running the program.
load ../lib

# The C files of the program and the engine; with "all", the tests' as well.
sources() {
	cd "$ROOT"
	if [[ ${1-} == all ]]; then
		ls ./*.[ch] */*.[ch] */*/*.[ch]
	else
		ls ./*.c auth/*.c deliver/*.c filter/*.c listen/*.c \
		    session/*.c settings/*.c tls/*.c
	fi | grep -vE '^(\./)?build/'
}

@test "the manuals are clean" {
	cd "$ROOT"
	run mandoc -Tlint -W warning man/smtpd.8 man/smtpd.conf.5 man/session.3
	[[ -z $output ]] || fail "$output"
	((status == 0))
}

@test "the units are clean" {
	local dir=$BATS_TEST_TMPDIR/units unit

	mkdir "$dir"
	cd "$ROOT"
	for unit in *.socket *.service units/*.socket units/*.service; do
		sed "s,=/usr/sbin/smtpd,=$SMTPD,;s, /usr/sbin/smtpd, $SMTPD," \
		    "$unit" >"$dir/${unit##*/}"
	done
	for unit in "$dir"/*; do
		systemd-analyze verify --man=no "$unit" 2>&1 |
		    grep -F "$dir" && fail "$unit"
		:
	done
}

@test "smtpd needs no library at run time" {
	run readelf -d "$ROOT/smtpd"
	((status == 0))
	not_said NEEDED
	run readelf -d "$ROOT/smtpd-tls"
	said libgnutls
}

@test "make install puts everything in place, make uninstall removes it" {
	local dest=$BATS_TEST_TMPDIR/dest tree=$BATS_TEST_TMPDIR/tree

	# Another directory is another program, and this one is in use.
	mkdir "$tree"
	tar -C "$ROOT" -cf - --exclude=.git --exclude=build . |
	    tar -C "$tree" -xf -
	cd "$tree"
	make -s -j2 install DESTDIR="$dest" PREFIX=/usr CFLAGS=-O1
	"$dest/usr/sbin/smtpd" -V
	[[ -x $dest/usr/lib/smtpd/smtpd-tls ]]
	[[ -f $dest/usr/include/smtpd/session.h ]]
	[[ -f $dest/usr/share/man/man8/smtpd.8 ]]
	[[ -f $dest/usr/lib/systemd/system/smtpd.socket ]]
	PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig pkg-config --exists smtpd-session
	make -s uninstall DESTDIR="$dest" PREFIX=/usr
	# What the administrator may have changed stays.
	rm -r "$dest/etc"
	[[ -z $(find "$dest" -type f) ]] || fail "$(find "$dest" -type f)"
}

@test "the version is the same wherever it stands" {
	local version header

	cd "$ROOT"
	version=$(sed -n 's/^VERSION	= //p' Makefile)
	[[ $version =~ ^([0-9]+)\.([0-9]+)\.([0-9]+)$ ]]
	header=$((BASH_REMATCH[1] * 10000 + BASH_REMATCH[2] * 100 + \
	    BASH_REMATCH[3]))
	[[ $("$SMTPD" -V) == "smtpd $version" ]]
	grep -q "^#define SESSION_VERSION[^0-9]*$header[^0-9]" session.h
	head -n 1 debian/changelog | grep -qE "\($version(-[0-9]+)?\)"
	grep -m 1 '^## ' CHANGELOG.md | grep -q "^## $version\b"
	# Nowhere else, or it would be forgotten there.
	run -1 grep -rnF "\"$version\"" --include=*.[ch] .
}

@test "SECURITY.md names tests that there are" {
	local file name count=0

	cd "$ROOT"
	while IFS= read -r name; do
		file=t/${name%%: *}
		grep -qxF "@test \"${name#*: }\" {" "$file" ||
			fail "$name" || return
		count=$((count + 1))
	done < <(grep -o '`[a-z0-9/]*\.bats: [^`]*`' SECURITY.md | tr -d '`')
	((count > 60))
}

@test "what the documents name is there" {
	local document name

	cd "$ROOT"
	for document in README.md CONTRIBUTING.md DESIGN.md t/README.md; do
		while IFS= read -r name; do
			[[ -e $name || -e t/$name ]] ||
				fail "$document: $name" || return
		done < <(grep -oE '`[a-z]+/[a-z./-]+\.[a-z]+`' "$document" |
		    tr -d '`' | sort -u)
	done
}

@test "a test file that is named anywhere is there" {
	grep -rhoE '\<t/([a-z]+/)?[a-z]+\.bats' Makefile README.md DESIGN.md \
	    SECURITY.md CONTRIBUTING.md debian docs man t/README.md |
	    sort -u >"$BATS_TEST_TMPDIR/named"
	while read -r file; do
		[[ -e $file ]] || fail "$file"
	done <"$BATS_TEST_TMPDIR/named"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/named") -gt 10 ]]
}

@test "each source of the program has its line in DESIGN.md" {
	local file

	cd "$ROOT"
	while IFS= read -r file; do
		grep -q "^| ${file#./} | " DESIGN.md || fail "$file" || return
	done < <(sources)
}

@test "each source names its licence" {
	cd "$ROOT"
	run awk 'FNR > 2 { nextfile }
	    /SPDX-License-Identifier: ISC/ { named[FILENAME] = 1 }
	    END { for (i = 1; i < ARGC; i++)
		    if (!(ARGV[i] in named)) print ARGV[i] }' Makefile \
	    *.[ch] */*.[ch] t/*.bats t/*.bash t/*/*.bats man/*
	[[ -z $output ]] || fail "$output"
}

@test "no line of C is longer than 80 columns or ends in a blank" {
	local files

	mapfile -t files < <(sources all)
	run awk '{
		line = $0
		for (at = index(line, "\t"); at > 0; at = index(line, "\t"))
			sub(/\t/, substr("        ", 1, 8 - (at - 1) % 8), line)
		if (length(line) > 80 || /[ \t]$/)
			print FILENAME ":" FNR
	}' "${files[@]}"
	[[ -z $output ]] || fail "$output"
}

# Callees stand first, so prototypes are for headers (HELP shows the table that
# it is in); one name, one thing.
# Some are run only by hand.
@test "each Python program compiles" {
	cd "$ROOT"
	find . -name '*.py' -not -path './build/*' | "$PYTHON" -c 'import sys
for path in sys.stdin.read().split():
    with open(path, encoding="utf-8") as f:
        compile(f.read(), path, "exec")'
}

@test "a static function has no prototype and its name to itself" {
	local files

	mapfile -t files < <(sources)
	run awk '
	/^static [^=]*\)?[;,]$/ && /\(/ { if (!/cmd_help/) print FILENAME ":" FNR ": prototype" }
	static && match($0, /^[a-z_0-9]+\(/) {
		name = substr($0, 1, RLENGTH - 1)
		if (name in at && at[name] != FILENAME)
			print name ": " at[name] " and " FILENAME
		at[name] = FILENAME
	}
	{ static = /^static [^=();]*$/ }' "${files[@]}"
	[[ -z $output ]] || fail "$output"
}

# What a file needs of others, by the symbols of its object.  The engine is one
# thing behind engine.h; modules-*.c is where the two programs are put together.
@test "no two files need each other" {
	local files

	mapfile -t files < <(sources | grep -vE '^(\./modules|\./session|session)')
	(cd build && nm -A "${files[@]/%.c/.o}") | awk '
	{ file = $1; sub(/:.*/, "", file); sub(/^\.\//, "", file) }
	$(NF - 1) == "U" { name[++n] = $NF; by[n] = file }
	$(NF - 1) ~ /^[TDBR]$/ { home[$NF] = file }
	END {
		for (i = 1; i <= n; i++)
			if (name[i] in home && home[name[i]] != by[i])
				print by[i], home[name[i]]
	}' >"$BATS_TEST_TMPDIR/needs"
	(($(wc -l <"$BATS_TEST_TMPDIR/needs") > 100))
	tsort "$BATS_TEST_TMPDIR/needs" >/dev/null
}

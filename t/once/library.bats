# SPDX-License-Identifier: ISC
# The library as others see it: its names, what it needs, where it is put, and
# that C, C++ and Python take it.

load ../lib

setup() {
	test_setup
	cd "$ROOT"
}

# declared in the header: functions only
functions() {
	sed -n 's/^[a-z].*[ *\t]\(session_[a-z]*\)(.*/\1/p' session.h | sort
}

@test "libsession defines what session.h declares, and nothing else" {
	[[ $(functions | wc -l) -gt 20 ]]
	diff <(functions) <(nm -g --defined-only libsession.a |
	    awk '$2 ~ /[A-Z]/ { print $3 }' | sort)
	diff <(functions) <(nm -D --defined-only libsession.so.0 |
	    awk '$2 == "T" { sub("@.*", "", $3); print $3 }' | sort)
	readelf -d libsession.so.0 | grep -q 'soname: \[libsession.so.0\]'
	nm -D libsession.so.0 | grep -q 'session_init@@SESSION_0'
}

@test "libsession needs memory and strings, and nothing else" {
	run bash -c "nm -u libsession.a | awk '\$1 == \"U\" { print \$2 }' |
	    grep -vxE '_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|(__)?(mem|str)[a-z]+(_chk)?'"
	echo "$output"
	[[ -z $output ]]
	! readelf -d libsession.so.0 | grep NEEDED | grep -v 'libc\.so'
}

@test "the engine compiles with its own files and <string.h> in reach" {
	local dir=$BATS_TEST_TMPDIR file

	mkdir -p "$dir/session" "$dir/include"
	cp session.[ch] "$dir"
	cp session/*.[ch] "$dir/session"
	cat >"$dir/include/string.h" <<-'END'
		#include <stddef.h>
		void *memchr(const void *, int, size_t);
		void *memcpy(void *, const void *, size_t);
		void *memmove(void *, const void *, size_t);
		void *memset(void *, int, size_t);
		int memcmp(const void *, const void *, size_t);
		int strcmp(const char *, const char *);
		char *strchr(const char *, int);
		size_t strlen(const char *), strnlen(const char *, size_t);
		size_t strspn(const char *, const char *);
		size_t strcspn(const char *, const char *);
	END
	cd "$dir"
	for file in session.c session/*.c; do
		gcc -std=gnu11 -ffreestanding -fno-builtin -nostdinc \
		    -Wall -Wextra -Wconversion -Wsign-conversion -Werror \
		    -isystem "$(gcc -print-file-name=include)" \
		    -isystem include -c -o /dev/null "$file" || return
	done
}

program() {
	cat >"$BATS_TEST_TMPDIR/$1" <<-'END'
		#include <smtpd/session.h>

		#include <stdio.h>

		/* Names that are the engine's own, inside. */
		static int calls;
		void reply(void);
		void data_start(void);
		void reply(void) { calls++; }
		void data_start(void) { calls++; }

		int
		main(void)
		{
			static struct session s;
			static struct session_buffers b;
			struct session_config config = session_config();
			struct session_hooks hooks = session_hooks();
			const char *p;
			size_t n;

			config.size = sizeof(config);
			config.hostname = "mx.test";
			hooks.size = sizeof(hooks);
			session_init(&s, &b, &config, &hooks, nullptr);
			reply();
			data_start();
			session_input(&s, "QUIT\r\n", 6);
			n = session_output(&s, &p);
			printf("%d %.*s", calls, static_cast<int>(n), p);
			return session_want(&s) != SESSION_CLOSE ||
			    session_version() != SESSION_VERSION;
		}
	END
}

installed() {
	make -s install-lib DESTDIR= PREFIX="$BATS_TEST_TMPDIR/usr" >&2
	export PKG_CONFIG_PATH=$BATS_TEST_TMPDIR/usr/lib/pkgconfig
	export LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/usr/lib
	[[ ! -e $BATS_TEST_TMPDIR/usr/etc && \
	    ! -e $BATS_TEST_TMPDIR/usr/sbin ]]
}

# compiled compiler file [option ...]: static and shared, and what it says
compiled() {
	local cc=$1 file=$BATS_TEST_TMPDIR/$2 flags libs

	shift 2
	flags=$(pkg-config --cflags smtpd-session)
	libs=$(pkg-config --libs smtpd-session)
	"$cc" "$@" $flags -o "$BATS_TEST_TMPDIR/shared" "$file" $libs
	"$cc" "$@" $flags -o "$BATS_TEST_TMPDIR/static" "$file" \
	    "$BATS_TEST_TMPDIR/usr/lib/libsession.a"
	for file in shared static; do
		run "$BATS_TEST_TMPDIR/$file"
		[[ $status == 0 && ${lines[0]} == '2 220 mx.test ESMTP'* ]] ||
			return
		[[ ${lines[1]} == '221 mx.test closing connection'* ]] || return
	done
	ldd "$BATS_TEST_TMPDIR/shared" | grep -q libsession.so.0
}

@test "install-lib, pkg-config, g++ and clang++" {
	installed
	program x.cc
	sed -i 's/= session_\(config\|hooks\)()/{}/' "$BATS_TEST_TMPDIR/x.cc"
	compiled g++ x.cc -std=c++11 -Wall -Wextra -pedantic -Werror
	compiled clang++ x.cc -std=c++11 -Weverything -Wno-padded \
	    -Wno-c++98-compat -Wno-c++98-compat-pedantic -Werror
}

@test "gcc and clang, in standard C" {
	installed
	program x.c
	sed -i 's/= session_\(config\|hooks\)()/= { 0 }/
	    s/nullptr/NULL/; s/static_cast<int>(n)/(int)n/' \
	    "$BATS_TEST_TMPDIR/x.c"
	compiled gcc x.c -std=c99 -Wall -Wextra -pedantic -Werror
	compiled clang x.c -std=c11 -Weverything -Wno-padded \
	    -Wno-declaration-after-statement -Werror
}

@test "a prefix of one's own keeps its settings to itself" {
	make -n install PREFIX=/opt/smtpd >"$BATS_TEST_TMPDIR/steps"
	grep -q '/opt/smtpd/etc/smtpd' "$BATS_TEST_TMPDIR/steps"
	! grep -E '(^| |>)/etc/' "$BATS_TEST_TMPDIR/steps"
	make -n install PREFIX=/usr | grep -q '[ >]/etc/smtpd'
}

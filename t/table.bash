# SPDX-License-Identifier: ISC
# table.bash - tables of commands and the replies that they must get.

# So that "... | smtp" leaves its results here.
shopt -s lastpipe

# table [ARGUMENT ...]: a session from lines "REPLY|COMMAND".  The last line of
# each command's reply must begin with REPLY.  Escapes of printf's %b are
# understood; a line without a bar is sent and gets no reply.
table() {
	local line script=$BATS_TEST_TMPDIR/script want=() sent=() got=() i

	: >"$script"
	while IFS= read -r line; do
		if [[ $line == *'|'* ]]; then
			want+=("${line%%|*}")
			sent+=("${line#*|}")
			line=${line#*|}
		fi
		printf '%b\r\n' "$line" >>"$script"
	done
	smtp_raw -o max-errors=0 -o max-junk=0 "$@" <"$script"
	while IFS= read -r line; do
		[[ $line == [2-5][0-9][0-9]-* ]] || got+=("$line")
	done <<<"$output"
	[[ ${got[0]} == 220\ * ]] || fail "banner: ${got[0]}" || return
	for i in "${!want[@]}"; do
		[[ ${got[i + 1]-nothing} == "${want[i]}"* ]] ||
			fail "${sent[i]}: ${got[i + 1]-nothing}," \
			    "expected ${want[i]}" || return
	done
	((${#got[@]} == ${#want[@]} + 1)) ||
		fail "more replies than commands: ${got[*]:i + 2}"
}

# SPDX-License-Identifier: ISC
# The engine as a library: what session(3) promises, and what it withstands.

load lib
leaks

@test "what an embedder may rely on" {
	"$TOOLS/library"
}

@test "a line for each rule of the grammar, from both sides" {
	"$TOOLS/lines"
}

@test "random commands, verdicts and cuts: what a model of the engine says" {
	"$TOOLS/model" 100000
}

@test "a hostile embedder: every call from every hook, every answer" {
	"$TOOLS/embedder"
}

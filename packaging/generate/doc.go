// Command generate writes the files of the packages that are made from something
// else: manual pages and completion scripts from the command lines, repool.yaml from
// the example, the notices of the modules that are linked in, and Debian's changelog.
//
// It runs as "go run ./packaging/generate DIRECTORY". Its output depends on the
// source and on SOURCE_DATE_EPOCH only, so that two builds of a package are equal.
package main

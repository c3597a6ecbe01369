// Command install copies what the packages have to a machine without a package
// manager for them: the list of packaging/nfpm, with /usr replaced by a prefix and
// below another root where one is given.
//
// It runs as "go run ./packaging/install -stage DIRECTORY [-prefix /usr/local]
// [-destdir DIRECTORY]"; the stage has what scripts/install.sh has built. A
// configuration file that exists is left as it is.
package main

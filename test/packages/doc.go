// Package packages tests what `make packages` and `make install` build: contents and
// modes, the same bytes twice, and installation, upgrade, removal and purge in trees
// of Debian releases (debootstrap; cached below /var/cache/repool-trees, or
// REPOOL_TREES). Only as root.
package packages

package postgres

// Compressions are the values of policy.compression: what a base backup can be compressed with on its way. "auto" takes
// the cheapest that the upstream has, and none where the upstream is on this host.
var Compressions = []string{"none", "auto", "gzip", "lz4", "zstd"}

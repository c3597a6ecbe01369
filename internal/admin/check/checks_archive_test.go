package check

import "testing"

// Two promotions to one number overwrite each other in a plain archive (hazards 35, 36, 66).
func TestWhatAnArchiveCommandDoes(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]archiving{
		`cp %p /arch/%f`:                                    archivingOverwrites,
		`/bin/cp "%p" "/arch/%f"`:                           archivingOverwrites,
		`rsync -a %p backup:/arch/%f`:                       archivingOverwrites,
		`gzip < %p > /arch/%f.gz`:                           archivingOverwrites,
		`aws s3 cp %p s3://bucket/%f`:                       archivingOverwrites,
		`sh -c 'cat %p > /arch/%f'`:                         archivingOverwrites,
		`test ! -f /arch/%f && cp %p /arch/%f`:              archivingRefuses,
		`[ ! -e /arch/%f ] && cp %p /arch/%f`:               archivingRefuses,
		`if [ -f /arch/%f ]; then exit 1; fi; cp %p x`:      archivingRefuses,
		`cp -n %p /arch/%f`:                                 archivingSkips,
		`cp -p -n %p /arch/%f`:                              archivingSkips,
		`rsync --ignore-existing %p backup:/arch/%f`:        archivingSkips,
		`test -f /arch/%f || cp %p /arch/%f`:                archivingSkips,
		`[ -f /arch/%f ] || cp %p /arch/%f`:                 archivingSkips,
		`pgbackrest --stanza=main archive-push %p`:          archivingRefuses,
		`barman-wal-archive backup main %p`:                 archivingRefuses,
		`wal-g wal-push %p`:                                 archivingByOption,
		`WALG_PREVENT_WAL_OVERWRITE=true wal-g wal-push %p`: archivingRefuses,
		`/usr/local/bin/archive.sh %p %f`:                   archivingUnknown,
		`/bin/true`:                                         archivingUnknown,
	} {
		if got := judgeArchive(command); got != want {
			t.Errorf("%s: %d, want %d", command, got, want)
		}
	}
}

func TestCarefulArchive(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		`cp %p /arch/%f`: "ALTER SYSTEM SET archive_command = 'test ! -f /arch/%f && cp %p /arch/%f'; " +
			"SELECT pg_reload_conf();   -- on every node",
		`sh -c 'cat %p > /arch/%f.wal'`: "ALTER SYSTEM SET archive_command = 'test ! -f /arch/%f.wal && " +
			"sh -c ''cat %p > /arch/%f.wal'''; SELECT pg_reload_conf();   -- on every node",
		`aws s3 cp %p s3://bucket/wal`: "let archive_command fail where the archive has the file already, " +
			"on every node",
	} {
		if got := carefulArchive(command); got != want {
			t.Errorf("%s:\n%s, want\n%s", command, got, want)
		}
	}
}
